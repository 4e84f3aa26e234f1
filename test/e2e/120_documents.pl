# What README.md and docs show works as it is shown: sessions, every block of
# SQL, every configuration.
use strict;
use warnings;

use Cwd qw(getcwd);
use FleetTest;
use IPC::Run ();
use Test::More;

my $t = FleetTest->new(listeners => [ 'json', 'http', 'mqtt' ]);

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
my ($curl) = grep { /^curl/m } blocks('docs/install.md', 'sh');
$curl =~ s/localhost:7080/'127.0.0.1:' . $t->port('http')/e;
{
	local @ENV{qw(PGHOST PGPORT)} = ($t->node->host, $t->node->port);
	like(`$curl`, qr/"accepted":1,"repeated":0,"rejected":0/, 'the curl of docs/install.md is accepted');
}

# 4. fleetd's clock works with its few rights
wait_for('the clock to have ticked', sub { $t->metrics->{fleetd_ticks_total} >= 2 });
is($t->metrics->{fleetd_ticks_failed_total}, 0, 'fleet.tick() works with the rights of fleetd');

# 5. Every block of SQL, page by page, each in a database of its own. Left out
# are those that come with a test: docs/security.md and the roles above.
my $node = $t->node;
$node->safe_psql('postgres', 'CREATE DATABASE page');
$node->safe_psql('page', <<'SQL');
SET client_min_messages = warning;
CREATE EXTENSION fleet CASCADE;
UPDATE fleet.tenant SET auto_register = true;
INSERT INTO fleet.tenant (tenant_id, name) VALUES (7, 'seven');
SELECT fleet.create_source(1, 'source ' || i) FROM generate_series(1, 14) i;
SELECT fleet.register_device(1, name, name, split_part(name, '-', 1)) FROM unnest('{scooter-7,van-3,van-7,van-9}'::text[]) name;
INSERT INTO fleet.vehicle (tenant_id, vehicle_id, name) VALUES (1, 42, 'forty-two');
SELECT fleet.register_device(1, 'forty-two', 'forty-two');
SELECT fleet.ingest_json(1, jsonb_build_object('device', device, 'event_time', now(), 'latitude', 50.11, 'longitude', 8.68, 'coolant_temp_c', 90))
  FROM unnest('{scooter-7,forty-two}'::text[]) device;
SQL
my %needs = (
	'docs/geofences.md' => "CREATE TABLE districts AS SELECT 'City' AS name, ST_MakeEnvelope(8, 50, 9, 51, 4326) AS geom",
	'docs/types.md' => 'CREATE TABLE visit (cell fleet.geohash); SET search_path = public, fleet',
	'docs/rules.md' => "INSERT INTO fleet.alert (alert_id, tenant_id, vehicle_id, kind, name, severity, event_time) OVERRIDING SYSTEM VALUE
		VALUES (7, 1, 42, 'rule', 'x', 'warning', now())",
	'docs/commands.md' => "ALTER TABLE fleet.command ALTER command_id RESTART 6");
my %refuses = ('docs/tutorial.md' => [ 'syntax error at end of input' ]);
my $map = spew($t->dir . '/map.tsv', "scooter-7\tscooter-8\n");
my @pages = ('README.md', sort glob 'docs/*.md docs/protocols/*.md');
foreach my $page (grep { $_ ne 'docs/security.md' } @pages)
{
	my @sql = grep { !/^CREATE ROLE/m } blocks($page, 'sql') or next;
	my $text = join "\n", $needs{$page} ? "$needs{$page};" : (), @sql;
	$text =~ s/map\.tsv/'$map'/;
	$text =~ s/^(?=SELECT \* FROM fleet\.export_vehicle)/ROLLBACK TO erase; /m if $text =~ s/^(?=SELECT \* FROM fleet\.erase_vehicle)/BEGIN; SAVEPOINT erase; /m;
	$node->safe_psql('postgres', 'CREATE DATABASE reader TEMPLATE page');
	$node->psql('reader', $text, on_error_stop => 0, stderr => \my $stderr);
	$node->safe_psql('postgres', 'DROP DATABASE reader');
	my @errors = $stderr =~ /^psql:\S* (?:ERROR:\s+|error: )(.*)/mig;
	is_deeply(\@errors, $refuses{$page} || [], "$page: its SQL runs") or diag($stderr);
}

# 6. Every configuration
my $dir = $t->dir;
system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout $dir/key.pem -out $dir/certificate.pem >$dir/openssl.log 2>&1") == 0
  or die "openssl failed\n";
spew("$dir/password", "secret\n");
chmod 0600, spew("$dir/pseudonym.keys", "[default]\nk2026 " . '5f' x 32 . "\n");
# a list of nothing revoked
spew("$dir/ca.conf", "[ca]\ndefault_ca = x\n[x]\ndatabase = $dir/index\ndefault_md = sha256\ndefault_crl_days = 2\n");
spew("$dir/index", '');
system("openssl ca -gencrl -config $dir/ca.conf -keyfile $dir/key.pem -cert $dir/certificate.pem -out $dir/crl.pem >>$dir/openssl.log 2>&1") == 0
  or die "openssl failed\n";
