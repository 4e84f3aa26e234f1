# JSON lines over TCP: authentication, acknowledgement after the commit,
# rejects by line, mappings, one token per connection.
use strict;
use warnings;

use FleetTest;
use Test::More;

my $now = time;
my $t = FleetTest->new(
	listeners => ['json'],
	config => {
		batch => { rows => 100, milliseconds => 20 },
		mappings => {
			acme => {
				id => 'unit',
				event_time => { path => 'ts', unit => 'ms' },
				latitude => 'pos.0',
				longitude => 'pos.1',
				speed_kmh => { path => 'v_mph', scale => 1.609344 },
				battery_percent => 'soc'
			}
		}
	});

# 1. Authentication
my $client = $t->connect_json;
ok($client, 'the right token is answered with ok');

my $stranger = $t->connect('json');
$stranger->send_line('{"auth":"nobody-has-this-token"}');
like($stranger->read_line, qr/^\{"error":"/, 'a wrong token is answered with an error');
ok($stranger->wait_eof, '... and the connection is closed');

$stranger = $t->connect('json');
$stranger->send_documents(document('a', $now));
like($stranger->read_line, qr/^\{"error":"/, 'a document before the token is an error');
ok($stranger->wait_eof, '... and the connection is closed');
is($t->query('SELECT count(*) FROM fleet.event'), '0', 'nothing of it is stored');

# 2. Acknowledged means committed
$client->send_documents(map { document("car-$_", $now + $_ / 10) } 1 .. 5);
ok($client->wait_ack(5), 'five lines are acknowledged');
is($t->query('SELECT count(*) FROM fleet.event'), '5', '... and are in the database at that moment');
is_deeply($client->rejected, [], '... none rejected');

# 3. The reference document arrives whole
my $reference = '{"vehicle_id":12345,"timestamp":"' . FleetTest::iso_time($now) . '","location":{"lat":50.1105,"lon":8.6821,'
  . '"altitude":112.5,"accuracy":5.2},"battery":{"percent":68,"voltage":48.2,"current":3.5,"temperature":32.1,"charging":false},'
  . '"motion":{"speed_kmh":18.5,"heading":245,"acceleration":{"x":0.2,"y":-0.1,"z":9.8}},"vehicle_status":{"locked":false,'
  . '"in_use":true,"trip_id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890"},"diagnostics":{"odometer_km":2458,"error_codes":[],'
  . '"last_maintenance_km":2100}}';
$client->send_line($reference);
ok($client->wait_ack(6), 'the reference document is acknowledged');
is( $t->query(
		"SELECT round(fleet.latitude(location)::numeric, 7), round(fleet.longitude(location)::numeric, 7), altitude_m, accuracy_m, speed_kmh, heading_deg FROM fleet.telemetry WHERE vehicle = '12345'"
	),
	'50.1105000|8.6821000|112.5|5.2|18.5|245',
	'... its columns');
is( $t->query(
		"SELECT s->>'battery_percent', s->>'battery_voltage_v', s->>'battery_temp_c', s->>'charging', s->>'acceleration_z_ms2', s->>'trip_id', s->>'odometer_km', s->>'error_codes', s->>'last_maintenance_km'
		   FROM (SELECT signals::jsonb AS s FROM fleet.telemetry WHERE vehicle = '12345') x"),
	'68|48.2|32.1|false|9.8|a1b2c3d4-e5f6-7890-abcd-ef1234567890|2458||2100',
	'... and its signals');

# 4. Repeats and rejects
$client->send_line($reference);
ok($client->wait_ack(7), 'a repeat is acknowledged');
is($t->query('SELECT count(*) FROM fleet.event'), '6', '... and not stored again');
$client->send_line(json_of(document('car-1', $now + 1, location => { lat => 95, lon => 8 })));
$client->send_line('this is not JSON');
$client->send_line(json_of({ vehicle_id => 'car-1', location => { lat => 1, lon => 1 } }));
ok($client->wait_ack(10), 'lines with defects are acknowledged');
is_deeply(
	[ map { [ $_->{line}, $_->{code}, $_->{field} ] } @{ $client->rejected } ],
	[ [ 8, 'out_of_range', 'latitude' ], [ 9, 'malformed', undef ], [ 10, 'missing_field', 'event_time' ] ],
	'... and named by line, code and field');
is($t->query('SELECT code FROM fleet.quarantine ORDER BY quarantine_id'),
	"out_of_range\nmalformed\nmissing_field", '... and wait in quarantine');
is($t->query("SELECT convert_from(raw, 'UTF8') FROM fleet.quarantine WHERE code = 'malformed'"),
	'this is not JSON', '... with the bytes of what could not be read');

# 5. A mapping
my $mapped = $t->connect_json(mapping => 'acme');
$mapped->send_documents({ unit => 'acme-1', ts => $now * 1000, pos => [ 48.2, 16.3 ], v_mph => 10, soc => 55 });
ok($mapped->wait_ack(1), 'a document of a mapping is acknowledged');
is( $t->query(
		"SELECT round(fleet.latitude(location)::numeric, 3), round(fleet.longitude(location)::numeric, 3), round(speed_kmh::numeric, 3), signals::jsonb->>'battery_percent', extract(epoch FROM event_time)::bigint FROM fleet.telemetry WHERE vehicle = 'acme-1'"
	),
	"48.200|16.300|16.093|55|$now",
	'... scaled and renamed');
my $lost = $t->connect('json');
$lost->send_line(json_of({ auth => $t->token, mapping => 'no-such' }));
like($lost->read_line, qr/^\{"error":"/, 'a mapping that nobody configured is an error');
ok($lost->wait_eof, '... and closes');

# 6. Two tokens, two tenants
$t->query("INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (100, 'other', true)");
my $other = $t->connect_json(token => $t->create_source(100, 'other'));
$other->send_documents(document('car-1', $now));
$client->send_documents(document('car-1', $now + 20));
ok($other->wait_ack(1) && $client->wait_ack(11), 'two connections with tokens of two tenants');
is($t->query("SELECT tenant_id, count(*) FROM fleet.event e JOIN fleet.vehicle v USING (vehicle_id, tenant_id) WHERE v.name = 'car-1' GROUP BY 1 ORDER BY 1"),
	"1|2\n100|1", '... each stored for its own');

# 7. A device that nobody registered
$t->query("INSERT INTO fleet.tenant (tenant_id, name) VALUES (101, 'strict')");
my $strict = $t->connect_json(token => $t->create_source(101, 'strict'));
$strict->send_documents(document('unheard-of', $now));
ok($strict->wait_ack(1), 'an unknown device is answered');
is($strict->rejected->[0]{code}, 'unknown_device', '... as such');

# 8. Many at once, in order
$client->send_documents(map { document("bulk-" . $_ % 50, $now - 3000 + $_) } 1 .. 2000);
ok($client->wait_ack(2011), '2000 documents are acknowledged');
is($t->query("SELECT count(*), count(*) FILTER (WHERE late) FROM fleet.telemetry WHERE vehicle LIKE 'bulk-%'"),
	'2000|0', '... stored, none of them late');

# 9. No token and no payload in the log
my $log = slurp("$t->{dir}/fleetd.log");
unlike($log, qr/\Q$t->{token}\E|nobody-has-this-token/, 'the log holds no token');
unlike($log, qr/a1b2c3d4|this is not JSON/, '... and no payload');
is(scalar(grep { $_->{event} eq 'not JSON' } $t->log_events), 0, '... and is one JSON object per line');

done_testing();
