# A tenant sends more than its quota: json is told which lines, http hears 429,
# trackers and brokers hear nothing, all of it comes through in the end, and
# the other tenant notices nothing.
use strict;
use warnings;

use FleetTest;
use IO::Select;
use IO::Socket::INET;
use Test::More;

my $now = int(time) - 600;
my $t = FleetTest->new(
	fleetd => 0,
	config => { connections => 1, batch => { rows => 500, milliseconds => 20 } },
	listeners => [ 'json', 'http', { adapter => 'teltonika', source => 2 }, { adapter => 'teltonika', source => 2, transport => 'udp' },
		{ adapter => 'osmand', source => 2 }, 'mqtt' ]);
$t->query("INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (7, 'small', true); UPDATE fleet.tenant SET auto_register = true WHERE tenant_id = 1;"
	  . 'INSERT INTO fleet.quota (tenant_id, events_per_second) VALUES (7, 0)');
my $token = $t->create_source(7, 'feed');
is($t->query('SELECT source_id FROM fleet.source WHERE tenant_id = 7'), 2, 'the source that the listeners name');
$t->start_fleetd;

sub quota { my ($rate) = @_; $t->query("UPDATE fleet.quota SET events_per_second = $rate WHERE tenant_id = 7"); return; }
sub small { my ($like) = @_; return $t->query("SELECT count(*) FROM fleet.event e JOIN fleet.vehicle v USING (vehicle_id) WHERE v.tenant_id = 7 AND v.name LIKE '$like%'"); }

sub post { my ($document) = @_; local $t->{token} = $token; return $t->post($document); }

# The status line of the answer to a phone.
sub phone
{
	my $socket = $t->connect('osmand')->socket;
	print $socket "GET /?id=phone&timestamp=$now&lat=50&lon=8 HTTP/1.1\r\nHost: x\r\n\r\n";
	return (<$socket> =~ /^HTTP\S+ (\d+)/)[0];
}

sub record
{
	my ($time) = @_;
	return pack('Q> C l> l> s> n C n', $time * 1000, 0, 8.6821 * 1e7, 50.1105 * 1e7, 112, 245, 9, 18) . pack('C2 C3 C C n C C', 0, 2, 1, 239, 1, 1, 66, 12345, 0, 0);
}

sub packet_body { return pack('C2', 8, scalar @_) . join('', @_) . pack('C', scalar @_); }

sub packet
{
	my $body = packet_body(@_);
	my $sum = 0;
	foreach my $byte (unpack 'C*', $body) { $sum ^= $byte; $sum = $sum & 1 ? ($sum >> 1) ^ 0xA001 : $sum >> 1 for 1 .. 8; }
	return pack('N N', 0, length $body) . $body . pack('N', $sum);
}

# All that comes until the end, or until so many bytes.
sub answer
{
	my ($socket, $n) = @_;
	my $bytes = '';
	my $select = IO::Select->new($socket);
	while (length $bytes < $n && $select->can_read($FleetTest::TIMEOUT)) { sysread($socket, $bytes, $n - length $bytes, length $bytes) or last; }
	return unpack 'H*', $bytes;
}

sub tracker
{
	my ($imei) = @_;
	my $device = $t->connect('teltonika');
	$device->send(pack('n/a', $imei));
	is(answer($device->socket, 1), '01', 'a tracker logs in');
	return $device;
}

# After a refusal a source is not listened to for a second.
sub held { select(undef, undef, undef, 1.2); return; }

# 1. Nothing may be stored
my $client = $t->connect_json(token => $token);
$client->send_documents(map { document('json', $now + $_) } 1 .. 3);
$client->wait_ack(3);
is_deeply([ map { "$_->{line} $_->{code} $_->{field}" } @{ $client->rejected } ], [ map { "$_ over_quota events_per_second" } 1 .. 3 ], 'json: told line by line');
held();
my $response = post(document('http', $now));
is($response->{status}, 429, 'http: 429');
is($response->{headers}{'retry-after'}, 5, '... and when to come back');
$response = post(document('http', $now));
is($response->{headers}{'retry-after'}, 1, 'for a second nothing of the source reaches the database');
my $imei = '123456789012345';
my $device = tracker($imei);
$device->send(packet(map { record($now + $_) } 1 .. 3));
is(answer($device->socket, 4), '', 'a tracker gets no answer, and its connection is closed');
is($t->wait_log('connection_closed')->{reason}, 'over_quota', '... for that reason');
is($t->query('SELECT count(*) FROM fleet.event'), 0, 'nothing is stored');
is($t->query("SELECT count(*), sum(value::integer) FROM fleet.quarantine WHERE tenant_id = 7 AND report IS NULL AND code = 'over_quota'"), '3|7',
	'... and of each statement one row tells how many');
is($t->metrics->{fleetd_over_quota_total}, 7, '... as a metric does');

# 2. The other tenant, meanwhile
my $other = $t->connect_json;
$other->send_documents(map { document('other', $now + $_ / 10) } 1 .. 1000);
$other->wait_ack(1000);
is(scalar @{ $other->rejected }, 0, 'the neighbour has everything taken');

# 3. There is room again: all is sent again, and comes through
quota(1000);
$client->send_documents(map { document('json', $now + $_) } 1 .. 3);
$client->wait_ack(6);
is(scalar @{ $client->rejected }, 3, 'json: taken when it is sent again');
is(post(document('http', $now))->{status}, 200, 'http: too');
$device = tracker($imei);
$device->send(packet(map { record($now + $_) } 1 .. 3));
is(answer($device->socket, 4), '00000003', 'the tracker: too');
is(small(''), 7, 'all is stored');

# 4. A packet larger than the bucket goes through in pieces: what is stored is a
# repeat the next time.  Frames before the one that is refused are acknowledged.
quota(0.5);
my $large = packet(map { record($now + 100 + $_) } 1 .. 8);
my $tries = 0;
my $got = '';
my $until = time + 60;
while ($got ne '00000008' && time < $until)
{
	$device = tracker($imei);
	$device->send($large);
	$got = answer($device->socket, 4);
	$tries++;
	select(undef, undef, undef, 1) if $got eq '';
}
is($got, '00000008', 'a packet larger than the quota is confirmed in the end');
cmp_ok($tries, '>', 1, '... not the first time');
is($t->query("SELECT count(*), count(DISTINCT event_time) FROM fleet.event e JOIN fleet.vehicle v USING (vehicle_id) WHERE v.name = '$imei'"), '11|11', '... and stored once');

# 5. UDP and phones
quota(0);
my $udp = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $t->port('teltonika', 1)) or die "udp: $@\n";
my $body = pack('n C C n/a', 0xcafe, 1, 5, $imei) . packet_body(record($now + 200));
$udp->send(pack('n/a', $body));
wait_for('the datagram', sub { $t->metrics->{'fleetd_datagrams_refused_total{reason="over_quota"}'} });
ok(!IO::Select->new($udp)->can_read(0.2), 'a datagram gets no answer');
is(phone(), 503, 'a phone is told to come back');
quota('NULL');
held();
$udp->send(pack('n/a', $body));
is(answer($udp, 7), '0005cafe010501', '... is answered when it is sent again');
is(phone(), 200, 'the phone, too');

$t->stop;
done_testing();
