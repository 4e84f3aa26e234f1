# Listeners of peers that only claim who they are: sources, devices, address
# ranges, datagrams, rates. The frames are made here.
use strict;
use warnings;

use FleetTest;
use IO::Select;
use IO::Socket::INET;
use Test::More;

my ($known, $other, $stranger) = qw(356307042441013 356307042441021 490154203237518);
my $now = int time;

sub crc16_arc
{
	my ($crc) = (0);
	foreach my $byte (unpack 'C*', $_[0])
	{
		$crc ^= $byte;
		$crc = $crc & 1 ? ($crc >> 1) ^ 0xA001 : $crc >> 1 foreach 1 .. 8;
	}
	return $crc;
}

# Codec 8: reports at these times.
sub codec8
{
	return pack('CC', 8, scalar @_)
	  . join('', map { pack 'Q>Cl>l>s>nCnCCCCCC', $_ * 1000, 0, 8.7e7, 50.1e7, 100, 90, 9, 36, 0, 0, 0, 0, 0, 0 } @_)
	  . pack('C', scalar @_);
}

sub stream_packet { my $data = codec8(@_); return pack('N N', 0, length $data) . $data . pack('N', crc16_arc($data)); }

sub datagram
{
	my ($imei, $id, @times) = @_;
	my $rest = pack('n C C n/a', $id, 1, $id & 0xFF, $imei) . codec8(@times);
	return pack('n/a', $rest);
}

my $t = FleetTest->new(
	fleetd => 0,
	listeners => [ 'http', { adapter => 'teltonika', devices => [ $known, $other ] }, { adapter => 'teltonika', transport => 'udp' } ]);
$t->create_source(1, 'trackers');
my $source = $t->query("SELECT source_id FROM fleet.source WHERE name = 'trackers'");
$_->{source} = 0 + $source foreach grep { $_->{adapter} eq 'teltonika' } @{ $t->{listeners} };
# Once more, now with ports in the file: another address would need a restart, not SIGHUP.
$t->start_fleetd;
$t->stop_fleetd;
$t->start_fleetd;

sub bytes_of
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

sub login
{
	my ($imei) = @_;
	my $client = $t->connect('teltonika', 0);
	$client->send(pack 'n/a', $imei);
	return $client;
}

