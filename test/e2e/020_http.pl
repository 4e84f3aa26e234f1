# HTTP: one document, arrays, NDJSON, gzip, errors by status, TLS, health and
# metrics.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use PostgreSQL::Test::Utils ();
use Test::More;

my $tls = PostgreSQL::Test::Utils::tempdir('tls');
my $made = IPC::Run::run(
	[
		'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', 2, '-subj', '/CN=localhost',
		'-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', "$tls/key", '-out', "$tls/crt"
	],
	'<', \'', '>', \my $out, '2>', \my $err);
die "openssl: $err" unless $made;

my $now = time;
my $t = FleetTest->new(
	listeners => [ 'http', { adapter => 'http', tls => { certificate => "$tls/crt", key => "$tls/key" } },
		{ adapter => 'json', tls => { certificate => "$tls/crt", key => "$tls/key" } } ],
	config => {
		batch => { rows => 100, milliseconds => 20 },
		http => { body_bytes => 100_000 },
		mappings => { acme => { id => 'unit', event_time => { path => 'ts', unit => 's' }, latitude => 'p.0', longitude => 'p.1' } }
	});
my @json = ('-H', 'Content-Type: application/json');
my @ndjson = ('-H', 'Content-Type: application/x-ndjson');

sub counts
{
	my ($answer) = @_;
	return join '|', $answer->{status}, map { $answer->{json}{$_} // '-' } qw(accepted repeated rejected);
}

# 1. Documents
my $answer = $t->post(document('one', $now), @json);
is(counts($answer), '200|1|0|0', 'one document');
is($t->query('SELECT count(*) FROM fleet.event'), '1', '... is committed when the answer comes');
is(counts($t->post(document('one', $now), @json)), '200|0|1|0', 'the same again is a repeat');
is(counts($t->post(document('two', $now))), '200|1|0|0', 'what curl -d sends by default is taken for JSON');
is($t->post('hello', '-H', 'Content-Type: text/plain')->{status}, 415, 'another type is 415');
is(counts($t->post([ map { document("array-$_", $now) } 1 .. 20 ], @json)), '200|20|0|0', 'an array of twenty');
my $lines = join '', map { json_of(document("line-$_", $now)) . "\n" } 1 .. 30;
is(counts($t->post($lines, @ndjson)), '200|30|0|0', 'NDJSON of thirty lines');
is($t->query('SELECT count(*) FROM fleet.event'), '52', 'fifty-two events in all');

# 2. gzip
my $zipped;
IPC::Run::run([ 'gzip', '-c' ], '<', \join('', map { json_of(document("zip-$_", $now)) . "\n" } 1 .. 200), '>', \$zipped);
is(counts($t->post($zipped, @ndjson, '-H', 'Content-Encoding: gzip')), '200|200|0|0', 'NDJSON packed with gzip');
IPC::Run::run([ 'gzip', '-9', '-c' ], '<', \('[' . ' ' x 5_000_000 . ']'), '>', \my $bomb);
is($t->post($bomb, @json, '-H', 'Content-Encoding: gzip')->{status}, 413, 'a small body that unpacks to a large one is 413');
is($t->post('no gzip at all', @json, '-H', 'Content-Encoding: gzip')->{status}, 400, 'a body that is no gzip is 400');

# 3. Rejects are told one by one
$answer = $t->post(
	[ document('r', $now), document('r', $now + 1, location => { lat => 91, lon => 0 }), { vehicle_id => 'r', timestamp => 'yesterday' } ],
	@json);
is(counts($answer), '200|1|0|2', 'one good, two bad documents');
is_deeply(
	[ map { [ $_->{index}, $_->{code}, $_->{field} ] } @{ $answer->{json}{errors} } ],
	[ [ 1, 'out_of_range', 'latitude' ], [ 2, 'malformed', 'event_time' ] ],
	'... named by index, code and field');
$answer = $t->post(json_of(document('n', $now)) . "\nnot JSON\n" . json_of(document('n', $now + 1)) . "\n", @ndjson);
is(counts($answer), '200|2|0|1', 'a bad line of NDJSON does not harm the others');

# 4. Errors
is($t->post('{"vehicle_id":', @json)->{status}, 400, 'half a document is 400');
is($t->post('[1', @json)->{status}, 400, 'half an array is 400');
is($t->http('POST', '/v1/telemetry', '-d', '{}')->{status}, 401, 'no token is 401');
is($t->http('POST', '/v1/telemetry', '-H', 'Authorization: Bearer wrong', '-d', '{}')->{status}, 401, 'a wrong token is 401');
is($t->post('x' x 200_000, @json)->{status}, 413, 'a body above the limit is 413');
is($t->http('GET', '/nowhere')->{status}, 404, 'an unknown path is 404');
is($t->http('GET', '/v1/telemetry')->{status}, 405, 'a GET of telemetry is 405');

# 5. Health and metrics
$answer = $t->http('GET', '/healthz');
is($answer->{status}, 200, 'healthz is 200');
$answer = $t->http('GET', '/metrics');
is($answer->{status}, 200, 'metrics is 200');
like($answer->{headers}{'content-type'}, qr{^text/plain; version=0\.0\.4}, '... as Prometheus text');
my $metrics = $t->metrics;
is($metrics->{'fleetd_records_decided_total{verdict="accepted"}'}, $t->query('SELECT count(*) FROM fleet.event'),
	'the metrics count the accepted records as the database does');
is($metrics->{'fleetd_records_decided_total{verdict="rejected"}'}, $t->query('SELECT count(*) FROM fleet.quarantine'),
	'... and the rejected ones');
is($metrics->{'fleetd_http_responses_total{code="401"}'}, 2, '... and answers by status');
unlike($answer->{body}, qr/\Q$t->{token}\E/, '... and tell no token');

# 6. TLS
$answer = $t->http('POST', '/v1/telemetry', 'tls', '--cacert', "$tls/crt", '-H', "Authorization: Bearer $t->{token}",
	@json, '-d', json_of(document('tls', $now)));
is(counts($answer), '200|1|0|0', 'a document over TLS, the certificate checked');
my ($code, $said, $errors) = $t->fleetsim('run', '--to', 'localhost:' . $t->port('json'), '--protocol', 'json', '--token', $t->token,
	'--tls', '--ca', "$tls/crt", '--vehicles', 10, '--count', 500, '--max');
is($code, 0, 'fleetsim over TLS has everything acknowledged') or diag("$said$errors");
($code, $said, $errors) = $t->fleetsim('run', $t->delivery('http'), '--vehicles', 10, '--first-vehicle', 100, '--count', 2000, '--max', '--gzip', '--http-batch', 100);
is($code, 0, 'fleetsim over HTTP with gzip as well') or diag("$said$errors");

done_testing();