my $checked = 0;
foreach my $page (@pages)
{
	foreach my $block (blocks($page, 'json'), $page eq 'docs/config.md' ? slurp('docs/fleetd.json') : ())
	{
		my $configuration = $block =~ /"database":/ ? $block
		  : $block =~ /\A"(?:sources|mappings)"/ ? "{\"database\": \"\", \"listeners\": [{\"adapter\": \"json\", \"address\": \":0\"}], $block}"
		  : $block =~ /\A\{ ?"adapter"/ ? '{"database": "", "listeners": [' . join(',', split /(?<=\}),?\n(?=\{)/, $block) . ']}'
		  : $block =~ /\A\{"teltonika":/ ? "{\"database\": \"\", \"listeners\": [{\"adapter\": \"json\", \"address\": \":0\"}], " . substr($block, 1)
		  : next;
		my %file = (certificate => 'certificate.pem', key => 'key.pem', client_ca => 'certificate.pem', ca => 'certificate.pem', client_crl => 'crl.pem',
			password_file => 'password', key_file => 'pseudonym.keys');
		$configuration =~ s/"(\w+)": "[^"]*"/exists $file{$1} ? "\"$1\": \"$dir\/$file{$1}\"" : $&/ge;
		my $sample = spew("$dir/sample.json", $configuration);
		my $answer = `shim/fleetd --check -c $sample 2>&1`;
		SKIP:
		{
			skip "$page: built without librdkafka", 1 if $? != 0 && $answer =~ /librdkafka/;
			is($?, 0, "$page: fleetd takes its configuration") or diag("$answer$configuration");
		}
		$checked++;
	}
}
cmp_ok($checked, '>=', 15, 'the configurations were found');

# 7. First requests: the tutorial's socket, HTTP, MQTT
my ($socket) = blocks('docs/tutorial.md', 'sh');
my $token = $t->create_source(1, 'for the tutorial');
$socket =~ s/\| nc .*//;
$socket =~ s/TOKEN/$token/;
my $client = $t->connect('json');
$client->send_line($_) foreach split /\n/, `$socket`;
is($client->read_json->{auth}, 'ok', 'the token of docs/tutorial.md is taken');
is_deeply($client->read_json, { ack => 1, rejected => [ { line => 1, code => 'time_too_old', field => 'event_time' } ] },
	'... and the report answered as it is told');
my ($request) = blocks('docs/http.md', 'sh');
$ENV{TOKEN} = $token;
$request =~ s/127\.0\.0\.1:7080/'127.0.0.1:' . $t->port('http')/e;
$request =~ s/^curl/curl -sS/;
is(`$request`, (blocks('docs/http.md', 'json'))[0], 'the request of docs/http.md is answered as it is told');

my ($publish) = slurp('docs/protocols/mqtt.md') =~ /^Try it: `(mosquitto_pub .*)`$/m;
SKIP:
{
	skip 'mosquitto_pub is not installed', 2 unless grep { -x "$_/mosquitto_pub" } split /:/, $ENV{PATH};
	$publish =~ s/-p 1883/'-p ' . $t->port('mqtt')/e;
	$publish =~ s/TOKEN/$token/;
	is(system($publish), 0, 'mosquitto_pub publishes as docs/protocols/mqtt.md tells');
	$t->wait_for_query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = 'car-7'", 1);
	pass('... and the report is stored');
}

# 8. Kafka's first session, with librdkafka's mock of a cluster
SKIP:
{
	skip 'librdkafka or kcat is not installed', 1 unless -x 'build/tools/kafka_mock' && grep { -x "$_/kcat" } split /:/, $ENV{PATH};
	my ($commands, $said) = ('', '');
	my $mock = IPC::Run::start([ 'build/tools/kafka_mock', 1, 'telemetry=1' ], '<', \$commands, '>', \$said, '2>', "$dir/mock.err");
	my ($brokers) = wait_for('kafka_mock', sub { $mock->pump_nb; $said =~ /^bootstrap (.+)/m ? [$1] : undef })->[0];
	my ($first) = blocks('docs/protocols/kafka.md', 'sh');
	$first =~ s/localhost:9092/$brokers/g;
	my $fleetd = getcwd() . '/shim/fleetd';
	$first =~ s/^fleetd -c/exec $fleetd -c/m;
	local @ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
	my $shell = IPC::Run::start([ 'sh', '-ec', "cd $dir; $first" ], '<', '/dev/null', '>', "$dir/kafka.log", '2>&1');
	eval { $t->wait_for_query("SELECT count(*) FROM fleet.telemetry t JOIN fleet.batch USING (batch_id) JOIN fleet.source s USING (source_id) WHERE s.name = 'kafka'", 1, 30) };
	is($@, '', 'the first session of docs/protocols/kafka.md stores its report') or diag(slurp("$dir/kafka.log"));
	$shell->signal('TERM');
	$shell->finish;
	$mock->kill_kill;
}

done_testing();
