# Limits of the listeners: how many connections, how long they may be idle, how
# long a request may take. Each refuses with a reason and has a counter.
use strict;
use warnings;

use FleetTest;
use Test::More;
use Time::HiRes qw(time);

my $now = int time;
my $t = FleetTest->new(
	listeners => [ 'json', 'http' ],
	config => {
		batch => { rows => 500, milliseconds => 10 },
		queue => { high_bytes => 1 << 20, low_bytes => 1 << 19 },
		limits => { connections => 3, idle_seconds => 2 },
		http => { connections => 3, header_bytes => 4096, body_bytes => 1 << 20, idle_seconds => 2, commit_seconds => 1 }
	});

# 1. So many connections
my @peers = map { $t->connect_json } 1 .. 3;
my $fourth = $t->connect('json');
like($fourth->read_json->{error}, qr/^too many connections/, 'one connection too many is told so');
ok($fourth->wait_eof, '... and closed');
is($t->metrics->{'fleetd_connections_refused_total{reason="connections"}'}, 1, '... and counted');

# 2. So long without a byte
is($_->read_json->{error}, 'idle for too long', 'an idle connection is told so') foreach @peers;
is(scalar(grep { $_->wait_eof } @peers), 3, '... and closed');
$_->close foreach @peers;
wait_for('the idle to be counted', sub { ($t->metrics->{'fleetd_connections_closed_total{reason="idle"}'} // 0) == 3 });
ok($t->connect_json, 'their places are free again');

# 3. So many of one address
sub reload_limits
{
	my $position = $t->log_size;
	$t->write_config(limits => {@_});
	$t->signal('HUP');
	$t->wait_log('reloaded', $position);
	return;
}
wait_for('the first one to be gone', sub { !grep { $_ } map { $t->metrics->{"fleetd_connections{state=\"$_\"}"} } qw(hello checking open waiting closing lingering) });
reload_limits(connections => 10, connections_per_address => 1, idle_seconds => 60);
my $only = $t->connect_json;
my $second = $t->connect('json');
like($second->read_json->{error}, qr/^too many connections of this address/, 'one of an address too many is told so');
$only->close;
my $open = $t->connect('http');
is($t->http('GET', '/healthz')->{status}, 429, '... by HTTP with 429');
$open->close;
reload_limits(connections => 10, idle_seconds => 60);
is($t->metrics->{'fleetd_connections_refused_total{reason="connections_per_address"}'}, 2, '... and counted');

# 4. HTTP: the head
is($t->http('GET', '/healthz', '-H', 'X-Long: ' . 'x' x 8000)->{status}, 431, 'a head that is too long is 431');
my $slow = $t->connect('http');
$slow->send("GET /healthz HTTP/1.1\r\nHost:");
like($slow->read_line, qr{^HTTP/1\.1 408 }, 'a head that does not come to its end is 408');
ok($slow->wait_eof, '... and the connection ends');
my $body = $t->connect('http');
$body->send("POST /v1/telemetry HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " . $t->token . "\r\nContent-Length: 500\r\n\r\n{");
like($body->read_line, qr{^HTTP/1\.1 408 }, 'a body that does not come is 408 too');

# 5. HTTP: so many connections
my @heads = map { my $peer = $t->connect('http'); $peer->send("GET /healthz HTTP/1.1\r\n"); $peer } 1 .. 3;
my $answer = $t->http('GET', '/healthz');
is($answer->{status}, 503, 'one request too many is 503');
like($answer->{headers}{'retry-after'} // '', qr/^\d+$/, '... with Retry-After');
$_->close foreach @heads;
wait_for('a place to be free', sub { $t->http('GET', '/healthz')->{status} == 200 });

# 6. The database does not commit
my $blocker = $t->node->background_psql('fleet');
$blocker->query_safe('BEGIN; LOCK TABLE fleet.vehicle_state IN ACCESS EXCLUSIVE MODE');
$answer = $t->post(document('stuck', $now));
is($answer->{status}, 503, 'no commit in time is 503');
like($answer->{headers}{'retry-after'} // '', qr/^\d+$/, '... with Retry-After');
my @statuses;
foreach my $n (1 .. 20)
{
	$answer = $t->post([ map { document("full-$n-$_", $now) } 1 .. 2000 ]);
	push @statuses, $answer->{status};
	last if $answer->{status} == 429;
}
is($statuses[-1], 429, 'when too much waits it is 429') or diag("@statuses");
like($answer->{headers}{'retry-after'} // '', qr/^\d+$/, '... with Retry-After');
is($t->metrics->{'fleetd_http_responses_total{code="429"}'}, 2, '... and counted, with the one of before');
$blocker->query_safe('COMMIT');
$blocker->quit;
$t->wait_for_query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = 'stuck'", '1');
wait_for('all else to be committed', sub { $t->metrics->{fleetd_queue_rows} == 0 });
is($t->post(document('stuck', $now))->{json}{repeated}, 1, 'sent again it is a repeat');


# 7. A batch that does not come back: its connection is replaced, the batch is
# sent again, and what the first one commits after all is stored once
is($t->stop_fleetd, 0, 'fleetd ends well after all that');
$t->start_fleetd(commit_seconds => 1, limits => {});
my $client = $t->connect_json;
$blocker = $t->node->background_psql('fleet');
$blocker->query_safe('BEGIN; LOCK TABLE fleet.vehicle_state IN ACCESS EXCLUSIVE MODE');
$client->send_documents(document('lost', $now), document('lost', $now + 1));
wait_for('the batch to be sent again', sub { $t->metrics->{fleetd_batches_retried_total} > 0 });
is($client->acked, 0, 'a batch that does not come back is not acknowledged');
$blocker->query_safe('COMMIT');
$blocker->quit;
ok($client->wait_ack(2), '... until it has been sent again and committed');
is($t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = 'lost'"), '2', '... and nothing is stored twice');
done_testing;
