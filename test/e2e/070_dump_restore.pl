# A database with data, dumped and restored: every row is there again, and the
# restored database works on.
use strict;
use warnings;

use FleetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Test::More;

my $now = int time;
my $t = FleetTest->new(listeners => ['json']);

# 1. Something of everything
$t->query(<<'SQL');
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (100, 'other', true);
INSERT INTO fleet.contract (tenant_id, horizon, ranges) VALUES (1, '60 days', '{"speed_kmh": [0, 300]}');
INSERT INTO fleet.quota (tenant_id, vehicles) VALUES (100, 1000);
INSERT INTO fleet.rule (name, condition, hold, severity) VALUES ('low battery', 'battery_percent < 15 AND NOT charging', NULL, 'critical'),
    ('fast for long', 'speed_kmh > 100', '1 minute', 'info');
INSERT INTO fleet.rule (name, silence) VALUES ('offline', '1 day');
SELECT fleet.enable_standard_rule('overspeed');
INSERT INTO fleet.geofence (name, area, kind, dwell) VALUES
    ('depot', ST_MakeEnvelope(8.69, 50.09, 8.71, 50.11, 4326), 'zone', '1 minute'),
    ('river', ST_MakeEnvelope(9, 51, 9.1, 51.1, 4326), 'keep_out', NULL);
