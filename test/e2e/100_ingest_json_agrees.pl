# The same documents through fleetd and through fleet.ingest_json become the
# same events, or are refused with the same code and field.
use strict;
use warnings;

use FleetTest;
use Test::More;

my $now = int(time / 60) * 60;
my $iso = FleetTest::iso_time($now);
my $t = FleetTest->new(listeners => ['json']);
$t->query("INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (100, 'sql', true)");
my $source = $t->query("SELECT source_id FROM fleet.create_source(100, 'sql')");

my $head = qq("vehicle_id":"v%d","timestamp":"$iso");
my @bodies = (
	# the reference document, and parts of it
	qq({"vehicle_id":%d,"timestamp":"$iso","location":{"lat":50.1105,"lon":8.6821,"altitude":112.5,"accuracy":5.2},"battery":{"percent":68,"voltage":48.2,"current":3.5,"temperature":32.1,"charging":false},"motion":{"speed_kmh":18.5,"heading":245,"acceleration":{"x":0.2,"y":-0.1,"z":9.8}},"vehicle_status":{"locked":false,"in_use":true,"trip_id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890"},"diagnostics":{"odometer_km":2458,"error_codes":["P0301","P0420"],"last_maintenance_km":2100}}),
	"{$head}",
	qq({$head,"schema_version":1}),
	qq({$head,"schema_version":99}),
	qq({$head,"location":{"lat":50.1,"lon":8.6}}),
	qq({$head,"location":{"lat":50.1}}),
	qq({$head,"location":{"lat":-90,"lon":180}}),
	qq({$head,"location":{"lat":90.0000001,"lon":0}}),
	qq({$head,"location":{"lat":0,"lon":0}}),
	qq({$head,"location":{"lat":"50.1","lon":"8.6"}}),
	qq({$head,"location":null}),
	qq({$head,"location":[]}),
	qq({$head,"location":5}),
	qq({$head,"battery":{"percent":101}}),
	qq({$head,"battery":{"percent":"full"}}),
	qq({$head,"battery":{"charging":1}}),
	qq({$head,"battery":{"charging":"true"}}),
	qq({$head,"motion":{"speed_kmh":-1}}),
	qq({$head,"motion":{"heading":360}}),
	qq({$head,"motion":{"heading":360.5}}),
	qq({$head,"diagnostics":{"error_codes":[]}}),
	qq({$head,"diagnostics":{"error_codes":[1,true,"x",null]}}),
	qq({$head,"diagnostics":{"error_codes":[[1]]}}),
	qq({$head,"diagnostics":{"error_codes":"P0301"}}),
	# the flat form, and names that nobody knows
	qq({"device":"v%d","event_time":"$iso","latitude":1.5,"longitude":2.5,"altitude_m":3,"accuracy_m":4,"speed_kmh":5,"heading_deg":6,"battery_percent":7,"charging":true,"engine_rpm":900}),
	qq({$head,"new":{"thing":{"deep":1.25}},"word":"w","yes":true,"no":false,"nil":null}),
	qq({$head,"odd name":1,"other-name":2,"ünicode":3}),
	qq({$head,"list":[1,2,3],"empty":[],"object":{}}),
	qq({$head,"list":[{"a":1}]}),
	qq({$head,"text":"\\u00fc \\"quoted\\" \\\\ \\n \\ud83d\\ude97"}),
	qq({$head,"zero":"a\\u0000b"}),
	qq({$head,"big":1e308,"small":1e-320,"neg":-0.0,"int":12345678901234567890}),
	qq({$head,"huge":1e999}),
	qq({$head,"a":1,"a":2}),
	qq({$head,"battery":{"percent":10},"battery_percent":20}),
	qq({$head,"1digit":1}),
	qq({$head,"":1}),
	# identity and time
	qq({"vehicle_id":"","timestamp":"$iso"}),
	qq({"vehicle_id":null,"timestamp":"$iso"}),
	qq({"vehicle_id":true,"timestamp":"$iso"}),
	qq({"vehicle_id":1.5,"timestamp":"$iso"}),
	qq({"vehicle_id":-5,"timestamp":"$iso"}),
	qq({"vehicle_id":9007199254740993,"timestamp":"$iso"}),
	qq({"timestamp":"$iso"}),
	qq({"vehicle_id":"v%d"}),
	qq({"vehicle_id":"v%d","timestamp":$now}),
	qq({"vehicle_id":"v%d","timestamp":${now}500}),
	qq({"vehicle_id":"v%d","timestamp":$now.25}),
	qq({"vehicle_id":"v%d","timestamp":"yesterday"}),
	qq({"vehicle_id":"v%d","timestamp":"2025-01-15T14:32:18"}),
	qq({"vehicle_id":"v%d","timestamp":"2025-02-30T14:32:18Z"}),
	qq({"vehicle_id":"v%d","timestamp":"2001-01-15T14:32:18Z"}),
	qq({"vehicle_id":"v%d","timestamp":"2099-01-15T14:32:18Z"}),
	qq({"vehicle_id":"v%d","timestamp":"1e3"}),
	qq({"vehicle_id":"v%d","timestamp":null}),
	qq({"vehicle_id":"v%d","timestamp":{}}),
	do { my $local = FleetTest::iso_time($now + 7200); $local =~ s/\.000Z$/+02:00/; qq({"vehicle_id":"v%d","timestamp":"$local"}) },
	do { my $local = FleetTest::iso_time($now); $local =~ s/Z$/456Z/; qq({"vehicle_id":"v%d","timestamp":"$local"}) },
	qq({"vehicle_id":"1M8GDM9AXKP042788","timestamp":"$iso"}),
	qq({$head,"note":"1M8GDM9AXKP042788"}),
	# documents that are none
	'5', 'null', '"text"', '{}',
);

