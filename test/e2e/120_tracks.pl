# Recorded fleets through sockets, pipeline, geofences and history, against
# what is known of them from elsewhere. Skipped where the files are absent.
use strict;
use warnings;

use FleetTest;
use IO::Uncompress::Gunzip qw(gunzip);
use Test::More;

my ($buses) = shared_data('austin_capmetro_bus_2017-03-21.csv.gz');
my ($districts) = shared_data('austin_neighborhoods_70.geojson.gz');
my ($counts) = shared_data('austin_2017-03-21_points_per_polygon.csv');
my ($trams) = shared_data('helsinki_hfp_events_2020-09-21.csv.gz');
my ($car) = shared_data('rabat_twizy_ev_17_drives_2021.csv.gz');
plan skip_all => 'the recorded tracks are not here (FLEET_SHARED)' unless $buses && $districts && $counts && $trams && $car;

my $t = FleetTest->new(listeners => ['json']);
$t->query("INSERT INTO fleet.contract (tenant_id, horizon) VALUES (1, '100 years')");

# A tenant of its own for each, and what the replay needs to reach it.
sub tenant
{
	my ($name) = @_;
	my $id = $t->query("INSERT INTO fleet.tenant (name, auto_register) VALUES ('$name', true) RETURNING tenant_id");
	$t->query("INSERT INTO fleet.contract (tenant_id, horizon) VALUES ($id, '100 years')");
	return ($id, '--to', '127.0.0.1:' . $t->port('json'), '--token', $t->create_source($id, $name), '--sort', '--ledger', $t->dir . "/$name.ledger");
}

sub prove
{
	my ($id, $name) = @_;
	my ($code, $out, $err) = $t->fleetsim('verify', '--ledger', $t->dir . "/$name.ledger", '--database', $t->conninfo, '--tenant', $id);
	is($code, 0, "$name: every message is where it belongs") or diag("$out$err");
	return;
}

# --- Austin: 329 buses, a day ---

my ($austin, @austin) = tenant('austin');
gunzip($districts => \my $geojson) or die "could not unpack\n";
$t->node->safe_psql('fleet', <<SQL);
INSERT INTO fleet.geofence (tenant_id, name, area)
SELECT $austin, f -> 'properties' ->> 'name', public.ST_SetSRID(public.ST_GeomFromGeoJSON(f -> 'geometry'), 4326)
FROM jsonb_array_elements(\$json\$$geojson\$json\$::jsonb -> 'features') f
SQL
my ($code, $out, $err) = $t->fleetsim('replay', $buses, @austin, '--speed-unit', 'ms');
is($code, 0, 'Austin is replayed') or diag("$out$err");
like($out, qr/sent=45386 acked=45378 rejected=8 unacknowledged=0/, 'Austin: 45,386 rows sent, eight refused');
is($t->query("SELECT code, coalesce(field, ''), count(*) FROM fleet.quarantine WHERE tenant_id = $austin GROUP BY 1, 2 ORDER BY 1"),
	"null_island|location|3\nout_of_range|speed_kmh|5", 'Austin: three rows at 0,0 and the five other rows of 255 mph are in quarantine');
is($t->query("SELECT count(*), count(DISTINCT vehicle_id) FROM fleet.event WHERE tenant_id = $austin"), '45378|329', 'Austin: all others are history, of 329 buses');
prove($austin, 'austin');

