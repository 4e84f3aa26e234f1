# Recorded days of real fleets, through sockets: the counts that others found
# in the same files must come out.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use Test::More;

my ($austin) = shared_data('austin_capmetro_bus_2017-03-21.csv.gz');
my ($counts) = shared_data('austin_2017-03-21_points_per_polygon.csv');
my ($fences) = shared_data('austin_neighborhoods_70.geojson.gz');
my ($helsinki) = shared_data('helsinki_hfp_events_2020-09-21.csv.gz');
my ($twizy) = shared_data('rabat_twizy_ev_17_drives_2021.csv.gz');
plan skip_all => 'the shared test data is not there'
  unless $austin && $counts && $fences && $helsinki && $twizy;

sub unpacked
{
	my ($path) = @_;
	my $text;
	IPC::Run::run([ 'gzip', '-dc', $path ], '>', \$text) or die "could not unpack \"$path\"\n";
	return $text;
}

my $t = FleetTest->new(listeners => [ 'json', 'http' ]);
$t->query("INSERT INTO fleet.contract (tenant_id, horizon) VALUES (1, '100 years')");

sub replay
{
	my ($file, $name, @options) = @_;
	my ($code, $out, $err) = $t->fleetsim('replay', $file, $t->delivery, @options);
	is($code, 0, "$name: every row is answered") or diag("$out$err");
	note("$out$err");
	return "$out$err" =~ /^sent=(\d+) acked=(\d+) rejected=(\d+)/m ? ($1, $2, $3) : ();
}

# 1. A day of Austin's buses: 45,386 positions of 329 buses
my $json = JSON::PP->new->utf8->decode(unpacked($fences));
foreach my $feature (@{ $json->{features} })
{
	(my $name = $feature->{properties}{name}) =~ s/'/''/g;
	my $geometry = json_of($feature->{geometry});
	$t->query("INSERT INTO fleet.geofence (name, area) VALUES ('$name', ST_SetSRID(ST_GeomFromGeoJSON('$geometry'), 4326))");
}
is($t->query('SELECT count(*) FROM fleet.geofence'), '70', 'seventy neighbourhoods are geofences');

my ($sent, $acked, $rejected) =
  replay($austin, 'Austin', '--speed-unit', 'ms', '--text', 'route_id', '--text', 'trip_id', '--sort');
is($sent, 45386, 'Austin: every row of the file was sent');
is($t->query('SELECT (SELECT count(*) FROM fleet.event) + (SELECT count(*) FROM fleet.quarantine)'), '45386', '... each is an event or in quarantine');
is($t->query('SELECT code, field, count(*), min(value), max(value) FROM fleet.quarantine GROUP BY 1, 2 ORDER BY 1'),
	"null_island|location|3|0,0|0,0\nout_of_range|speed_kmh|5|410.38272|410.38272",
	'... there the rows at 0,0, two of which also say 255 mph, and the other five of 255 mph');
is($t->query('SELECT count(*) FROM fleet.event WHERE late'), '0', '... sent in the order of time, none is late');

# The tenant decides to believe 255 mph.
$t->query(q(UPDATE fleet.contract SET ranges = '{"speed_kmh": [0, 420]}' WHERE tenant_id = 1));
is($t->query("SELECT * FROM fleet.replay_quarantine(1, 'out_of_range')"), '5|5|0|0', 'after its range was widened they are replayed');
is($t->query('SELECT count(*), count(DISTINCT vehicle_id) FROM fleet.event'), '45383|329', '... and all but the rows at 0,0 are history');

