# An administrator of one tenant leaves transactions open that lock what the
# reports of all tenants need: his sessions are ended, nobody else's.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use Test::More;

my $t = FleetTest->new(config => { tick_seconds => 0, connections => 1, batch => { rows => 100, milliseconds => 10 } });
$t->query("INSERT INTO fleet.tenant (tenant_id, name) VALUES (2, 'other');"
	  . ' CREATE ROLE neighbour LOGIN IN ROLE fleet_admin; CREATE ROLE boss LOGIN IN ROLE fleet_owner;'
	  . " SELECT fleet.grant_tenant('neighbour', 2)");
$t->query('GRANT EXECUTE ON FUNCTION fleet.tick() TO PUBLIC');

# A session that does something and leaves its transaction open.
sub open_transaction
{
	my ($role, $sql) = @_;
	my %session = (in => "BEGIN; $sql;\n\\echo begun\n", out => '', err => '');
	$session{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $t->conninfo . " user=$role" ],
		'<', \$session{in}, '>', \$session{out}, '2>', \$session{err});
	wait_for('a transaction to be open', sub { $session{run}->pump_nb; $session{out} =~ /begun/ });
	return \%session;
}
sub is_open { my ($role) = @_; return $t->query("SELECT count(*) FROM pg_stat_activity WHERE usename = '$role'"); }
sub finish
{
	my ($session) = @_;
	$session->{in} .= "\\q\n";
	eval { $session->{run}->finish; 1 } or $session->{run}->kill_kill;
	return;
}
sub ended { return $t->query("SELECT fleet.end_blockers('500 ms')"); }
sub waits { return $t->wait_for_query("SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity USING (pid) WHERE NOT granted AND usename = 'fleetd' AND waitstart < clock_timestamp() - interval '600 ms')"); }

my $peer = $t->connect_json;
my $sent = 0;
sub send_one { $sent++; return $peer->send_documents(document("car$sent", time - 3)); }

# 1. Locks that keep reports out, each by what an administrator may do
foreach my $sql ('LOCK TABLE fleet.device IN ACCESS EXCLUSIVE MODE', 'DELETE FROM fleet.vehicle WHERE false', "SELECT fleet.rekey_devices(2, '{}', '{}')")
{
	my $neighbour = open_transaction('neighbour', $sql);
	send_one();
	waits();
	is(ended(), 1, "ended: $sql");
	ok($peer->wait_ack($sent), '... and the report is stored');
	is(is_open('neighbour'), 0, '... the session is gone');
	finish($neighbour);
}

# 2. Behind somebody who waits himself
my $reader = open_transaction('neighbour', 'SELECT count(*) FROM fleet.device');
my $behind = { in => "BEGIN; LOCK TABLE fleet.device IN ACCESS EXCLUSIVE MODE;\n", out => '', err => '' };
$behind->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $t->conninfo . ' user=neighbour' ], '<', \$behind->{in}, '>', \$behind->{out}, '2>', \$behind->{err});
wait_for('the lock to be waited for', sub { $behind->{run}->pump_nb; $t->query_is('SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)') });
send_one();
waits();
is(ended(), 1, 'the end of the queue goes first');
wait_for('the next one', sub { $t->query_is("SELECT count(*) FROM pg_stat_activity WHERE usename = 'neighbour'", '1') });
$t->wait_for_query("SELECT EXISTS (SELECT FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' AND relation = 'fleet.device'::regclass)");
is(ended(), 1, '... then the next');
ok($peer->wait_ack($sent), '... and the report is stored');
finish($_) foreach $reader, $behind;

# 3. The clock's lock
my $clock = open_transaction('neighbour', 'SELECT fleet.tick()');
$t->query('SELECT pg_sleep(0.6)');
is($t->query('SELECT fleet.end_blockers()'), 0, 'patience first');
is(ended(), 1, 'who keeps the clock is ended');
finish($clock);

# 4. Whom it does not concern: a transaction that nobody waits for, and fleet_owner
my $idle = open_transaction('neighbour', 'SELECT count(*) FROM fleet.device');
my $boss = open_transaction('boss', 'LOCK TABLE fleet.device IN EXCLUSIVE MODE');
send_one();
waits();
is(ended(), 0, 'nobody is ended');
is(is_open('neighbour') . is_open('boss'), '11', '... both are there');
finish($boss);
ok($peer->wait_ack($sent), 'the report is stored when the owner has done');
finish($idle);

is($t->stop_fleetd, 0, 'fleetd ends well');
done_testing();
