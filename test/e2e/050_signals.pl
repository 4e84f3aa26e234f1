# SIGTERM drains, a second one stops, SIGHUP reloads; the command line.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use Test::More;

my $now = time;
my $t = FleetTest->new(listeners => [ 'json', 'http' ], config => { batch => { rows => 5000, milliseconds => 1000 } });

# 1. The command line
my ($out, $err);
ok(IPC::Run::run([ 'shim/fleetd', '--version' ], '>', \$out, '2>', \$err), '--version ends well');
my ($version) = slurp('control/fleet.control') =~ /^default_version = '(.*)'/m;
is($out, "fleetd $version\n", '... and tells the version of the control file');
ok(IPC::Run::run([ 'shim/fleetd', '--help' ], '>', \$out, '2>', \$err), '--help ends well');
like($out, qr/batch\.rows/, '... and tells the settings');
ok(IPC::Run::run([ 'shim/fleetd', '--check', '-c', $t->dir . '/fleetd.json' ], '>', \$out, '2>', \$err), '--check of a good file ends well');
my $bad = spew($t->dir . '/bad.json', '{"listeners":[],"no_such_setting":1}');
ok(!IPC::Run::run([ 'shim/fleetd', '--check', '-c', $bad ], '>', \$out, '2>', \$err), '--check of a bad one does not');
like("$out$err", qr/no_such_setting/, '... and names the setting');

# 2. SIGTERM commits what is in flight, and acknowledges it
my $client = $t->connect_json;
$client->send_documents(map { document('drain', $now + $_) } 1 .. 100);
wait_for('fleetd to read', sub { $t->metrics->{fleetd_queue_rows} == 100 });
my $position = $t->log_size;
$t->signal('TERM');
ok($client->wait_ack(100), 'what was in flight is acknowledged after SIGTERM');
ok($client->wait_eof, '... then the connection ends');
is($t->wait_fleetd, 0, '... and fleetd with exit code 0');
is($t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = 'drain'"), '100', '... all of it is stored');
ok(scalar($t->log_events('drained', $position)), '... and the log says "drained"');

# 3. A second SIGTERM ends at once, although the database blocks the commit
$t->start_fleetd(batch => { rows => 5000, milliseconds => 20 });
$client = $t->connect_json;
my $blocker = $t->node->background_psql('fleet');
$blocker->query_safe('BEGIN; LOCK TABLE fleet.vehicle_state IN ACCESS EXCLUSIVE MODE');
$client->send_documents(document('blocked', $now));
$t->wait_for_query("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'fleetd' AND query ILIKE '%copy fleet.ingest%'");
$position = $t->log_size;
$t->signal('TERM');
$t->wait_log('draining', $position);
kill 0, $t->fleetd_pid or die;
ok(1, 'the first SIGTERM waits for the commit');
$t->signal('TERM');
my $status = $t->wait_fleetd(5);
isnt($status, 0, 'the second ends it at once, with an exit code that says that something was left');
is($status & 127, 0, '... and not by a crash');
$blocker->query_safe('COMMIT');
$blocker->quit;
ok($client->wait_eof && $client->acked == 0, 'what was left had not been acknowledged');

# 4. SIGHUP
$t->start_fleetd;
$client = $t->connect_json;
$t->write_config(limits => { frame_bytes => 2048 }, mappings => { late => { id => 'u', event_time => 't', latitude => 'a', longitude => 'o' } });
$position = $t->log_size;
$t->signal('HUP');
$t->wait_log('reloaded', $position);
my $mapped = $t->connect_json(mapping => 'late');
$mapped->send_documents({ u => 'reloaded', t => FleetTest::iso_time($now), a => 1, o => 2 });
ok($mapped->wait_ack(1), 'a mapping that came with SIGHUP works');
$client->send_documents(document('kept', $now));
ok($client->wait_ack(1), 'a connection from before is kept');

spew($t->dir . '/fleetd.json', '{"database": ');
$position = $t->log_size;
$t->signal('HUP');
$t->wait_log('reload_refused', $position);
$client->send_documents(document('kept', $now + 1));
ok($client->wait_ack(2), 'after a bad reload the old settings go on');

$t->write_config(connections => 5);
$position = $t->log_size;
$t->signal('HUP');
my $warning = $t->wait_log('setting_needs_restart', $position);
is($warning->{setting}, 'connections', 'a setting that needs a restart is named');
is($warning->{level}, 'warning', '... with a warning');

is($t->stop_fleetd('INT'), 0, 'SIGINT drains as well');

done_testing();
