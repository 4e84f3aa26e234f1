# PostgreSQL is away: nothing is acknowledged, memory stays bounded, and all
# goes on when it is back.
use strict;
use warnings;

use FleetTest;
use Test::More;

my $now = time;
my $high = 4 << 20;
my $t = FleetTest->new(
	listeners => [ 'json', 'http' ],
	config => { batch => { rows => 200, milliseconds => 20 }, queue => { high_bytes => $high, low_bytes => $high / 2 },
		http => { body_bytes => 1 << 20 } });

my $client = $t->connect_json;
$client->send_documents(document('before', $now));
ok($client->wait_ack(1), 'acknowledged while the database is there');
my $rss_before = $t->rss;

my $position = $t->log_size;
$t->node->stop('fast');
$t->wait_log('database_lost', $position);

# 1. No acknowledgement without a database
$client->send_documents(map { document('away', $now + $_) } 1 .. 50);
is(eval { $client->wait_ack(2, 1.5); 1 }, undef, 'no acknowledgement while it is away');
like($@, qr/no line came in time/, '... and the connection stays');
my $answer = $t->post(document('http', $now));
is($answer->{status}, 503, 'HTTP answers 503');
like($answer->{headers}{'retry-after'} // '', qr/^\d+$/, '... with Retry-After');
is($t->http('GET', '/healthz')->{status}, 503, 'healthz says so too');

# 2. Memory is bounded while a flood comes
my $ledger = $t->dir . '/flood.ledger';
my $flood = $t->start_fleetsim('run', $t->delivery, '--vehicles', 500, '--max', '--count', 60_000, '--start', FleetTest::iso_time($now - 7200),
	'--connections', 8, '--ledger', $ledger, '--drain', 120);
wait_for('reading to stop', sub { ($t->metrics->{'fleetd_pauses_total{reason="sink"}'} // 0) > 0 });
my $metrics = $t->metrics;
cmp_ok($metrics->{fleetd_queue_bytes}, '<=', $high * 1.25, 'the queue keeps to its mark');
cmp_ok($t->rss - $rss_before, '<', 48 << 20, 'memory grew by less than 48 MB');
is($metrics->{fleetd_database_up}, 0, 'the metrics say that the database is away');

# 3. A token that is known keeps working; one that is not cannot be checked
my $late = $t->connect('json');
$late->send_line('{"auth":"never-seen-before"}');
like($late->read_line, qr/^\{"error":"/, 'an unknown token is refused meanwhile');

# 4. It is back
$t->node->start;
ok($client->wait_ack(51), 'what waited is acknowledged');
is($t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = 'away'"), '50', '... and stored');
my ($code, $out, $err) = $t->finish_fleetsim($flood);
is($code, 0, 'the flood is acknowledged to the last') or diag("$out$err");
$t->verify($ledger, '... lost 0, stored twice 0');
is($t->http('GET', '/healthz')->{status}, 200, 'healthz is well again');
is($t->post(document('http', $now))->{status}, 200, 'and HTTP takes telemetry');
cmp_ok($t->rss - $rss_before, '<', 64 << 20, 'memory stayed bounded throughout');
$t->wait_for_query('SELECT true');
is($t->metrics->{fleetd_queue_rows}, 0, 'nothing is left in the queue');

# 5. A daemon that starts before its database
$t->stop_fleetd;
$t->node->stop('fast');
$t->start_fleetd(away => 1);
is($t->http('GET', '/healthz')->{status}, 503, 'started without a database it says that it is not well');
$t->node->start;
wait_for('fleetd to find the database', sub { $t->http('GET', '/healthz')->{status} == 200 });
$client = wait_for('a client to be let in', sub { eval { $t->connect_json } });
$client->send_documents(document('after', $now));
ok($client->wait_ack(1), 'and works when it has come');

done_testing();
