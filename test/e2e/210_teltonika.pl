# Teltonika trackers over TCP and UDP: what a device is told is committed.
use strict;
use warnings;

use FleetTest;
use IO::Select;
use IO::Socket::INET;
use Test::More;

my $now = time;
my $imei = '123456789012345';
my $t = FleetTest->new(
	listeners => [
		{ adapter => 'teltonika', source => 1 },
		{ adapter => 'teltonika', source => 1, transport => 'udp' },
		{ adapter => 'teltonika', source => 1, devices => ['111111111111111'] }
	],
	config => { batch => { rows => 100, milliseconds => 20 }, teltonika => { io => { 200 => 'sleep_mode' } } });

sub crc16
{
	my ($bytes) = @_;
	my $sum = 0;
	foreach my $byte (unpack 'C*', $bytes)
	{
		$sum ^= $byte;
		$sum = $sum & 1 ? ($sum >> 1) ^ 0xA001 : $sum >> 1 for 1 .. 8;
	}
	return $sum;
}

# A record of codec 8: ignition and external voltage.
sub record
{
	my ($time, %o) = @_;
	return pack('Q> C l> l> s> n C n', $time * 1000, $o{priority} // 0, ($o{lon} // 8.6821) * 1e7, ($o{lat} // 50.1105) * 1e7,
		112, 245, $o{satellites} // 9, $o{speed} // 18) . pack('C2 C3 C C n C C', 0, 2, 1, 239, 1, 1, 66, 12345, 0, 0);
}

sub packet_body { return pack('C2', 8, scalar @_) . join('', @_) . pack('C', scalar @_); }

sub packet
{
	my $body = packet_body(@_);
	return pack('N N', 0, length $body) . $body . pack('N', crc16($body));
}

sub answer
{
	my ($socket, $n) = @_;
	my $bytes = '';
	my $select = IO::Select->new($socket);
	while (length $bytes < $n && $select->can_read($FleetTest::TIMEOUT))
	{
		sysread($socket, $bytes, $n - length $bytes, length $bytes) or last;
	}
	return unpack 'H*', $bytes;
}

# 1. Login
my $device = $t->connect('teltonika');
$device->send(pack('n/a', $imei));
is(answer($device->socket, 1), '01', 'a login is taken');

# 2. Confirmed means committed
my $packet = packet(record($now - 10), record($now - 5, satellites => 0), record($now));
$device->send($packet);
is(answer($device->socket, 4), '00000003', 'three records are confirmed');
is($t->query('SELECT count(*) FROM fleet.event'), '3', '... and are in the database at that moment');
is( $t->query(
		"SELECT vehicle, round(fleet.latitude(location)::numeric, 7), round(fleet.longitude(location)::numeric, 7), altitude_m, speed_kmh, heading_deg,"
		  . " signals::jsonb->'ignition', signals::jsonb->'external_voltage_v', signals::jsonb->'satellites' FROM fleet.telemetry ORDER BY event_time DESC LIMIT 1"),
	"$imei|50.1105000|8.6821000|112|18|245|true|12.345|9",
	'... whole');
is($t->query('SELECT count(*) FROM fleet.event WHERE location IS NULL'), '1', '... the one without satellites without a place');

# 3. Sent again
$device->send($packet);
is(answer($device->socket, 4), '00000003', 'the same again is confirmed');
is($t->query('SELECT count(*) FROM fleet.event'), '3', '... and not stored twice');

# 4. Byte by byte, two packets and a keep-alive in one piece
$device->send($_) foreach split //, packet(record($now + 1));
is(answer($device->socket, 4), '00000001', 'a packet that comes byte by byte');
$device->send(packet(record($now + 2)) . "\xff" . packet(record($now + 3), record($now + 4)));
is(answer($device->socket, 8), '0000000100000002', 'two packets at once are confirmed in order');

# 5. Refused
my $broken = $packet;
substr($broken, 30, 1) ^= "\x01";
$device->send($broken);
is(answer($device->socket, 4), '00000000', 'a wrong sum is confirmed as none');
is( $t->query("SELECT device, code, field, encode(raw, 'hex') FROM fleet.quarantine"),
	join('|', $imei, 'malformed', 'checksum', unpack('H*', $broken)),
	'... and is in quarantine with its bytes');

# 6. A record that no contract takes does not come again for ever
$device->send(packet(record($now + 5, lat => 100), record($now + 6)));
is(answer($device->socket, 4), '00000002', 'a place out of range is confirmed');
is($t->query("SELECT code, field FROM fleet.quarantine WHERE code <> 'malformed'"), 'out_of_range|latitude', '... from quarantine');
is($t->query('SELECT count(*) FROM fleet.event'), '8', '... and the other record is stored');

# 7. Another identity on the same connection
$device->send(pack('n/a', '999999999999999'));
is(answer($device->socket, 1), '00', 'another identity is refused');
ok($device->wait_eof, '... and the connection closed');

# 8. Noise
my $noise = $t->connect('teltonika');
$noise->send("GET / HTTP/1.1\r\n\r\n");
ok($noise->wait_eof, 'another protocol is closed');
ok($t->wait_for_query("SELECT count(*) = 1 FROM fleet.quarantine WHERE raw LIKE 'GET%'::bytea"), '... and in quarantine');

# 9. UDP
my $udp = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port('teltonika', 1), Proto => 'udp') or die;
my $rest = pack('n C C n/a a*', 0xcafe, 1, 5, $imei, packet_body(record($now + 7), record($now + 8)));
$udp->send(pack('n/a', $rest));
is(answer($udp, 7), '0005cafe010502', 'a datagram is answered');
is($t->query('SELECT count(*) FROM fleet.event'), '10', '... when it is committed');

# 10. Only devices that the listener knows
my $stranger = $t->connect('teltonika', 2);
$stranger->send(pack('n/a', $imei));
is(answer($stranger->socket, 1), '00', 'a device that the listener does not know is refused');
ok($stranger->wait_eof, '... and the connection closed');

# 11. Names of one's own, and others after SIGHUP
sub sleeping
{
	my ($time) = @_;
	return pack('Q> C l> l> s> n C n', $time * 1000, 0, 8.6821e7, 50.1105e7, 112, 245, 9, 18) . pack('C2 C3 C C C', 0, 1, 1, 200, 3, 0, 0, 0);
}
$device = $t->connect('teltonika');
$device->send(pack('n/a', $imei) . packet(sleeping($now + 20)));
is(answer($device->socket, 5), '0100000001', 'login and packet in one piece');
is($t->query("SELECT signals::jsonb->'sleep_mode' FROM fleet.event ORDER BY event_time DESC LIMIT 1"), '3', 'a name of the configuration');
$t->write_config(teltonika => { io => { 200 => { name => 'asleep', kind => 'boolean' } } });
$t->signal('HUP');
$t->wait_log('reloaded', 0);
$device->send(packet(sleeping($now + 21)));
is(answer($device->socket, 4), '00000001', 'after SIGHUP');
is($t->query("SELECT signals::jsonb->'asleep' FROM fleet.event ORDER BY event_time DESC LIMIT 1"), 'true', '... another');

is($t->stop_fleetd, 0, 'fleetd ends well');
done_testing();
