# Slow and hostile peers: each has a limit, a counter, and costs no memory.
use strict;
use warnings;

# Five thousand sockets need more than the usual limit of open files.
BEGIN
{
	if (!$ENV{FLEET_LIMIT_RAISED})
	{
		$ENV{FLEET_LIMIT_RAISED} = 1;
		exec 'sh', '-c', 'ulimit -S -n "$(ulimit -H -n)"; exec "$@"', 'sh', $^X, $0;
	}
}

use FleetTest;
use Test::More;
use Time::HiRes qw(time);

my $now = int time;
my $t = FleetTest->new(
	listeners => [ 'json', 'http' ],
	config => {
		batch => { rows => 500, milliseconds => 10 },
		limits => { frame_bytes => 4096, first_frame_bytes => 512, auth_seconds => 2, output_bytes => 4096, write_seconds => 2 }
	});

my $rss_at_start = $t->rss;

sub closed
{
	my ($reason) = @_;
	return $t->metrics->{"fleetd_connections_closed_total{reason=\"$reason\"}"} // 0;
}

# A connection that fleetd has ended is counted when the peer is gone too.
sub counted
{
	my ($peer, $reason) = @_;
	$peer->close;
	return wait_for("a connection to be closed for $reason", sub { closed($reason) });
}

# 1. A line that is too long
my $client = $t->connect_json;
$client->send_documents(document('long', $now));
$client->send('{"vehicle_id":"' . 'x' x 10_000);
ok($client->wait_ack(1), 'the line before one that is too long is acknowledged');
ok($client->wait_eof, '... then the connection ends');
is(counted($client, 'frame_too_long'), 1, '... and is counted');
my $first = $t->connect('json');
$first->send('A' x 5000);
ok($first->wait_eof, 'a first line without an end is cut off too');

# 2. Never authenticates
my $silent = $t->connect('json');
my $began = time;
ok($silent->wait_eof(20), 'a peer that says nothing is closed');
cmp_ok(time - $began, '>', 1, '... not before its time');
is(counted($silent, 'auth_timeout'), 1, '... and is counted');

# 3. A byte at a time, also inside UTF-8 and numbers
$client = $t->connect('json');
my $bytes = json_of({ auth => $t->token }) . "\n" . json_of(document('byte', $now, note => "stra\x{df}e 1.25e1")) . "\r\n";
foreach my $byte (split //, $bytes)
{
	$client->send($byte);
	select undef, undef, undef, 0.0005;
}
is($client->read_json->{auth}, 'ok', 'a token sent byte by byte is understood');
ok($client->wait_ack(1), '... and a document');
is($t->query("SELECT signals::jsonb->>'note' FROM fleet.telemetry WHERE vehicle = 'byte'"), "stra\x{c3}\x{9f}e 1.25e1", '... which arrives whole');

# 4. Half-closed: the answers still come
$client = $t->connect_json;
$client->send_documents(map { document('half', $now + $_) } 1 .. 10);
$client->shut_writing;
ok($client->wait_ack(10), 'who has closed his half gets his acknowledgements');
ok($client->wait_eof, '... then the connection ends');
ok(counted($client, 'eof'), '... as an ordinary end');
$client = $t->connect_json;
$client->send('{"vehicle_id":"cut","timestamp":"');
$client->shut_writing;
ok($client->wait_eof, 'half a line is dropped');
is($t->metrics->{fleetd_frames_cut_total}, 1, '... and counted');

# 5. Not our protocol at all
foreach my $noise ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", "\0" x 100 . "\n", "[[[[[[[[[[[[\n", "\n")
{
	my $peer = $t->connect('json');
	$peer->send($noise);
	ok($peer->wait_eof, sprintf 'closed after %d bytes of noise', length $noise);
}
ok($t->http('GET', '/healthz')->{status} == 200, 'fleetd is well after it');
my $raw = $t->connect('http');
$raw->send("NONSENSE\r\n\r\n");
like($raw->read_line, qr{^HTTP/1\.1 400}, 'noise on the HTTP port is 400');

# 6. Five thousand idle connections
SKIP:
{
	my $limit = `sh -c 'ulimit -n'` + 0;
	skip "the limit of open files is $limit", 3 if $limit < 5500;
	my $auth = json_of({ auth => $t->token });
	my @idle;
	foreach my $i (1 .. 5000)
	{
		my $peer = $t->connect('json');
		$peer->send_line($auth);
		push @idle, $peer;
	}
	is(scalar(grep { ($_->read_json->{auth} // '') eq 'ok' } @idle), 5000, '5000 connections are authenticated');
	my $each = ($t->rss - $rss_at_start) / 5000;
	cmp_ok($each, '<', 4096, sprintf 'an idle connection costs less than 4 kB of memory (%d bytes)', $each);
	$idle[2500]->send_documents(document('idle', $now));
	ok($idle[2500]->wait_ack(1), 'one of them among 5000 is served');
	$_->close foreach @idle;
	wait_for('the connections to be gone', sub { $t->metrics->{'fleetd_connections{state="open"}'} < 10 });
}

# 7. Acknowledgements that nobody reads
$client = $t->connect_json;
my $flood = join '', map { json_of(document('deaf', $now + $_ / 1000, location => { lat => 99, lon => $_ })) . "\n" } 1 .. 2000;
my $rss = $t->rss;
$client->socket->blocking(0);
my $sent = 0;
my $deadline = time + 20;
while (closed('write_timeout') == 0 && time < $deadline)
{
	my $n = syswrite $client->socket, $flood;
	if (defined $n) { $sent += $n; }
	elsif (!$!{EAGAIN} && !$!{EWOULDBLOCK}) { last; }
	else { select undef, undef, undef, 0.05; }
}
cmp_ok(closed('write_timeout') + ($t->metrics->{'fleetd_pauses_total{reason="output"}'} // 0), '>', 0,
	'reading stops when answers are not read');
cmp_ok($t->rss - $rss, '<', 32 << 20, '... and memory does not grow with what is sent');
$client->close;

is($t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle IN ('long', 'byte', 'half')"), '12', 'what was good is stored');

done_testing();