# The independent answer counts all rows, also the five that went too fast.
my %expected;
foreach my $line (split /\n/, slurp($counts))
{
	my (undef, $polygons, $name, $rows, $vehicles) = $line =~ /^([^,]*),([^,]*),(.*),(\d+),(\d+)$/ or next;
	next unless $polygons =~ /neighborhoods/ && $name !~ /^\(/;
	$expected{$name =~ s/^"|"$//gr} = "$rows|$vehicles";
}
my $fast = "SELECT NULL::bigint, fleet.geopoint((report ->> 'latitude')::float8, (report ->> 'longitude')::float8), device FROM fleet.quarantine
	WHERE tenant_id = $austin AND code = 'out_of_range'";
my %got = map { /^(.*?)\|(.*)$/ } split /\n/, $t->query(<<SQL);
SELECT g.name, count(*), count(DISTINCT p.device) FROM fleet.geofence g
JOIN (SELECT e.vehicle_id, e.location, d.identity AS device FROM fleet.event e JOIN fleet.device d USING (vehicle_id) WHERE e.tenant_id = $austin
      UNION ALL $fast) p ON public.ST_Contains(g.area, p.location::public.geometry)
WHERE g.tenant_id = $austin GROUP BY g.name
SQL
is(scalar(keys %expected), 70, 'Austin: the independent answer has 70 districts');
is_deeply(\%got, \%expected, 'Austin: rows and buses in each district are those of the independent answer');
is($t->query(<<SQL), 't', "Austin: the geofences' own containment says the same for every event");
SELECT bool_and(fleet.geofences_at($austin, e.location) IS NOT DISTINCT FROM
	(SELECT coalesce(array_agg(g.geofence_id ORDER BY g.geofence_id), '{}') FROM fleet.geofence g
	 WHERE g.tenant_id = $austin AND public.ST_Covers(g.area, e.location::public.geometry)))
FROM (SELECT location FROM fleet.event WHERE tenant_id = $austin ORDER BY vehicle_id, event_time LIMIT 10000) e
SQL
is($t->query(<<SQL), '0', 'Austin: no bus is in a district that it never had a fix in');
SELECT count(*) FROM fleet.geofence_visit v JOIN fleet.geofence g USING (tenant_id, geofence_id)
WHERE v.tenant_id = $austin AND NOT EXISTS (SELECT FROM fleet.event e WHERE e.vehicle_id = v.vehicle_id AND public.ST_Covers(g.area, e.location::public.geometry)
	AND e.event_time = v.entered_at) AND v.entered_location IS NOT NULL AND v.exited_location IS NOT NULL
	AND public.ST_Covers(g.area, v.entered_location::public.geometry)
SQL

# --- Helsinki: every differing report of one time ---

my ($helsinki, @helsinki) = tenant('helsinki');
($code, $out, $err) = $t->fleetsim('replay', $trams, @helsinki);
is($code, 0, 'Helsinki is replayed') or diag("$out$err");
like($out, qr/sent=5237 acked=5237 rejected=0/, 'Helsinki: nothing is refused');
is($t->query("SELECT count(*) FROM fleet.event WHERE tenant_id = $helsinki"), '5237', 'Helsinki: every message is an event');
is($t->query("SELECT count(*) FROM (SELECT 1 FROM fleet.event WHERE tenant_id = $helsinki GROUP BY vehicle_id, event_time HAVING count(*) > 1) x"),
	'171', 'Helsinki: also those that share vehicle and time with another');
prove($helsinki, 'helsinki');

# --- Rabat: an electric car ---

my ($rabat, @rabat) = tenant('rabat');
$t->query("SELECT fleet.enable_standard_rule('low battery', $rabat)");
($code, $out, $err) = $t->fleetsim('replay', $car, @rabat, '--vehicle', 'twizy', '--speed-column', 'Speed');
is($code, 0, 'Rabat is replayed') or diag("$out$err");
like($out, qr/rows=55645 bad_fields=170 /, 'Rabat: 170 impossible dates');
is($t->query("SELECT code, field, count(*) FROM fleet.quarantine WHERE tenant_id = $rabat GROUP BY 1, 2 ORDER BY 1"),
	"malformed|event_time|170\nout_of_range|longitude|3", 'Rabat: they and three impossible longitudes are in quarantine');
is($t->query("SELECT count(*), count(cleared_at) FROM fleet.alert WHERE tenant_id = $rabat AND name = 'low battery'"), '1|1',
	'Rabat: one low battery, raised and cleared');
is($t->query("SELECT (values ->> 'battery_percent')::float8 < 15 FROM fleet.alert WHERE tenant_id = $rabat AND name = 'low battery'"), 't',
	'Rabat: below 15 %');
prove($rabat, 'rabat');

done_testing();