SQL
my $client = $t->connect_json;
my $other = $t->connect_json(token => $t->create_source(100, 'other'));
my @documents;
foreach my $day (0 .. 3)
{
	foreach my $i (1 .. 100)
	{
		push @documents,
		  document(
			'car-' . $i % 7,
			$now - 86400 * (4 - $day) + 30 * $i,
			location => { lat => 50.1 + ($i % 5) / 100, lon => 8.7 },
			motion => { speed_kmh => $i, heading => $i },
			battery => { percent => 100 - $i, charging => JSON::PP::false },
			note => "Stra\x{df}e \"$i\"");
	}
}
push @documents, document('car-1', $now, location => { lat => 99, lon => 0 }), { vehicle_id => 'car-1' };
push @documents, document('car-1', $now - 3600, location => { lat => 51.05, lon => 9.05 });
$client->send_documents(@documents);
$client->send_line('not JSON');
$other->send_documents(map { document('car-1', $now + $_) } 1 .. 5);
ok($client->wait_ack(404) && $other->wait_ack(5), 'data is there');
is(join(' ', map { $_->{code} } @{ $client->rejected }), 'out_of_range missing_field malformed', '... with three defects');
$t->query("SELECT fleet.acknowledge_alert(min(alert_id), 'seen') FROM fleet.alert");
$t->query("CREATE ROLE viewer LOGIN IN ROLE fleet_reader; SELECT fleet.grant_tenant('viewer', 1);
	SELECT fleet.create_login_key('k1', 'HS256', sha256('a secret'), 'issuer')");
$t->query("SELECT fleet.send_command('car-1', 'lock', '{\"pin\": 1}')");
# less than there is, which must not keep a dump from being restored
$t->query('INSERT INTO fleet.quota (tenant_id, vehicles, rules, geofences, alerts_per_day) VALUES (1, 1, 1, 1, 1)');
$t->query('SELECT fleet.tick()');
$t->stop_fleetd;

my @tables = split /\n/, $t->query(
	"SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'fleet'::regnamespace AND c.relkind IN ('r', 'p')
	AND NOT c.relispartition AND c.relname <> 'daemon_channel' ORDER BY 1");
cmp_ok(scalar @tables, '>=', 12, 'the tables of the schema: ' . join ' ', @tables);
is($t->query("SELECT string_agg(c.relname, ' ') FROM pg_class c, pg_extension e WHERE e.extname = 'fleet' AND c.relnamespace = 'fleet'::regnamespace
	AND c.relkind = 'r' AND NOT c.relispartition AND NOT c.oid = ANY (e.extconfig)"), 'daemon_channel',
	'each table that holds rows is marked to be dumped, but for the key of the channel that wakes daemons');
is($t->query("SELECT string_agg(c.relname, ' ') FROM pg_class c, pg_extension e WHERE e.extname = 'fleet' AND c.relnamespace = 'fleet'::regnamespace
	AND c.relkind = 'S' AND NOT c.oid = ANY (e.extconfig)"), '', '... and each sequence');

sub contents
{
	my ($database) = @_;
	my %contents;
	foreach my $table (@tables)
	{
		$contents{$table} = $t->node->safe_psql($database,
			"SELECT count(*), md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM fleet.\"$table\" x");
	}
	return \%contents;
}

my $before = contents('fleet');
foreach my $table (@tables)
{
	isnt((split /\|/, $before->{$table})[0], '0', "there are rows in $table");
}
my $partitions = "SELECT string_agg(relid::text, ' ' ORDER BY relid::text) FROM pg_partition_tree('fleet.event') WHERE isleaf";
my $old_partitions = $t->query($partitions);
my $policies = "SELECT string_agg(concat_ws(' ', polrelid::regclass, polname, polcmd, polpermissive, polroles::regrole[], pg_get_expr(polqual, polrelid),
	pg_get_expr(polwithcheck, polrelid), relrowsecurity, relforcerowsecurity), '|' ORDER BY polrelid::regclass::text, polname)
	FROM pg_policy JOIN pg_class c ON c.oid = polrelid";
my $old_policies = $t->query($policies);
like($old_policies, qr/fleet\.event tenant_read/, 'history has policies');

# 2. There and back again, in both forms of a dump
my $dir = PostgreSQL::Test::Utils::tempdir('dump');
my $node = $t->node;
foreach my $form ('custom', 'plain')
{
	$node->command_ok([ 'pg_dump', '-d', $node->connstr('fleet'), '-F', substr($form, 0, 1), '-f', "$dir/$form" ], "pg_dump, $form");
	$node->safe_psql('postgres', "CREATE DATABASE restored_$form");
	$node->command_ok(
		$form eq 'custom'
		? [ 'pg_restore', '-e', '-d', $node->connstr("restored_$form"), "$dir/$form" ]
		: [ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr("restored_$form"), '-f', "$dir/$form" ],
		"restore, $form, without an error");
	my $after = contents("restored_$form");
	is($after->{$_}, $before->{$_}, "$form: $_ is equal") foreach @tables;
	is($node->safe_psql("restored_$form", $partitions), $old_partitions, "$form: the partitions are the same");
	is($node->safe_psql("restored_$form", 'SELECT * FROM fleet.verify_audit()'), '', "$form: the audit log is whole");
	is($node->safe_psql("restored_$form", $policies), $old_policies, "$form: the policies too");
	is($node->safe_psql("restored_$form", "SET ROLE viewer; SELECT count(*) > 0 FROM fleet.event"), 't', "$form: a reader sees what he may");
	is($node->safe_psql("restored_$form", "SELECT count(*) FROM pg_inherits i WHERE inhparent = 'fleet.event'::regclass AND NOT EXISTS
		(SELECT FROM pg_index x WHERE x.indrelid = i.inhrelid AND x.indisprimary AND x.indisvalid)"), '0', "$form: each with its primary key");
}

# 3. A cluster that has not seen the extension's roles
my $elsewhere = PostgreSQL::Test::Cluster->new('elsewhere');
$elsewhere->init;
$elsewhere->append_conf('postgresql.conf', `tools/test-conf build/stage` . 'port = ' . $elsewhere->port . "\n");
$elsewhere->start;
$elsewhere->safe_psql('postgres', 'CREATE ROLE viewer LOGIN');
$elsewhere->safe_psql('postgres', 'CREATE DATABASE fleet');
$elsewhere->command_ok([ 'pg_restore', '-1', '-d', $elsewhere->connstr('fleet'), "$dir/custom" ], 'restore into another cluster, in one transaction');
my $log = 'SELECT * FROM fleet.audit_log ORDER BY tenant_id, audit_id';
is($elsewhere->safe_psql('fleet', $log), $node->safe_psql('restored_custom', $log), 'the audit log is the one that was dumped');
is($elsewhere->safe_psql('fleet', 'SELECT * FROM fleet.verify_audit()'), '', 'and it is whole');
is($elsewhere->safe_psql('fleet', "SELECT count(*) FROM fleet.audit_log WHERE action = 'role.create'"), '1', 'which tells of the roles');
$elsewhere->stop;

# 4. The restored database works on
$node->safe_psql('restored_custom', 'SELECT fleet.after_restore()');
$node->safe_psql('postgres', 'ALTER DATABASE fleet RENAME TO gone; ALTER DATABASE restored_custom RENAME TO fleet');
my $last_batch = $t->query('SELECT max(batch_id) FROM fleet.batch');
$t->start_fleetd;
$client = $t->connect_json;
ok($client, 'a token from before is still good');
$client->send_documents($documents[399], document('car-1', $now + 10, battery => { percent => 5, charging => JSON::PP::false }));
ok($client->wait_ack(2), 'documents are acknowledged');
is($t->query("SELECT sum(accepted), sum(repeated) FROM fleet.batch WHERE batch_id > $last_batch"), '1|1', 'what was stored before the dump is a repeat');
is($t->query("SELECT count(*) FROM fleet.alert a JOIN fleet.vehicle v USING (vehicle_id) WHERE v.name = 'car-1' AND a.name = 'low battery' AND a.cleared_at IS NULL"),
	'1', 'an alert is open once, not raised again');
is($t->query('SELECT fleet.create_partitions_ahead(5) >= 0'), 't', 'partitions are made ahead');
my $cursor = $t->query('SELECT fleet.cursor_now()');
$client->send_documents(document('car-6', $now + 20, battery => { percent => 5, charging => JSON::PP::false }),
	document('car-6', $now + 30, battery => { percent => 50, charging => JSON::PP::false }));
ok($client->wait_ack(4), 'more documents');
is($t->query("SELECT count(*) FROM fleet.alerts_since('$cursor') x WHERE (x.alert).name = 'low battery' AND (x.alert).cleared_at IS NOT NULL"),
	'1', 'cursors work after the restore');

done_testing();