sub count_of { return $t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = '$_[0]'"); }
sub metric { return $t->metrics->{ 'fleetd_' . $_[0] } // 0; }

# 1. A device of the list, in the source of its listener
my $client = login($known);
is(bytes_of($client, 1), '01', 'a known device is let in');
$client->send(stream_packet($now - 2, $now - 1));
is(bytes_of($client, 4), '00000002', '... and its two reports are acknowledged');
is(count_of($known), '2', '... because they are stored');

# 2. One that is not in it
my $alien = login($stranger);
$alien->send(stream_packet($now));
is(bytes_of($alien, 9), '00', 'a device that the listener does not allow gets the protocol\'s no, then the end');
undef $alien;
ok(wait_for('its end', sub { metric('connections_closed_total{reason="device_not_allowed"}') == 1 }), '... which is counted');
is(count_of($stranger), '0', '... and nothing of it stored');

# 3. Another device on the same connection
$client->send(pack('n/a', $other) . stream_packet($now));
is(bytes_of($client, 5), '00', 'a connection does not change its device');
is(count_of($other), '0', '... nothing is stored for the other');

# 4. Datagrams
my $udp = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $t->port('teltonika', 1)) or die;

sub ask
{
	my ($bytes, $timeout) = @_;
	$udp->send($bytes);
	return '' unless IO::Select->new($udp)->can_read($timeout // $FleetTest::TIMEOUT);
	$udp->recv(my $answer, 2048);
	return unpack 'H*', $answer // '';
}
is(ask(datagram($stranger, 0x1234, $now, $now + 1)), '00051234013402', 'a datagram is answered when its reports are stored');
is(count_of($stranger), '2', '... they are');
is(ask(datagram($stranger, 0x1235, $now, $now + 1)), '00051235013502', 'sent again, it is answered again');
is(count_of($stranger), '2', '... and nothing is stored twice');
$udp->send(substr datagram($stranger, 1, $now), 0, 40);
$udp->send('GET / HTTP/1.1');
wait_for('bad datagrams', sub { metric('datagrams_bad_total') == 2 });
$t->wait_for_query("SELECT count(*) = 2 FROM fleet.quarantine WHERE code = 'malformed' AND raw IS NOT NULL AND source_id = $source");
is(ask(datagram($other, 2, $now)), '00050002010201', 'what is no good is in quarantine, has no answer, and harms nobody');

# 5. A revoked source: nothing is acknowledged, until it is right again
$client = login($known);
is(bytes_of($client, 1), '01', 'a device is connected');
my $position = $t->log_size;
$t->query("UPDATE fleet.source SET revoked_at = now() WHERE source_id = $source");
$client->send(stream_packet($now + 5));
is(bytes_of($client, 4), '', 'when the source is revoked its report is not acknowledged');
is($t->wait_log('source_not_permitted', $position)->{source}, $source, '... the log names the source');
is(bytes_of(login($known), 1), '', '... and its peers are turned away');
is(ask(datagram($known, 3, $now + 5), 0.2), '', '... datagrams, too');
cmp_ok(metric('connections_refused_total{reason="source_not_permitted"}'), '>=', 1, '... which is counted');
$t->query("UPDATE fleet.source SET revoked_at = NULL WHERE source_id = $source");
$t->signal('HUP');
$t->wait_log('reloaded', $position);
$client = login($known);
is(bytes_of($client, 1), '01', 'after it was put right and SIGHUP they are let in');
$client->send(stream_packet($now + 5));
is(bytes_of($client, 4), '00000001', '... and the report that was kept is taken');

# 6. Rates: ten seconds of one report a second, then it has to wait
$t->write_config(limits => { device_per_second => 1 });
$position = $t->log_size;
$t->signal('HUP');
$t->wait_log('reloaded', $position);
is(ask(datagram($other, 4, map { $now + $_ } 10 .. 20)), '0005000401040b', 'eleven reports in a datagram are taken whole');
is(ask(datagram($other, 5, $now + 21), 0.2), '', '... the next has no answer');
is(metric('datagrams_refused_total{reason="rate"}'), 1, '... it was dropped');
$client->send(stream_packet(map { $now + $_ } 10 .. 20));
is(bytes_of($client, 4), '0000000b', 'a connection, too, may be ahead by ten seconds');
$client->send(stream_packet($now + 21));
is(bytes_of($client, 4), '00000001', '... the next report is taken when it is in its rate again');
cmp_ok(metric('pauses_total{reason="rate"}'), '>=', 1, '... till then it was not read');
my $burst = [ map { document('http', $now + $_) } 1 .. 12 ];
is($t->post($burst)->{status}, 200, 'a request is taken whole');
my $answer = $t->post(document('http', $now + 13));
is($answer->{status}, 429, '... the next one of the device is not');
cmp_ok($answer->{headers}{'retry-after'}, '>=', 1, '... and told when to come again');
is($t->post(document('http2', $now))->{status}, 200, '... others are not concerned');

# 7. Addresses
$_->{allow} = ['192.0.2.0/24'] foreach grep { $_->{adapter} eq 'teltonika' } @{ $t->{listeners} };
$t->write_config;
$position = $t->log_size;
$t->signal('HUP');
$t->wait_log('reloaded', $position);
is(bytes_of(login($known), 1), '', 'an address that may not connect is turned away');
is(ask(datagram($known, 6, $now), 0.2), '', '... its datagrams, too');
is(metric('connections_refused_total{reason="not_allowed"}'), 1, '... and counted');
is(metric('datagrams_refused_total{reason="not_allowed"}'), 1, '... both');

is($t->stop_fleetd, 0, 'fleetd ends well');
done_testing();
