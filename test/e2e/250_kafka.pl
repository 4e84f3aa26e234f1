# A Kafka cluster, librdkafka's mock of one: two daemons share the partitions, one
# comes and goes, one is killed, the database goes away, the brokers go away:
# nothing is lost, nothing stored twice, and no offset is committed before the
# messages below it are.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use Test::More;

my ($kcat) = grep { -x } map { ("$_/kcat", "$_/kafkacat") } split /:/, $ENV{PATH};
plan skip_all => 'kcat is not installed' unless $kcat;
plan skip_all => 'librdkafka is not installed' unless -x 'build/tools/kafka_mock';
my $built = spew(PostgreSQL::Test::Utils::tempdir('check') . '/check.json',
	json_of({ sources => [ { adapter => 'kafka', brokers => 'localhost', topics => ['a'], source => 1 } ] }));
plan skip_all => 'fleetd was built without kafka' if `shim/fleetd --check -c $built 2>&1` =~ /built without kafka/;

my $now = time - 1000;
my $t = FleetTest->new(listeners => ['http'], fleetd => 0);
my $dir = $t->dir;
my $source = $t->query("SELECT source_id FROM fleet.create_source(1, 'kafka')");

# --- the cluster ---
my ($commands, $answers) = ('', '');
my $mock = IPC::Run::start([ 'build/tools/kafka_mock', 2, 'telemetry=4', 'keyed=2', 'headed=1', 'bulk=2' ],
	'<', \$commands, '>', \$answers, '2>', "$dir/mock.err");

# The next line that it says.
sub answer
{
	wait_for('an answer of kafka_mock', sub { $mock->pump_nb; $answers =~ /\n/ });
	$answers =~ s/^([^\n]*)\n//;
	return $1;
}

sub mock { $commands .= "$_[0]\n"; return answer(); }

my ($bootstrap) = answer() =~ /^bootstrap (.+)/;
ok($bootstrap, 'the cluster is there');

# Offsets that the group has committed, and the ends, over all partitions.
sub committed { return split / /, mock("committed pgfleet $_[0]"); }

sub wait_committed
{
	my ($topic, $name) = @_;
	my ($committed, $ends);
	eval { wait_for('offsets', sub { ($committed, $ends) = committed($topic); $committed == $ends }, 20) };
	is($committed, $ends, $name);
	return;
}

# Sends lines "KEY|VALUE", with a breath between them; returns the run.
sub produce
{
	my ($topic, $lines, $breath, @more) = @_;
	my $file = spew("$dir/produce." . $topic . int(rand 1e9), map { "$_\n" } @$lines);
	return IPC::Run::start(
		[ 'sh', '-c', $breath ? 'while read -r l; do echo "$l"; sleep ' . $breath . '; done <"$0" | "$@"' : '"$@" <"$0"', $file,
			$kcat, '-P', '-b', $bootstrap, '-t', $topic, '-K', '|', @more ],
		'>', "$dir/kcat.out", '2>&1', IPC::Run::timeout($FleetTest::TIMEOUT));
}

sub lines { my ($vehicle, $count) = @_; return [ map { "$vehicle|" . json_of(document($vehicle, $now + $_ / 10)) } 1 .. $count ]; }

# Documents of several vehicles in turn, that of all partitions.
sub fleet_lines
{
	my ($like, $vehicles, $count) = @_;
	my @all = map { lines("$like-$_", $count) } 1 .. $vehicles;
	return [ map { my $i = $_; map { $_->[$i] } @all } 0 .. $count - 1 ];
}

sub stored
{
	my ($like) = @_;
	return $t->query("SELECT count(*), count(DISTINCT (vehicle, event_time)) FROM fleet.telemetry WHERE vehicle LIKE '$like-%'");
}

sub wait_stored
{
	my ($like, $count, $name) = @_;
	eval { $t->wait_for_query("SELECT count(*) >= $count FROM fleet.telemetry WHERE vehicle LIKE '$like-%'", 't', 40) };
	is(stored($like), "$count|$count", $name);
	return;
}