# Devices are numbered, so that each document is a vehicle of its own.
my @documents = map { my $n = $_; my $d = $bodies[$n]; $d =~ s/%d/$n/; $d } 0 .. $#bodies;

# 1. Through the socket
my $client = $t->connect_json;
$client->send(join '', map { "$_\n" } @documents);
ok($client->wait_ack(scalar @documents), 'fleetd has decided about every document');
my %daemon = map { $_->{line} => "$_->{code}:" . ($_->{field} // '') } @{ $client->rejected };

# 2. Through the function, one by one; what jsonb itself refuses has no answer
my (%function, @no_jsonb);
foreach my $n (0 .. $#documents)
{
	(my $quoted = $documents[$n]) =~ s/'/''/g;
	my ($code, $out, $err) = $t->node->psql('fleet', "SELECT refused->0->>'code' || ':' || coalesce(refused->0->>'field', '') FROM fleet.ingest_json($source, '$quoted'::jsonb)");
	if ($code != 0)
	{
		push @no_jsonb, $n;
		note("document $n: $err");
		next;
	}
	$function{ $n + 1 } = $out if $out ne '';
}
my %skip = map { $_ => 1 } @no_jsonb;
my %jsonb_cannot = (
	'a\\u0000b' => 'jsonb takes no zero character',
	'1e999' => undef);
foreach my $n (@no_jsonb)
{
	my ($known) = grep { index($documents[$n], $_) >= 0 } keys %jsonb_cannot;
	ok(defined $known, "only what jsonb cannot hold has no answer: $documents[$n]");
}

# 3. The same verdicts
foreach my $n (grep { !$skip{$_} } 0 .. $#documents)
{
	is($function{ $n + 1 } // 'accepted', $daemon{ $n + 1 } // 'accepted', "same verdict: $documents[$n]");
}

# 4. The same events
my $events = sub {
	my ($tenant) = @_;
	return $t->query("SELECT v.name, e.event_time, e.digest, e.location, e.altitude_m, e.accuracy_m, e.speed_kmh, e.heading_deg, e.signals
		FROM fleet.event e JOIN fleet.vehicle v USING (vehicle_id) WHERE e.tenant_id = $tenant ORDER BY 1, 2, 3");
};
my @left = grep { my $row = $_; !grep { $row =~ /^v$_\|/ } @no_jsonb } split /\n/, $events->(1);
my @right = split /\n/, $events->(100);
cmp_ok(scalar @right, '>', 20, 'many of them are events');
my %left = map { /^([^|]*)/ => $_ } @left;
my %right = map { /^([^|]*)/ => $_ } @right;
is($right{$_}, $left{$_}, "same event of vehicle $_, digest included") foreach sort keys %left;
is(join(' ', sort keys %right), join(' ', sort keys %left), 'the events are of the same vehicles');

done_testing();