my %expected;
foreach my $line (split /\n/, slurp($counts))
{
	my ($track, $polygons, $name, $rows, $vehicles) = $line =~ /^([^,]*),([^,]*),(.*),(\d*),(\d*)$/ or next;
	$expected{$name} = "$rows|$vehicles" if $polygons =~ /neighborhoods/ && $name !~ /^\(/;
	$expected{$name} = $rows if $polygons =~ /neighborhoods/ && $name =~ /^\(/;
}
is(scalar(grep { !/^\(/ } keys %expected), 70, 'there is an independent count for each of them');
my %list = map { $_ => $expected{$_} } grep { !/^\(/ } keys %expected;

sub listed
{
	my ($sql) = @_;
	return { map { /^(.*)\|(\d+\|\d+)$/ ? ($1 => $2) : () } split /\n/, $t->query($sql) };
}
is_deeply(
	listed('SELECT g.name, count(e.vehicle_id), count(DISTINCT e.vehicle_id) FROM fleet.geofence g
	        LEFT JOIN fleet.telemetry e ON ST_Within(e.position, g.area) GROUP BY 1'),
	\%list,
	'the history, with PostGIS: rows and buses in each neighbourhood are the very counts');
is_deeply(
	listed('SELECT g.name, count(x.vehicle_id), count(DISTINCT x.vehicle_id) FROM fleet.geofence g
	        LEFT JOIN (SELECT e.vehicle_id, f FROM fleet.event e, unnest(fleet.geofences_at(1, e.location)) f) x ON x.f = g.geofence_id GROUP BY 1'),
	\%list,
	'... and with the index that the pipeline uses');
is($t->query('SELECT count(*) FROM fleet.event e WHERE fleet.geofences_at(1, e.location) = \'{}\'') + 3,
	$expected{'(in none)'}, '... rows outside all of them, with those at 0,0');
is($t->query('SELECT count(*) FROM fleet.event e WHERE cardinality(fleet.geofences_at(1, e.location)) > 1'),
	$expected{'(in more than one)'}, '... rows in more than one');
is_deeply(
	{ map { /^(.*)\|(\d+)$/ ? ($1 => $2) : () } split /\n/,
		$t->query('SELECT name, count(DISTINCT vehicle_id) FROM fleet.geofence_visit GROUP BY 1') },
	{ map { $_ => (split /\|/, $list{$_})[1] } grep { $list{$_} !~ /^0/ } keys %list },
	'... and the visits that the pipeline recorded are of as many buses');
is($t->query('SELECT count(*) FROM fleet.geofence_visit WHERE exited_at < entered_at'), '0', '... none ends before it begins');

# The same day again, over HTTP: nothing is new.
($sent, $acked, $rejected) = do {
	my ($code, $out, $err) = $t->fleetsim('replay', $austin, $t->delivery('http'), '--speed-unit', 'ms', '--text', 'route_id', '--text', 'trip_id', '--gzip');
	is($code, 0, 'Austin again, over HTTP and in the order of the file') or diag("$out$err");
	"$out$err" =~ /^sent=(\d+) acked=(\d+) rejected=(\d+)/m;
};
is($t->query("SELECT count(*) FROM fleet.event"), '45383', '... stores nothing twice');

# 2. Helsinki at 1 Hz: 171 messages share vehicle and time with another
replay($helsinki, 'Helsinki', '--vehicle-column', 'unique_vehicle_id', '--time-column', 'tst', '--speed-unit', 'ms');
is($t->query("SELECT vehicle, count(*), count(*) - count(DISTINCT event_time) FROM fleet.telemetry WHERE vehicle LIKE '%/%' GROUP BY 1 ORDER BY 1"),
	"12/1315|1357|53\n40/456|3880|118", 'Helsinki: all 5,237 messages are kept, also the 171 that share their time with another');
is($t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle LIKE '%/%' AND location IS NULL"), '4', '... four of them without a position');

# 3. The electric car: 17 drives, one of which ends nearly empty
$t->query("SELECT fleet.enable_standard_rule('low battery')");
my $before = $t->query('SELECT max(quarantine_id) FROM fleet.quarantine');
replay($twizy, 'electric car', '--vehicle', 'twizy', '--time-column', 'Date+Time', '--time-format', '%m/%d/%Y %H:%M:%S',
	'--time-zone', 'Africa/Casablanca', '--sort');
is($t->query("SELECT code, field, count(*) FROM fleet.quarantine WHERE quarantine_id > $before GROUP BY 1, 2 ORDER BY 1"),
	"malformed|event_time|170\nout_of_range|longitude|3", 'electric car: the impossible dates and longitudes are in quarantine');
is($t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = 'twizy'"), '55472', '... all else is history');
my $alerts = $t->query("SELECT count(*), min((values->>'battery_percent')::numeric) < 15 FROM fleet.alert a JOIN fleet.vehicle v USING (vehicle_id)
	WHERE v.name = 'twizy' AND a.name = 'low battery'");
like($alerts, qr/^[1-9]\d?\|t$/, '... and it raises its low-battery alerts, a few, not one for each report');
is($t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = 'twizy' AND (signals::jsonb->>'battery_percent')::numeric < 15"),
	'81', '... of 81 rows below 15 %');

done_testing();
