# MQTT with real clients: mosquitto_pub of Debian in both versions, QoS 0 and 1,
# TLS, wrong passwords, wills, refused subscriptions, and fleetd killed in mid-load.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use Test::More;

my ($found) = grep { -x "$_/mosquitto_pub" } split /:/, $ENV{PATH};
plan skip_all => 'mosquitto_pub is not installed' unless $found;

my $tls = PostgreSQL::Test::Utils::tempdir('tls');
my $made;
IPC::Run::run(
	[
		'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
		'-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', "$tls/key", '-out', "$tls/crt"
	],
	'>', \$made, '2>&1') or die "openssl: $made\n";

my $now = time - 100;
my $t = FleetTest->new(
	listeners => [
		'mqtt',
		{ adapter => 'mqtt', tls => { certificate => "$tls/crt", key => "$tls/key" } },
		{ adapter => 'mqtt', topic => 'fleet/+/{vehicle}/up/#' },
		'http'
	],
	config => {
		batch => { rows => 500, milliseconds => 20 },
		mappings => { acme => { id => 'unit', event_time => 'ts', latitude => 'y', longitude => 'x' } }
	});

# Runs a client of mosquitto to its end; returns exit code and what it said.
sub mosquitto
{
	my ($program, $nth, @arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run(
		[ $program, '-h', '127.0.0.1', '-p', $t->port('mqtt', $nth), '-u', 'anything', '-P', $t->token, @arguments ],
		'<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout($FleetTest::TIMEOUT));
	return ($? >> 8, "$out$err");
}

sub events { my ($vehicle) = @_; return $t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = '$vehicle'"); }

# 1. Both versions, both qualities of service
foreach my $version ('mqttv311', 'mqttv5')
{
	foreach my $qos (0, 1)
	{
		my $vehicle = "$version-$qos";
		my ($code, $said) = mosquitto('mosquitto_pub', 0, '-V', $version, '-q', $qos, '-t', "telemetry/$vehicle",
			'-m', json_of(document($vehicle, $now)));
		is($code, 0, "$vehicle: published") or diag($said);
		$t->wait_for_query("SELECT count(*) = 1 FROM fleet.telemetry WHERE vehicle = '$vehicle'") if $qos == 0;
		is(events($vehicle), '1', "$vehicle: stored" . ($qos ? ' when mosquitto_pub ends' : ''));
	}
}

# 2. The topic tells the vehicle; a document may leave it out, and may not contradict
my %anonymous = %{ document('x', $now) };
delete $anonymous{vehicle_id};
my ($code, $said) = mosquitto('mosquitto_pub', 0, '-q', 1, '-t', 'telemetry/by-topic', '-m', json_of(\%anonymous));
is(events('by-topic'), '1', 'a document without device is the topic\'s');
($code, $said) = mosquitto('mosquitto_pub', 0, '-d', '-V', 'mqttv5', '-q', 1, '-t', 'telemetry/mine', '-m', json_of(document('yours', $now)));
like($said, qr/PUBACK.*RC:135|Not authorized/i, 'a document of another vehicle is not authorized, in MQTT 5');
($code, $said) = mosquitto('mosquitto_pub', 0, '-V', 'mqttv311', '-q', 1, '-t', 'telemetry/mine', '-m', json_of(document('yours', $now + 1)));
is($code, 0, '... and acknowledged in 3.1.1, which has no other answer');
is($t->query("SELECT count(*) FROM fleet.quarantine WHERE code = 'not_permitted' AND field = 'device'"), '2', '... both in quarantine');
is(events('mine') . events('yours'), '00', '... neither stored');
($code, $said) = mosquitto('mosquitto_pub', 0, '-d', '-V', 'mqttv5', '-q', 1, '-t', 'elsewhere', '-m', json_of(document('a', $now)));
is($t->query("SELECT count(*) FROM fleet.quarantine WHERE code = 'not_permitted' AND field = 'topic'"), '1', 'a topic of no pattern: quarantine');
($code, $said) = mosquitto('mosquitto_pub', 0, '-d', '-V', 'mqttv5', '-q', 1, '-t', 'telemetry/a', '-m', 'no json');
is($t->query("SELECT convert_from(raw, 'UTF8') FROM fleet.quarantine WHERE code = 'malformed'"), 'no json', 'a payload that is no document: quarantine');

# 3. Another pattern, another mapping
($code, $said) = mosquitto('mosquitto_pub', 2, '-q', 1, '-t', 'fleet/north/p-1/up/gps', '-m', json_of(\%anonymous));
is(events('p-1'), '1', 'a pattern of its own');
IPC::Run::run(
	[ 'mosquitto_pub', '-h', '127.0.0.1', '-p', $t->port('mqtt'), '-u', 'acme', '-P', $t->token, '-q', 1, '-t', 'telemetry/m-1',
		'-m', json_of({ unit => 'm-1', ts => iso_time($now), x => 8.5, y => 50.5 }) ],
	'<', \'', '>', \$said, '2>&1');
is($t->query("SELECT round(fleet.latitude(location)::numeric, 2) FROM fleet.telemetry WHERE vehicle = 'm-1'"), '50.50',
	'the user name chooses a mapping');

# 4. Who is not let in
foreach my $version ('mqttv311', 'mqttv5')
{
	my $ran = IPC::Run::run(
		[ 'mosquitto_pub', '-h', '127.0.0.1', '-p', $t->port('mqtt'), '-V', $version, '-u', 'a', '-P', 'wrong', '-q', 1, '-t', 'telemetry/a', '-m', '{}' ],
		'<', \'', '>', \$said, '2>&1');
	ok(!$ran, "$version: a wrong password is refused");
	like($said, qr/not authori[sz]ed|bad user name or password/i, '... with a reason');
	$ran = IPC::Run::run(
		[ 'mosquitto_pub', '-h', '127.0.0.1', '-p', $t->port('mqtt'), '-V', $version, '-q', 1, '-t', 'telemetry/a', '-m', '{}' ],
		'<', \'', '>', \$said, '2>&1');
	ok(!$ran, "$version: none is refused too");
	($code, $said) = mosquitto('mosquitto_sub', 0, '-V', $version, '-t', 'telemetry/#', '-C', 1, '-W', 2);
	like($said, qr/all subscription requests were denied/i, "$version: nobody can subscribe");
}
unlike(slurp("$t->{dir}/fleetd.log"), qr/\Q$t->{token}\E|"wrong"/, 'the log holds no password');

# 5. TLS
($code, $said) = mosquitto('mosquitto_pub', 1, '--cafile', "$tls/crt", '-q', 1, '-t', 'telemetry/tls', '-m', json_of(\%anonymous));
is($code, 0, 'TLS') or diag($said);
is(events('tls'), '1', '... stored');

# 6. The will: a client that vanishes is reported as not connected, one that leaves is not
sub connected
{
	my ($vehicle) = @_;
	return "SELECT string_agg(s->>'connected', ',' ORDER BY event_time)
	  FROM (SELECT event_time, received_at, signals::jsonb AS s FROM fleet.telemetry WHERE vehicle = '$vehicle') x WHERE s ? 'connected'";
}
foreach my $vanishes (1, 0)
{
	my $vehicle = "will-$vanishes";
	my ($in, $out) = ('', '');
	my $pub = IPC::Run::start(
		[ 'mosquitto_pub', '-h', '127.0.0.1', '-p', $t->port('mqtt'), '-u', 'a', '-P', $t->token, '-q', 1, '-k', 5, '-t', "telemetry/$vehicle",
			'--will-topic', "telemetry/$vehicle", '--will-payload', 'gone', '-l' ],
		'<', \$in, '>', \$out, '2>&1');
	my ($old, $new) = ($now, time + 2);
	$in .= json_of(document($vehicle, $old)) . "\n";
	wait_for('a report of the time before', sub { $pub->pump_nb; events($vehicle) == 1 });
	$in .= json_of(document($vehicle, $new)) . "\n";
	wait_for('a report and its like', sub { $pub->pump_nb; events($vehicle) == 3 });
	is($t->query(connected($vehicle) . " AND event_time = to_timestamp($new)"), 'true',
		'a connection with a will says that its vehicle is connected, as of its first new report');
	if ($vanishes)
	{
		$pub->kill_kill;
		$t->wait_for_query(connected($vehicle), 'true,false');
		is($t->query("SELECT signals::jsonb->>'connected' FROM fleet.telemetry WHERE vehicle = '$vehicle' ORDER BY event_time DESC LIMIT 1"),
			'false', '... and after its death that it is not');
	}
	else
	{
		my $position = $t->log_size;
		$pub->finish;
		$t->wait_log('connection_closed', $position);
		is($t->query(connected($vehicle)), 'true', '... and nothing after DISCONNECT');
	}
}

# 7. Keep-alive: a client that falls silent is closed after 1.5 times of it
my $silent = $t->connect('mqtt');
my $connect = pack('n/a* C C n n/a* n/a* n/a*', 'MQTT', 4, 0xC2, 1, 'silent', 'u', $t->token);
my $position = $t->log_size;
$silent->send("\x10" . chr(length $connect) . $connect);
my $event = $t->wait_log('connection_closed', $position, 5);
is($event->{reason}, 'idle', 'a keep-alive of one second that is not kept');
ok($event->{age_ms} >= 1500 && $event->{age_ms} < 4000, '... ends the connection after one and a half') or diag($event->{age_ms});

# 8. One client, one connection: the newer one takes over
my @clients;
foreach my $round (0, 1)
{
	$position = $t->log_size;
	my $client = $t->connect('mqtt');
	my $again = pack('n/a* C C n n/a* n/a* n/a*', 'MQTT', 4, 0xC2, 60, 'twice', 'u', $t->token);
	$client->send("\x10" . chr(length $again) . $again);
	push @clients, $client;
	wait_for('CONNACK', sub { sysread $client->socket, my $connack, 4 });
}
$event = $t->wait_log('connection_closed', $position, 5);
like($event->{detail} // '', qr/taken over/, 'a second connection of a client ends the first');

# 9. kill -9 in mid-load; the clients send again what had no PUBACK
my $per_client = 600;
my @pubs;
foreach my $i (1 .. 4)
{
	my $lines = join '', map { json_of(document("load-$i", $now + $_ / 10)) . "\n" } 1 .. $per_client;
	my $file = spew($t->dir . "/load-$i", $lines);
	my $pub = { out => '' };
	# Line by line with a breath, so that there is a middle.
	$pub->{run} = IPC::Run::start(
		[ 'sh', '-c', 'while read -r l; do echo "$l"; sleep 0.004; done <"$0" | "$@"', $file,
			'mosquitto_pub', '-h', '127.0.0.1', '-p', $t->port('mqtt'), '-u', 'a', '-P', $t->token, '-V', $i % 2 ? 'mqttv311' : 'mqttv5',
			'-q', 1, '-i', "load-$i", '-c', $i % 2 ? () : ('-x', 3600), '-t', "telemetry/load-$i", '-l' ],
		'>', \$pub->{out}, '2>&1', IPC::Run::timeout($FleetTest::TIMEOUT));
	push @pubs, $pub;
}
foreach my $part (1, 2)
{
	$t->wait_for_query("SELECT count(*) > $part * $per_client FROM fleet.telemetry WHERE vehicle LIKE 'load-%'");
	$t->stop_fleetd('KILL');
	$t->start_fleetd;
}
$_->{run}->finish foreach @pubs;
note($_->{out}) foreach @pubs;
$t->wait_for_query("SELECT count(*) >= 4 * $per_client FROM fleet.telemetry WHERE vehicle LIKE 'load-%'", 't', 20);
is($t->query("SELECT count(*), count(DISTINCT (vehicle, event_time)) FROM fleet.telemetry WHERE vehicle LIKE 'load-%'"),
	join('|', (4 * $per_client) x 2), 'everything is stored, and nothing twice');

# 10. The simulated fleet over MQTT 5, with dirt; fleetd is killed twice; the ledger proves it
my $ledger = $t->dir . '/mqtt.ledger';
my $before = $t->query('SELECT count(*) FROM fleet.event');
my $sim = $t->start_fleetsim('run', $t->delivery('mqtt'), '--vehicles', 100, '--first-vehicle', 5000, '--rate', 2000, '--seconds', 4,
	'--dirt', 5, '--connections', 3, '--ledger', $ledger);
foreach my $round (1, 2)
{
	$t->wait_for_query("SELECT count(*) > $before + 1500 * $round FROM fleet.event");
	$t->stop_fleetd('KILL');
	$t->start_fleetd;
}
my ($out, $err);
($code, $out, $err) = $t->finish_fleetsim($sim);
is($code, 0, 'fleetsim: everything was acknowledged in the end') or diag("$out$err");
$t->verify($ledger, 'fleetsim: lost 0, stored twice 0');

# 11. What the blaster counts is what is stored
$before = $t->query('SELECT count(*) FROM fleet.event');
($code, $out, $err) = $t->fleetsim('blast', $t->delivery('mqtt'), '--vehicles', 100, '--count', 10000);
like($out, qr/sent=10000 acked=10000 rejected=0/, 'blast: all acknowledged') or diag($err);
is($t->query('SELECT count(*) FROM fleet.event') - $before, 10000, '... and stored');

done_testing();
