# Tokens while they are in use: rotated, revoked, expired, over json, http, mqtt and
# listeners that name a source; also while the database is away.
use strict;
use warnings;

use FleetTest;
use IO::Select;
use IPC::Run ();
use Test::More;
use Time::HiRes qw(sleep time);

my $mosquitto = grep { -x "$_/mosquitto_pub" } split /:/, $ENV{PATH};
my $now = int(time) - 5000;
my $t = FleetTest->new(
	fleetd => 0,
	listeners => [ 'json', 'http', 'mqtt', { adapter => 'teltonika', source => 0 }, { adapter => 'teltonika', transport => 'udp', source => 0 } ],
	config => { batch => { rows => 100, milliseconds => 10 }, auth => { cache_seconds => 3600 } });
$t->create_source(1, 'trackers');
my $trackers = $t->query("SELECT source_id FROM fleet.source WHERE name = 'trackers'");
$_->{source} = 0 + $trackers foreach grep { $_->{adapter} eq 'teltonika' } @{ $t->{listeners} };
$t->start_fleetd;

# A source and its token.
sub source
{
	my ($name, @more) = @_;
	return split /\|/, $t->query("SELECT * FROM fleet.create_source(" . join(', ', 1, "'$name'", @more) . ')');
}
sub prefix { return substr $_[0], 4, 10; }
sub metric { return $t->metrics->{ 'fleetd_' . $_[0] } // 0; }
sub events { my ($vehicle) = @_; return $t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = '$vehicle'"); }

# What the daemon says to a token.
sub greeted
{
	my ($token) = @_;
	my $client = $t->connect('json');
	$client->send_line(json_of({ auth => $token }));
	my $answer = $client->read_json;
	return $answer->{auth} // $answer->{error};
}

# The last words to a connection that is being closed, and how long they took.
sub closed_after
{
	my ($client, $sub) = @_;
	my $began = time;
	$sub->();
	my @lines;
	while (defined(my $line = $client->read_line)) { push @lines, $line; }
	return ($lines[-1] // '', time - $began);
}

# 1. json: revoked at once, and others go on
my ($feed, $token) = source('feed');
my @clients = map { $t->connect_json(token => $token) } 1 .. 20;
my $other = $t->connect_json;
$clients[$_]->send_documents(document("feed-$_", $now)) foreach 0 .. 19;
ok((grep { $_->wait_ack(1) } @clients) == 20, 'twenty connections of one token');
my $checks = metric('auth_checks_total');
my $from = $t->log_size;
my ($said, $seconds) = closed_after($clients[0], sub { $t->query("SELECT fleet.revoke_token('" . prefix($token) . "')") });
is($said, '{"error":"token revoked"}', 'a revoked token\'s connection is closed, and told why');
cmp_ok($seconds, '<', 2, '... at once');
ok((grep { $_->read_line } @clients[ 1 .. 19 ]) == 19, '... all of them');
$_->close foreach @clients;
wait_for('the count of them', sub { metric('connections_closed_total{reason="token_revoked"}') == 20 });
is(metric('auth_checks_total') - $checks, 1, '... by one question to the database');
is(join(' ', map { "$_->{prefix} $_->{reason}" } $t->log_events('token_ended', $from)), prefix($token) . ' revoked', 'the log names the token by its prefix');
is(greeted($token), 'token unknown', 'it does not come in again, whatever the cache held');
$other->send_documents(document('other', $now));
ok($other->wait_ack(1), 'another token\'s connection goes on');
is($t->query("SELECT sum(accepted) FROM fleet.batch WHERE source_id = $feed"), '20', 'what had been acknowledged is stored');

# 2. Rotation while reports stream: nothing is lost, and the old one ends in its time
my $first = $t->query("SELECT fleet.rotate_token($feed)");
my $old = $t->connect_json(token => $first);
$old->send_documents(map { document('stream', $now + $_) } 1 .. 50);
my $second = $t->query("SELECT fleet.rotate_token($feed, '2 seconds')");
my $new = $t->connect_json(token => $second);
$old->send_documents(map { document('stream', $now + $_) } 51 .. 100);
$new->send_documents(map { document('stream', $now + $_) } 101 .. 200);
ok($old->wait_ack(100) && $new->wait_ack(100), 'both tokens are good during the overlap');
my ($code, undef, $error) = $t->node->psql('fleet', "SELECT fleet.rotate_token($feed)");
like($error, qr/two tokens that are good.*revoke_token\('@{[prefix($first)]}'\)/s, 'a third one is refused, with a hint');
($said, $seconds) = closed_after($old, sub { });
is($said, '{"error":"token expired"}', 'when the overlap is over the old one\'s connection is closed');
cmp_ok($seconds, '<', 4, '... in time');
is(greeted($first), 'token unknown', '... and not let in');
$new->send_documents(document('stream', $now + 201));
ok($new->wait_ack(101), 'the new one\'s goes on');
is(events('stream'), '201', 'nothing is lost');

# 3. http: the next request is refused, and one that is being read
my ($web, $web_token) = source('web');
my @bearer = ('-H', "Authorization: Bearer $web_token");
sub post_web { local $t->{token} = $web_token; return $t->post(document('web', $now + $_[0])); }
is(post_web(1)->{status}, 200, 'http: a good token');
my $half = $t->connect('http');
$half->send("POST /v1/telemetry HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $web_token\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{");
wait_for('the request', sub { metric('http_requests') >= 1 });
($said, $seconds) = closed_after($half, sub { $t->query("SELECT fleet.revoke_token('$web_token')") });
is($said, '{"error":"token revoked"}', 'http: a request that is still coming in is answered and closed');
is(post_web(2)->{status}, 401, '... the next one is refused');
is(events('web'), '1', '... and nothing of it stored');
is(post_web(3)->{status}, 401, '... nor later');

# 4. mqtt
SKIP:
{
	skip 'mosquitto_pub is not installed', 4 unless $mosquitto;
	my ($cars, $car_token) = source('cars');
	my ($in, $out) = ('', '');
	my $pub = IPC::Run::start(
		[
			'stdbuf', '-oL', 'mosquitto_pub', '-d', '-V', 'mqttv5', '-h', '127.0.0.1', '-p', $t->port('mqtt'), '-u', 'x', '-P', $car_token, '-q', 1, '-t', 'telemetry/car', '-l'
		],
		'<', \$in, '>', \$out, '2>&1');
	$in .= json_of(document('car', $now)) . "\n";
	wait_for('PUBACK', sub { eval { $pub->pump_nb }; $out =~ /received PUBACK/ });
	is(events('car'), '1', 'mqtt: a message is stored');
	my $began = time;
	$t->query("SELECT fleet.revoke_source($cars)");
	wait_for('its end', sub { eval { $pub->pump_nb }; $out =~ /received DISCONNECT \(135\)|not authori[sz]ed/i });
	like($out, qr/DISCONNECT \(135\)|not authori[sz]ed/i, 'mqtt: revoking the source closes the connection, with "not authorized"');
	cmp_ok(time - $began, '<', 2, '... at once');
	$pub->kill_kill;
	IPC::Run::run(
		[ 'mosquitto_pub', '-h', '127.0.0.1', '-p', $t->port('mqtt'), '-u', 'x', '-P', $car_token, '-q', 1, '-t', 'telemetry/car', '-m', '{}' ],
		'<', \'', '>', \$out, '2>&1');
	isnt($?, 0, '... and it cannot come again');
}

# 5. A listener that names its source
sub codec8_login
{
	my $client = $t->connect('teltonika');
	$client->send(pack 'n/a', '356307042441013');
	my $answer = '';
	IO::Select->new($client->socket)->can_read($FleetTest::TIMEOUT) and sysread $client->socket, $answer, 1;
	return ($client, unpack 'H*', $answer);
}
my ($tracker, $answer) = codec8_login();
is($answer, '01', 'a tracker is let in');
$from = $t->log_size;
my $began = time;
$t->query("SELECT fleet.revoke_source($trackers)");
ok($tracker->wait_eof, 'when the listener\'s source is revoked it is closed, though it sends nothing');
cmp_ok(time - $began, '<', 2, '... at once');
my ($end) = @{ wait_for('its end', sub { my @ends = grep { $_->{adapter} eq 'teltonika' } $t->log_events('connection_closed', $from); @ends ? \@ends : undef }) };
is($end->{reason}, 'source_not_permitted', '... with the reason');
is($t->wait_log('source_not_permitted', $from)->{source}, $trackers, '... the log names the source');
($tracker, $answer) = codec8_login();
is($answer, '', '... it does not come in again');
$t->query("UPDATE fleet.source SET revoked_at = NULL WHERE source_id = $trackers");
wait_for('the source to be good again', sub { ($tracker, $answer) = codec8_login(); $answer eq '01' });
pass('when it is put right, they come in without SIGHUP');
$t->query("UPDATE fleet.source SET expires_at = clock_timestamp() + interval '1 second' WHERE source_id = $trackers");
ok($tracker->wait_eof, 'a source that ends closes its trackers in its time');
$t->query("SELECT fleet.rotate_token($trackers, expires_at => 'infinity')");
wait_for('the source to have another end', sub { ($tracker, $answer) = codec8_login(); $answer eq '01' });

# 6. Scope: a token for some devices
my ($some, $some_token) = source('some', "ARRAY['mine']");
my $scoped = $t->connect_json(token => $some_token);
$scoped->send_documents(document('mine', $now), document('yours', $now));
ok($scoped->wait_ack(2), 'reports of a device in scope and of one that is not');
is(json_of($scoped->rejected), json_of([ { line => 2, code => 'not_permitted', field => 'device' } ]), '... the second is refused');
is(events('mine') . events('yours'), '10', '... and not stored');
is($t->query("SELECT count(*) FROM fleet.vehicle WHERE name = 'yours'"), '0', '... nor registered');

# 7. A token with an end
my ($brief, $brief_token) = source('brief', 'NULL', "clock_timestamp() + interval '2 seconds'");
my $short = $t->connect_json(token => $brief_token);
my $long = $t->connect_json(token => $brief_token);
$t->query("UPDATE fleet.source SET expires_at = clock_timestamp() + interval '1 hour' WHERE source_id = $brief");
sleep 2.3;
$long->send_documents(document('brief', $now));
ok($long->wait_ack(1), 'an end that was put off holds no more');
($said) = closed_after($long, sub { $t->query("UPDATE fleet.source SET expires_at = clock_timestamp() + interval '1 second' WHERE source_id = $brief") });
is($said, '{"error":"token expired"}', 'one that is brought forward does');

# 8. What happened while the database was away is known when it is back
my ($gone, $gone_token) = source('gone');
my ($kept, $kept_token) = source('kept');
my $lost = $t->connect_json(token => $gone_token);
my $stays = $t->connect_json(token => $kept_token);
$from = $t->log_size;
# nobody hears of it: the daemon's connections are gone before
$t->query("ALTER ROLE fleetd NOLOGIN");
$t->query("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'fleetd'");
$t->wait_log('database_not_reached', $from);
$t->query("SELECT fleet.revoke_token('$gone_token')");
is(greeted($kept_token), 'ok', 'meanwhile the cache answers');
($said) = closed_after($lost, sub { $t->query("ALTER ROLE fleetd LOGIN") });
is($said, '{"error":"token revoked"}', 'a token revoked while the database was away ends when it is back');
$stays->send_documents(document('stays', $now));
ok($stays->wait_ack(1), 'others stay');
$from = $t->log_size;
$t->node->restart;
ok($t->wait_log('database_connected', $from), 'after a restart of the server');
$stays->send_documents(document('stays', $now + 1));
ok($stays->wait_ack(2), '... they stay too');
($said) = closed_after($stays, sub { wait_for('revocation', sub { $t->query_is("SELECT fleet.revoke_token('$kept_token')") }) });
is($said, '{"error":"token revoked"}', '... and a revocation is heard of as before');

# 9. A role that may not ask: tokens work, and the log says what does not
$t->stop_fleetd;
$t->query('REVOKE fleet_daemon FROM fleetd; GRANT fleet_ingest TO fleetd');
$from = $t->log_size;
$t->start_fleetd;
ok($t->wait_log('tokens_not_watched', $from), 'without the right to it the log says so');
is(greeted($second), 'ok', '... and tokens are good all the same');
is($t->stop_fleetd, 0, 'fleetd ends well');

# 10. No token is in the log or in the database
my $log = slurp($t->{log});
my $dump = $t->query("SELECT string_agg(x::text, ' ') FROM fleet.source_token x") . $t->query("SELECT string_agg(x::text, ' ') FROM fleet.audit_log x");
is((grep { my $secret = substr $_, 15; "$log$dump" =~ /\Q$secret\E/ } $token, $first, $second, $web_token, $gone_token, $kept_token), 0, 'nowhere is a secret');
done_testing();
