# Galileosky terminals: what a terminal is told is committed, and a fleet of them
# with damaged packets survives the death of the daemon.
use strict;
use warnings;

use FleetTest;
use IO::Select;
use Test::More;

my $now = time;
my $imei = '123456789012345';
my $t = FleetTest->new(
	listeners => [ { adapter => 'galileosky', source => 1 } ],
	config => { connections => 2, batch => { rows => 200, milliseconds => 20 } });

sub sum
{
	my ($bytes) = @_;
	my $sum = 0xFFFF;
	foreach my $byte (unpack 'C*', $bytes)
	{
		$sum ^= $byte;
		$sum = $sum & 1 ? ($sum >> 1) ^ 0xA001 : $sum >> 1 for 1 .. 8;
	}
	return pack 'v', $sum;
}

sub packet
{
	my $packet = pack('C v', 1, length $_[0]) . $_[0];
	return $packet . sum($packet);
}

sub head { return packet(pack 'C C C C C a15 C v', 1, 17, 2, 34, 3, $_[0], 4, 50); }

# Number, time, place, motion, height, dilution, supply.
sub record
{
	my ($time, %o) = @_;
	return pack('C v C V C C l< l< C v v C s< C C C v', 0x10, $o{number} // 1, 0x20, $time,
		0x30, $o{flags} // 9, ($o{lat} // 50.1105) * 1e6, ($o{lon} // 8.6821) * 1e6, 0x33, 183, 2450, 0x34, 112, 0x35, 9, 0x41, 12345);
}

sub answer
{
	my ($client, $n) = @_;
	my $bytes = '';
	my $select = IO::Select->new($client->socket);
	while (length $bytes < $n && $select->can_read($FleetTest::TIMEOUT))
	{
		sysread($client->socket, $bytes, $n - length $bytes, length $bytes) or last;
	}
	return unpack 'H*', $bytes;
}

sub confirms { return '02' . unpack('H*', substr $_[0], -2); }

sub login
{
	my $client = $t->connect('galileosky');
	$client->send(head($imei));
	is(answer($client, 3), confirms(head($imei)), 'the head packet is confirmed');
	return $client;
}

# 1. Confirmed means committed
my $terminal = login();
my $packet = packet(record($now - 10) . record($now - 5, flags => 0, number => 2) . record($now, number => 3));
$terminal->send($packet);
is(answer($terminal, 3), confirms($packet), 'three records are confirmed with the sum of their packet');
is($t->query('SELECT count(*) FROM fleet.event'), '3', '... and are in the database at that moment');
is( $t->query(
		"SELECT vehicle, round(fleet.latitude(location)::numeric, 6), round(fleet.longitude(location)::numeric, 6), altitude_m, speed_kmh, heading_deg,"
		  . " signals::jsonb->'external_voltage_v', signals::jsonb->'satellites', signals::jsonb->'sequence' FROM fleet.telemetry ORDER BY event_time DESC LIMIT 1"),
	"$imei|50.110500|8.682100|112|18.3|245|12.345|9|3",
	'... whole');
is($t->query('SELECT count(*) FROM fleet.event WHERE location IS NULL'), '1', '... the one without satellites without a place');

# 2. Sent again, in pieces, two at once
$terminal->send($packet);
is(answer($terminal, 3), confirms($packet), 'the same again is confirmed');
is($t->query('SELECT count(*) FROM fleet.event'), '3', '... and not stored twice');
$terminal->send($_) foreach split //, packet(record($now + 1));
is(answer($terminal, 3), confirms(packet(record($now + 1))), 'a packet that comes byte by byte');
$terminal->send(packet(record($now + 2)) . packet(record($now + 3)));
is(answer($terminal, 6), confirms(packet(record($now + 2))) . confirms(packet(record($now + 3))), 'two packets at once are confirmed in order');
is($t->query('SELECT count(*) FROM fleet.event'), '6', '... and stored');

# 3. A tag that nobody knows: the terminal goes on, its packet waits in quarantine
my $unknown = packet(record($now + 4) . record($now + 5) . "\xfb\x01\x02");
$terminal->send($unknown);
is(answer($terminal, 3), confirms($unknown), 'a packet with an unknown tag is confirmed');
is( $t->query("SELECT device, code, field, encode(raw, 'hex') FROM fleet.quarantine"),
	join('|', $imei, 'malformed', 'tag_fb', unpack('H*', $unknown)),
	'... since it is in quarantine with its bytes');
is($t->query('SELECT count(*) FROM fleet.event'), '7', '... and the record before it stored');

# 4. A damaged packet has no answer, and comes again
my $broken = packet(record($now + 6));
substr($broken, 20, 1) ^= "\x01";
$terminal->send($broken);
is(answer($terminal, 3), '', 'a damaged packet is not confirmed, and its connection closed');
is($t->query("SELECT count(*) FROM fleet.quarantine WHERE field = 'checksum' AND raw IS NOT NULL"), '1', '... it is in quarantine');
$terminal = login();
$terminal->send(packet(record($now + 6)));
is(answer($terminal, 3), confirms(packet(record($now + 6))), '... whole, on the next connection, it is confirmed');

# 5. Another identity; another protocol; no identity
$terminal->send(head('999999999999999'));
is(answer($terminal, 3), '', 'a connection does not change its terminal');
my $stranger = $t->connect('galileosky');
$stranger->send("GET / HTTP/1.1\r\n\r\n");
is(answer($stranger, 1), '', 'another protocol is closed');
$stranger = $t->connect('galileosky');
$stranger->send(packet(record($now)));
is(answer($stranger, 1), '', 'records of nobody are not confirmed');
ok($t->wait_for_query("SELECT count(*) = 2 FROM fleet.quarantine WHERE field IN ('frame', 'identity')"), '... both are in quarantine');
is($t->query('SELECT count(*) FROM fleet.event'), '8', '... and nothing of them stored');

# 6. A fleet, dirt, and the daemon killed
my $ledger = $t->dir . '/ledger';
my $sim = $t->start_fleetsim('run', $t->delivery('galileosky'), '--vehicles', 40, '--rate', 800, '--seconds', 5, '--dirt', 5, '--records', 8,
	'--ledger', $ledger);
$t->wait_for_query('SELECT count(*) > 1500 FROM fleet.event');
$t->stop_fleetd('KILL');
$t->start_fleetd;
my ($code, $out, $err) = $t->finish_fleetsim($sim);
is($code, 0, 'everything was sent and confirmed') or diag("$out$err");
note("$out$err");
my $proof = $t->verify($ledger, 'what was confirmed is stored once, or in quarantine');
like($proof, qr{acknowledged_and_lost=0 stored_twice=0}, '... lost 0, stored twice 0');
my ($acked, $unacknowledged) = $proof =~ /acked=(\d+) .*unacknowledged=(\d+)/;
cmp_ok($acked, '>', 2500, '... of some thousands');
is($unacknowledged, 0, '... and none was left without an answer');
cmp_ok($t->query("SELECT count(*) FROM fleet.quarantine WHERE field = 'checksum'"), '>', 5, 'damaged packets are in quarantine');
is($t->query('SELECT count(*) FROM (SELECT 1 FROM fleet.event GROUP BY vehicle_id, event_time, digest HAVING count(*) > 1) twice'),
	'0', 'no event is there twice');

is($t->stop_fleetd, 0, 'fleetd ends well');
done_testing();