sub make_certificate
{
	my $said;
	IPC::Run::run(
		[ 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', "$dir/key", '-out', "$dir/crt" ],
		'>', \$said, '2>&1') or die "openssl: $said\n";
	return "$dir/crt";
}

# --- two daemons ---
my %common = (adapter => 'kafka', source => $source + 0, brokers => $bootstrap,
	options => { 'session.timeout.ms' => 3500, 'heartbeat.interval.ms' => 300, 'auto.commit.interval.ms' => 200, 'topic.metadata.refresh.interval.ms' => 1000 });
my @sources = ({ %common, topics => ['telemetry'], in_flight => 100 });
my %config = (batch => { rows => 100, milliseconds => 20 }, log => { level => 'debug' });
my $other = bless { %$t, dir => PostgreSQL::Test::Utils::tempdir('other'), ports => {}, sims => [], config => {} }, 'FleetTest';

END
{
	local $?;
	$other->stop if $other;
	$mock->kill_kill if $mock;
}

# 1. What is produced is stored, and committed
$t->start_fleetd(%config, sources => \@sources);
is($t->wait_log('kafka_assigned')->{partitions}, 4, 'one daemon has all partitions');
produce('telemetry', fleet_lines('plain', 8, 100))->finish;
wait_stored('plain', 800, 'produced and stored');
wait_committed('telemetry', '... and its offsets are committed');
my $metrics = $t->metrics;
is($metrics->{fleetd_broker_messages_total}, 800, 'the metrics count messages');
is($metrics->{fleetd_kafka_partitions}, 4, '... partitions');
is("$metrics->{fleetd_brokers} $metrics->{fleetd_broker_unacked}", '1 0', '... and clusters');
wait_for('the cluster to be up', sub { $t->metrics->{fleetd_brokers_up} == 1 });
wait_for('the lag to be measured', sub { $t->metrics->{fleetd_kafka_lag} == 0 });

# 2. What is no good goes to quarantine, and the partition goes on
my $before = $t->query('SELECT count(*) FROM fleet.quarantine');
produce('telemetry', [ 'x|no document', 'x|{"vehicle_id":"bad","location":{"lat":1,"lon":2}}', 'x|{"pad":"' . 'x' x 100_000 . '"}',
	'x|' . json_of(document('bad-lat', $now, location => { lat => 95, lon => 8 })), @{ lines('good-1', 1) } ])->finish;
wait_stored('good', 1, 'behind messages that are no good');
$t->wait_for_query("SELECT count(*) - $before FROM fleet.quarantine", '4');
is($t->query("SELECT string_agg(DISTINCT code, ' ' ORDER BY code) FROM fleet.quarantine"),
	'malformed missing_field out_of_range', '... which are in quarantine');
is(mock('produce telemetry 0 gone'), 'ok', 'a tombstone');
wait_committed('telemetry', '... is passed over');
is($t->metrics->{fleetd_kafka_tombstones_total}, 1, '... and counted');

# 3. The database is away: no offset moves, whoever comes and goes
$other->start_fleetd(%config, sources => \@sources);
wait_for('two members', sub { $t->metrics->{fleetd_kafka_partitions} == 2 && $other->metrics->{fleetd_kafka_partitions} == 2 });
pass('the partitions are shared');
my ($committed) = committed('telemetry');
my $position = $t->log_size;
$t->node->stop('fast');
$t->wait_log('database_lost', $position);
produce('telemetry', fleet_lines('away', 16, 40))->finish;
wait_for('the limit of what is in flight', sub { $t->metrics->{fleetd_broker_unacked} >= 100 });
is($t->metrics->{fleetd_queue_rows}, 100, 'the database is away: no more is taken than may be in flight');
$t->wait_log('kafka_paused', $position);
pass('... fetching stops');
$other->stop_fleetd('KILL');
cmp_ok($t->wait_log('kafka_revoked', $position)->{dropped}, '>', 0, '... a rebalance drops what is in flight');
wait_for('all partitions', sub { $t->metrics->{fleetd_kafka_partitions} == 4 });
is((committed('telemetry'))[0], $committed, '... no offset is committed');
$t->node->start;
wait_stored('away', 640, '... the database is back: lost 0, stored twice 0');
wait_committed('telemetry', '... and then the offsets are');

# 4. Rebalances in mid-load: one goes in order, and comes back
$other->start_fleetd;
wait_for('two members', sub { $t->metrics->{fleetd_kafka_partitions} == 2 && $other->metrics->{fleetd_kafka_partitions} == 2 });
my $run = produce('telemetry', fleet_lines('moved', 8, 100), 0.005);
$t->wait_for_query("SELECT count(*) > 200 FROM fleet.telemetry WHERE vehicle LIKE 'moved-%'");
$position = $other->log_size;
is($other->stop_fleetd, 0, 'SIGTERM in mid-load: exit code 0');
ok((grep { $_->{event} eq 'kafka_left' } $other->log_events(undef, $position)), '... after it left the group');
$t->wait_for_query("SELECT count(*) > 350 FROM fleet.telemetry WHERE vehicle LIKE 'moved-%'");
$other->start_fleetd;
$run->finish;
wait_stored('moved', 800, '... lost 0, stored twice 0');
wait_committed('telemetry', '... and all offsets are committed');
my $shared = $t->metrics->{fleetd_kafka_rebalances_total};
cmp_ok($shared, '>=', 5, 'the metrics count rebalances');

# A daemon that stood still for longer than its session comes back to partitions that are not its own any more
wait_for('two members', sub { $t->metrics->{fleetd_kafka_partitions} == 2 && $other->metrics->{fleetd_kafka_partitions} == 2 });
$position = $other->log_size;
$run = produce('telemetry', fleet_lines('stood', 8, 60), 0.005);
$t->wait_for_query("SELECT count(*) > 100 FROM fleet.telemetry WHERE vehicle LIKE 'stood-%'");
$other->signal('STOP');
wait_for('the first one to have all partitions', sub { $t->metrics->{fleetd_kafka_partitions} == 4 });
$other->signal('CONT');
$other->wait_log('kafka_revoked', $position);
$run->finish;
wait_stored('stood', 480, 'a daemon that stood still: lost 0, stored twice 0');
wait_committed('telemetry', '... and all offsets are committed');

# 5. kill -9 in mid-load, and again before the group has noticed
$run = produce('telemetry', fleet_lines('killed', 8, 150), 0.004);
$t->wait_for_query("SELECT count(*) > 200 FROM fleet.telemetry WHERE vehicle LIKE 'killed-%'");
$other->stop_fleetd('KILL');
$t->stop_fleetd('KILL');
$t->start_fleetd;
$t->wait_for_query("SELECT count(*) > 600 FROM fleet.telemetry WHERE vehicle LIKE 'killed-%'");
$t->stop_fleetd('KILL');
$t->start_fleetd;
$run->finish;
wait_stored('killed', 1200, 'kill -9 in mid-load: lost 0, stored twice 0');
wait_committed('telemetry', '... and all offsets are committed');

# 6. The brokers go away, and come back
$position = $t->log_size;
is(mock('down'), 'ok', 'the brokers go away');
wait_for('that to be noticed', sub { $t->metrics->{fleetd_brokers_up} == 0 });
is(mock('up'), 'ok', '... and come back');
produce('telemetry', fleet_lines('back', 4, 50))->finish;
wait_stored('back', 200, '... and everything goes on');
wait_for('the metrics to say so', sub { $t->metrics->{fleetd_brokers_up} == 1 });

# The end while they are away: nobody can be told, and nothing hangs
produce('telemetry', fleet_lines('last', 4, 50))->finish;
wait_stored('last', 200, 'once more');
is(mock('down'), 'ok', 'the brokers go away for the end');
wait_for('that to be noticed', sub { $t->metrics->{fleetd_brokers_up} == 0 });
is($t->stop_fleetd, 0, '... exit code 0');
is(mock('up'), 'ok', '... they come back');
$position = $t->log_size;
$t->start_fleetd;
$t->wait_log('kafka_assigned', $position);

# 7. A source that is not permitted: nothing is committed until it is put right
wait_committed('telemetry', 'all is committed');
($committed) = committed('telemetry');
$position = $t->log_size;
$t->query("UPDATE fleet.source SET revoked_at = now() WHERE source_id = $source");
produce('telemetry', fleet_lines('revoked', 2, 20))->finish;
$t->wait_log('source_not_permitted', $position);
$t->wait_log('kafka_lost', $position);
is(stored('revoked'), '0|0', 'a source that is revoked stores nothing');
is((committed('telemetry'))[0], $committed, '... and commits no offset');
$t->query("UPDATE fleet.source SET revoked_at = NULL WHERE source_id = $source");
wait_stored('revoked', 40, '... and the topic has it all still when it is put right');

# More than the tenant may send: partitions rest and begin again, and nothing is lost
$t->query("INSERT INTO fleet.quota (tenant_id, events_per_second) VALUES (1, 6)");
$position = $t->log_size;
produce('telemetry', fleet_lines('quota', 4, 60))->finish;
$t->wait_log('kafka_over_quota', $position);
wait_for('a second round', sub { scalar(my @rounds = $t->log_events('kafka_over_quota', $position)) > 4 });
$committed = $t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle LIKE 'quota-%'");
ok($committed > 0 && $committed < 240, "what is beyond a quota waits in the topic, $committed are stored");
is((committed('telemetry'))[0] < (committed('telemetry'))[1], 1, '... and its offsets are not committed');
is($t->log_events('kafka_revoked', $position), 0, '... nor does the daemon leave the group');
$t->query('DELETE FROM fleet.quota');
wait_stored('quota', 240, 'with the quota gone it is all stored, once');
wait_committed('telemetry', '... and committed');
is($t->stop_fleetd, 0, 'the end: exit code 0');

# 8. The device from the key or a header, topics by pattern, cooperative rebalance
my %cooperative = (%common, options => { %{ $common{options} }, 'partition.assignment.strategy' => 'cooperative-sticky' });
$t->start_fleetd(sources => [
	{ %cooperative, topics => ['^key'], group => 'by-key', device_from => 'key' },
	{ %common, topics => ['headed'], group => 'by-header', device_from => 'header vehicle' } ]);
my %nameless = %{ document('x', $now) };
delete $nameless{vehicle_id};
produce('keyed', [ map { "by-key-$_|" . json_of(\%nameless) } 1 .. 4 ])->finish;
produce('keyed', [ 'by-key-1|' . json_of(document('another', $now)) ])->finish;
produce('headed', [ 'x|' . json_of(\%nameless) ], undef, '-H', 'vehicle=by-header-1')->finish;
produce('headed', [ 'x|' . json_of(document('by-header-2', $now)) ])->finish;
wait_stored('by-key', 4, 'the key names the device');
wait_stored('by-header', 1, 'the header does');
$t->wait_for_query("SELECT count(*) FROM fleet.quarantine WHERE code = 'not_permitted' AND field = 'device'", '1');
pass('a document that names another one is in quarantine');
$t->wait_for_query("SELECT count(*) >= 2 FROM fleet.quarantine WHERE code = 'missing_field'");
pass('... so is a message without the header');
$other->start_fleetd(sources => [ { %cooperative, topics => ['^key'], group => 'by-key', device_from => 'key' } ]);
wait_for('the other to have a partition', sub { $other->metrics->{fleetd_kafka_partitions} == 1 });
is($t->metrics->{fleetd_kafka_partitions}, 2, 'cooperative: one partition moves, the others stay');
is($other->stop_fleetd, 0, '... and it leaves in order');
wait_for('its partition to come back', sub { $t->metrics->{fleetd_kafka_partitions} == 3 });
produce('keyed', [ map { "by-key-again-$_|" . json_of(\%nameless) } 1 .. 8 ])->finish;
wait_stored('by-key-again', 8, '... to the first one, which goes on');

# 9. Hardly any room: messages as long as they may be, and the least queue
is($t->stop_fleetd, 0, 'exit code 0');
$t->start_fleetd(queue => { high_bytes => 1 << 20, low_bytes => 1 << 19 }, http => { body_bytes => 1 << 16 }, sources => [ { %common, topics => ['bulk'], group => 'bulk' } ]);
produce('bulk', [ map { "b|" . json_of(document("bulk-$_", $now, note => 'x' x 4000, map { ("pad$_" => 'y' x 4000) } 1 .. 9)) } 1 .. 60 ])->finish;
wait_stored('bulk', 60, 'long messages through a small queue');

# 10. What the entry says about security is what the brokers see
is($t->stop_fleetd, 0, 'exit code 0');
$position = $t->log_size;
my $password = spew("$dir/password", "secret\n");
my $certificate = make_certificate();
$t->start_fleetd(queue => {}, http => {}, sources => [
	{ %common, topics => ['bulk'], group => 'tls', tls => { ca => $certificate } },
	{ %common, topics => ['bulk'], group => 'sasl', user => 'fleetd', password_file => $password } ]);
wait_for('TLS to fail', sub { grep { ($_->{message} // '') =~ /ssl handshake/i } $t->log_events(undef, $position) });
pass('with tls.ca brokers must speak TLS');
wait_for('SASL to fail', sub { grep { ($_->{message} // '') =~ /SASL/ } $t->log_events(undef, $position) });
pass('with a user they must speak SASL');

# SIGHUP: a new certificate needs a new consumer, a new password does not
make_certificate();
spew($password, "secret-2\n");
$position = $t->log_size;
$t->signal('HUP');
$t->wait_log('reloaded', $position);
$t->wait_log('kafka_comes_back', $position);
wait_for('the consumer to come back', sub { grep { $_->{to} eq 'open' } $t->log_events('kafka_state', $position) });
is(scalar(grep { $_->{setting} eq 'sources[].password' } $t->log_events('setting_changed', $position)), 1, 'SIGHUP reads password_file again');
is((grep { $_->{event} eq 'kafka_comes_back' } $t->log_events(undef, $position)), 1, '... and only what has new certificates begins anew');
is((grep { json_of($_) =~ /secret/ } $t->log_events), 0, 'the log holds no password');
is($t->stop_fleetd, 0, 'exit code 0 without ever having been in the group');

done_testing();
