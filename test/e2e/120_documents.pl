# The sessions that README.md and docs/install.md show work as they are shown.
use strict;
use warnings;

use FleetTest;
use Test::More;

my $t = FleetTest->new(listeners => [ 'json', 'http' ]);

sub blocks
{
	my ($path, $language) = @_;
	my @blocks = slurp($path) =~ /^```$language\n(.*?)^```/gms;
	return @blocks;
}

# 1. README: a first session
my ($session) = blocks('README.md', 'sql');
$t->query('UPDATE fleet.tenant SET auto_register = false');
$t->query('DELETE FROM fleet.source; ALTER TABLE fleet.source ALTER source_id RESTART');
my ($code, $out, $err) = $t->node->psql('fleet', $session, on_error_stop => 1);
is($code, 0, 'the session of README.md runs') or diag($err);
like($out, qr/^1\|0\|0$/m, '... its report is accepted');
like($out, qr/^scooter-7\|.*\|18\.5\|12$/m, '... and history shows it');
like($out, qr/^low battery\|rule\|/m, '... and the alert');
like($out, qr/^pedestrian zone\|enter\|/m, '... and that of the geofence');

# 2. install.md: roles
my ($roles) = blocks('docs/install.md', 'sql');
$roles =~ s/^CREATE ROLE fleetd LOGIN;\n//m;
($code, $out, $err) = $t->node->psql('fleet', $roles, on_error_stop => 1);
is($code, 0, 'the roles of docs/install.md can be made') or diag($err);
foreach my $query ('SELECT count(*) FROM fleet.telemetry', 'SELECT count(*) FROM fleet.open_alert', "SELECT * FROM fleet.last_known('scooter-7')",
	"SELECT ST_AsText(fleet.track('scooter-7', '-infinity', 'infinity'))")
{
	($code, $out, $err) = $t->node->psql('fleet', "SET ROLE viewer; $query", on_error_stop => 1);
	is($code, 0, "a reader may: $query") or diag($err);
}
foreach my $query ("INSERT INTO fleet.rule (name, condition) VALUES ('x', 'speed_kmh > 1')", 'SELECT * FROM fleet.source',
	'DELETE FROM fleet.event', 'SELECT * FROM fleet.create_source(1, \'mine\')')
{
	($code, $out, $err) = $t->node->psql('fleet', "SET ROLE viewer; $query", on_error_stop => 1);
	like($err, qr/permission denied/, "a reader may not: $query");
}
foreach my $query ("INSERT INTO fleet.rule (name, condition) VALUES ('x', 'speed_kmh > 1')",
	'SELECT (fleet.acknowledge_alert(min(alert_id), \'seen\')).alert_id FROM fleet.alert', "SELECT fleet.enable_standard_rule('offline')",
	"INSERT INTO fleet.geofence (name, area) VALUES ('y', ST_MakeEnvelope(1, 1, 2, 2, 4326))",
	"UPDATE fleet.rule SET enabled = false", 'DELETE FROM fleet.geofence', 'DELETE FROM fleet.rule')
{
	($code, $out, $err) = $t->node->psql('fleet', "SET ROLE dispatcher; $query", on_error_stop => 1);
	is($code, 0, "an operator may: $query") or diag($err);
}
foreach my $query ('SELECT count(*) FROM fleet.event', 'SELECT * FROM fleet.tenant', 'SELECT * FROM fleet.source', 'SELECT * FROM fleet.alert')
{
	($code, $out, $err) = $t->node->psql('fleet', "SET ROLE fleetd; $query", on_error_stop => 1);
	like($err, qr/permission denied/, "fleetd may not: $query");
}

# 3. install.md: the first curl
my ($curl) = slurp('docs/install.md') =~ /^(curl -H .*?\n.*?)\n```/ms;
$t->query('UPDATE fleet.tenant SET auto_register = true');
$curl =~ s/localhost:7080/'127.0.0.1:' . $t->port('http')/e;
$ENV{TOKEN} = $t->create_source(1, 'for curl');
like(`$curl`, qr/"accepted":1,"repeated":0,"rejected":0/, 'the curl of docs/install.md is accepted');

# 4. fleetd's clock works with its few rights
wait_for('the clock to have ticked', sub { $t->metrics->{fleetd_ticks_total} >= 2 });
is($t->metrics->{fleetd_ticks_failed_total}, 0, 'fleet.tick() works with the rights of fleetd');

done_testing();
