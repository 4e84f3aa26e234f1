# A real broker, mosquitto: two daemons share the load, one is killed in the
# middle of it, the database goes away, the broker restarts: nothing is lost and
# nothing stored twice.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use Test::More;

my ($broker) = grep { -x $_ } map { "$_/mosquitto" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
my ($found) = grep { -x "$_/mosquitto_pub" } split /:/, $ENV{PATH};
plan skip_all => 'mosquitto is not installed' unless $broker && $found;

my $now = time - 1000;
my $t = FleetTest->new(listeners => ['http'], fleetd => 0);
my $dir = $t->dir;
my $source = $t->query("SELECT source_id FROM fleet.create_source(1, 'broker')");
my ($port, $tls_port) = (PostgreSQL::Test::Cluster::get_free_port(), PostgreSQL::Test::Cluster::get_free_port());

# --- the broker ---
my $made;
IPC::Run::run(
	[
		'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
		'-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', "$dir/key", '-out', "$dir/crt"
	],
	'>', \$made, '2>&1') or die "openssl: $made\n";
IPC::Run::run([ 'mosquitto_passwd', '-b', '-c', "$dir/passwords", 'fleetd', 'secret' ], '>', \$made, '2>&1')
  or die "mosquitto_passwd: $made\n";
my $user = getpwuid $>;
spew("$dir/mosquitto.conf", <<"CONF");
user $user
per_listener_settings false
allow_anonymous false
password_file $dir/passwords
persistence true
persistence_location $dir/
max_queued_messages 0
listener $port 127.0.0.1
listener $tls_port 127.0.0.1
certfile $dir/crt
keyfile $dir/key
CONF
my $mosquitto;

sub start_broker
{
	$mosquitto = { out => '' };
	$mosquitto->{run} = IPC::Run::start([ $broker, '-c', "$dir/mosquitto.conf" ], '<', \'', '>', "$dir/mosquitto.log", '2>&1');
	wait_for('mosquitto', sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
	return;
}

sub stop_broker
{
	return unless $mosquitto;
	$mosquitto->{run}->signal('TERM');
	eval { $mosquitto->{run}->finish };
	undef $mosquitto;
	return;
}

# Publishes documents of a vehicle, one by one; returns the run, to be finished.
sub publish
{
	my ($vehicle, $count, $breath) = @_;
	my $file = spew("$dir/$vehicle.lines", map { json_of(document($vehicle, $now + $_ / 10)) . "\n" } 1 .. $count);
	return IPC::Run::start(
		[ 'sh', '-c', 'while read -r l; do echo "$l"; sleep ' . ($breath // 0) . '; done <"$0" | "$@"', $file,
			'mosquitto_pub', '-h', '127.0.0.1', '-p', $port, '-u', 'fleetd', '-P', 'secret', '-q', 1, '-t', "telemetry/$vehicle", '-l' ],
		'>', "$dir/$vehicle.out", '2>&1', IPC::Run::timeout($FleetTest::TIMEOUT));
}

sub stored
{
	my ($like) = @_;
	return $t->query("SELECT count(*), count(DISTINCT (vehicle, event_time)) FROM fleet.telemetry WHERE vehicle LIKE '$like'");
}

sub wait_stored
{
	my ($like, $count, $name) = @_;
	eval { $t->wait_for_query("SELECT count(*) >= $count FROM fleet.telemetry WHERE vehicle LIKE '$like'", 't', 30) };
	is(stored($like), "$count|$count", $name);
	return;
}

# --- two daemons ---
my %common = (adapter => 'mqtt-broker', source => $source + 0, user => 'fleetd', password => 'secret', keep_alive_seconds => 2, window => 50);
my %config = (batch => { rows => 100, milliseconds => 20 }, log => { level => 'debug' });
my $other_dir = PostgreSQL::Test::Utils::tempdir('other');
my $other = bless { %$t, dir => $other_dir, ports => {}, sims => [], config => {} }, 'FleetTest';

END { $other->stop if $other; stop_broker(); }

start_broker();
$t->start_fleetd(%config, sources => [ { %common, server => "127.0.0.1:$port", client_id => 'one' } ]);
# the other one with TLS, by name, in the older version
$other->start_fleetd(%config,
	sources => [ { %common, server => "localhost:$tls_port", client_id => 'two', version => 4, tls => { ca => "$dir/crt" } } ]);
is($_->wait_log('broker_connected')->{filter}, '$share/pgfleet/telemetry/+', 'subscribed to a share') foreach $t, $other;

# 1. The load is shared
publish("plain-$_", 100)->finish foreach 1, 2;
wait_stored('plain-%', 200, 'all is stored, once');
my @shares = map { $_->metrics->{fleetd_broker_messages_total} } $t, $other;
ok($shares[0] > 20 && $shares[1] > 20, 'both daemons had their share') or diag("@shares");
is($t->metrics->{fleetd_brokers_up}, 1, 'the metrics say that the broker is there');
wait_for('all PUBACKs', sub { $t->metrics->{fleetd_broker_unacked} == 0 });

# 2. What is no good goes to quarantine, and is acknowledged
IPC::Run::run([ 'mosquitto_pub', '-h', '127.0.0.1', '-p', $port, '-u', 'fleetd', '-P', 'secret', '-q', 1, '-t', 'telemetry/bad', '-m', $_ ])
  foreach 'no document', json_of(document('another', $now)), '{"pad":"' . 'x' x 100_000 . '"}';
$t->wait_for_query('SELECT count(*) FROM fleet.quarantine', '3');
is($t->query("SELECT count(*) FROM fleet.quarantine WHERE code IN ('malformed', 'not_permitted')"),
	'3', 'garbage, another vehicle and a message too long are in quarantine');
wait_for('PUBACK of them', sub { $t->metrics->{fleetd_broker_unacked} + $other->metrics->{fleetd_broker_unacked} == 0 });

# 3. kill -9 of a daemon, twice, in mid-load
my @pubs = map { publish("killed-$_", 400, 0.004) } 1 .. 3;
foreach my $part (1, 2)
{
	$t->wait_for_query("SELECT count(*) > $part * 300 FROM fleet.telemetry WHERE vehicle LIKE 'killed-%'");
	my $position = $t->log_size;
	$t->stop_fleetd('KILL');
	$t->start_fleetd;
	$t->wait_log('broker_connected', $position);
}
$_->finish foreach @pubs;
wait_stored('killed-%', 1200, 'kill -9 in mid-load: lost 0, stored twice 0');

# 4. The database is away: the broker keeps everything
my $position = $t->log_size;
$t->node->stop('fast');
$t->wait_log('database_lost', $position);
publish("away-$_", 300)->finish foreach 1, 2;
wait_for('the window to be full', sub { $t->metrics->{fleetd_broker_unacked} == 50 });
is($t->metrics->{fleetd_queue_rows}, 50, 'no more than the window is taken while the database is away');
# longer than the keep-alive
my $until = time + 4;
wait_for('pings to do their work', sub { time > $until });
is($t->metrics->{fleetd_brokers_up}, 1, '... and the connection stays');
$t->node->start;
wait_stored('away-%', 600, 'database away: lost 0, stored twice 0');

# 5. The broker restarts
$position = $t->log_size;
my $other_position = $other->log_size;
stop_broker();
$t->wait_log('broker_lost', $position);
start_broker();
$t->wait_log('broker_connected', $position);
$other->wait_log('broker_connected', $other_position);
publish('restarted', 100)->finish;
wait_stored('restarted', 100, 'the broker restarts: both come back');

# 6. A normal end; what comes meanwhile waits in the session
my $pub = publish('drained', 400, 0.002);
$t->wait_for_query("SELECT count(*) > 50 FROM fleet.telemetry WHERE vehicle = 'drained'");
$position = $t->log_size;
is($t->stop_fleetd, 0, 'SIGTERM in mid-load: exit code 0');
ok((grep { $_->{event} eq 'broker_left' } $t->log_events(undef, $position)), '... after DISCONNECT');
$pub->finish;
$t->start_fleetd;
wait_stored('drained', 400, '... lost 0, stored twice 0');

# 7. A source that is not permitted: nothing is acknowledged until it is put right
$position = $t->log_size;
$t->query("UPDATE fleet.source SET revoked_at = now() WHERE source_id = $source");
publish('revoked', 20)->finish;
$t->wait_log('source_not_permitted', $position);
$t->wait_log('broker_lost', $position);
is(stored('revoked'), '0|0', 'a source that is revoked stores nothing');
$t->query("UPDATE fleet.source SET revoked_at = NULL WHERE source_id = $source");
wait_stored('revoked', 20, '... and the broker had it all still when it is put right');

# More than the tenant may send: no PUBACK, and the broker brings it again
$t->query("INSERT INTO fleet.quota (tenant_id, events_per_second) VALUES (1, 3)");
publish('quota-1', 40)->finish;
wait_for('the quota', sub { grep { $_->{reason} eq 'over quota' } map { $_->log_events('broker_lost') } $t, $other });
cmp_ok($t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = 'quota-1'"), '<', 40, 'what is beyond a quota is not stored');
$t->query('DELETE FROM fleet.quota');
wait_stored('quota-1', 40, '... and with the quota gone it is all there, once');

# 8. Wrong password, wrong authority
$t->stop_fleetd;
$position = $t->log_size;
$t->start_fleetd(sources => [
	{ %common, server => "127.0.0.1:$port", client_id => 'three', password => 'wrong' },
	{ %common, server => "127.0.0.1:$tls_port", client_id => 'four', tls => { ca => 'system' } } ]);
ok($t->wait_log('broker_refuses', $position)->{code} >= 0x86, 'a wrong password is told');
wait_for('the certificate to be refused',
	sub { grep { ($_->{reason} // '') =~ /^tls: .*certificate/ } $t->log_events('broker_not_reached', $position) });
pass('a certificate of an unknown authority is not accepted');

# 9. A daemon leaves for good, as the document tells: what waits for it is not lost
$t->stop_fleetd;
$other->stop_fleetd;
publish('left', 20)->finish;
my ($recipe) = slurp('docs/protocols/mqtt-broker.md') =~ /^    mosquitto_sub (-V 5 .*)$/m;
$recipe =~ s/CLIENT_ID/one/;
my $said = `mosquitto_sub -h 127.0.0.1 -p $port -u fleetd -P secret $recipe 2>&1`;
my $waited = () = $said =~ /^telemetry\/left \{/mg;
cmp_ok($waited, '>', 0, 'messages that waited for it are printed') or diag($said);
$other->start_fleetd;
wait_stored('left', 20 - $waited, '... the other daemon has the rest');
publish('alone', 20)->finish;
wait_stored('alone', 20, '... and gets everything from then on');

done_testing();
