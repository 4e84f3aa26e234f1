# The simulator: what it replays, what it shows, and that its proof can fail.
use strict;
use warnings;

use FleetTest;
use IO::Compress::Gzip qw(gzip);
use Test::More;

my $t = FleetTest->new(
	listeners => [ 'json', 'http' ],
	config => { batch => { rows => 500, milliseconds => 10 } });

# --- a file with everything in it that may be wrong with one ---

my $today = substr iso_time(time - 3600), 0, 10;
my $csv = <<CSV;
unit,when,lat,lng,v,soc,door,note
a1,$today 00:00:10,50.1,8.6,10,80,true,"first, with a comma"
a1,$today 00:00:20,50.1001,8.6001,20,79.5,false,"two
lines"
a2,$today 00:00:05,50.2,8.7,255,,true,
a2,29/00/2003 11:13:45,50.2,8.7,30,70,true,impossible date
a2,$today 00:00:15,north,8.7,30,70,true,no latitude
a2,$today 00:00:25,95.5,8.7,30,70,true,out of range
a2,$today 00:00:35
,$today 00:00:45,50.2,8.7,30,70,true,no vehicle
a1,$today 00:00:10,50.1,8.6,10,80,true,"first, with a comma"
CSV
my $file = $t->dir . '/tracks.csv.gz';
gzip(\$csv, $file) or die "could not compress\n";
my $ledger = $t->dir . '/replay.ledger';
my ($code, $out, $err) = $t->fleetsim('replay', $file, $t->delivery, '--time-column', 'when', '--speed-column', 'v', '--speed-unit', 'mph',
	'--null', 'v=255', '--sort', '--ledger', $ledger);
is($code, 0, 'a CSV with defects is replayed') or diag("$out$err");
like($out, qr/rows=9 bad_fields=3 unreadable=1/, 'what is wrong with it is counted');
like($out, qr/sent=9 acked=4 rejected=5/, 'every row was sent, and decided');
like($err, qr/vehicle=unit time=when latitude=lat longitude=lng speed=v\*1\.60934/, 'what the columns mean is said');
$t->verify($ledger, 'and proved');
is($t->query('SELECT count(*) FROM fleet.event'), '3', 'three events: the repeat is one with its first');
is($t->query("SELECT round(speed_kmh::numeric, 3), signals::jsonb -> 'battery_percent', signals::jsonb -> 'door', signals::jsonb ->> 'note' FROM fleet.telemetry WHERE vehicle = 'a1' ORDER BY event_time LIMIT 1"),
	'16.093|80|true|first, with a comma', 'unit, renamed signal, boolean, quoted text');
is($t->query("SELECT speed_kmh IS NULL FROM fleet.telemetry WHERE vehicle = 'a2'"), 't', 'the value that stands for missing is missing');
is($t->query("SELECT string_agg(code || coalesce(':' || field, ''), ' ' ORDER BY code, field) FROM fleet.quarantine"),
	'malformed:event_time malformed:latitude malformed missing_field:device out_of_range:latitude', 'each defect has its code and field');

# --- NDJSON, other times ---

my $ndjson = join '', map { json_of($_) . "\n" } (
	{ unit => 'n1', ts => (time - 60) * 1000, pos => { lat => 50.3, lon => 8.8 }, motion => { speed => 5 } },
	{ unit => 'n1', ts => (time - 50) * 1000, pos => { lat => 50.31, lon => 8.8 }, extra => { a => { b => 7 } } });
spew($t->dir . '/tracks.ndjson', $ndjson, "not JSON\n");
($code, $out, $err) = $t->fleetsim('replay', $t->dir . '/tracks.ndjson', $t->delivery('http'), '--latitude-column', 'pos_lat', '--longitude-column', 'pos_lon',
	'--speed-column', 'motion_speed', '--speed-unit', 'ms', '--shift', 'now', '--ledger', $ledger);
is($code, 0, 'NDJSON is replayed, over HTTP') or diag("$out$err");
like($out, qr/rows=3 bad_fields=0 unreadable=1/, 'with a line that is none');
is($t->query("SELECT speed_kmh, signals::jsonb -> 'extra_a_b', event_time > now() - interval '30 s' FROM fleet.telemetry WHERE vehicle = 'n1' ORDER BY event_time"),
	"18||t\n|7|t", 'nested members have joined names; the times are of now');
$t->verify($ledger, 'the ledger of both runs is proved');

# --- the same seed ---

my $batch = $t->query('SELECT max(batch_id) FROM fleet.batch');
foreach my $n (1, 2)
{
	my ($run, $run_out) = $t->fleetsim('run', $t->delivery, '--seed', 42, '--vehicles', 3, '--first-vehicle', 500, '--rate', 30, '--count', 90,
		'--start', $today . 'T00:30:00Z', '--ledger', $ledger);
	is($run, 0, "run $n of a seed");
}
is($t->query("SELECT sum(accepted), sum(repeated) FROM fleet.batch WHERE batch_id > $batch"),
	'90|90', 'the same seed sends the same reports: the second run is all repeats');
$t->verify($ledger, 'which the proof allows');

# --- a proof that fails ---

$t->query("CREATE TABLE saved AS SELECT * FROM fleet.event WHERE vehicle_id = (SELECT vehicle_id FROM fleet.vehicle WHERE name = '500') ORDER BY event_time LIMIT 1");
$t->query('DELETE FROM fleet.event e USING saved s WHERE (e.vehicle_id, e.event_time, e.digest) = (s.vehicle_id, s.event_time, s.digest)');
($code, $out) = $t->fleetsim('verify', '--ledger', $ledger, '--database', $t->conninfo);
is($code, 1, 'a lost event is found');
like($out, qr/acknowledged_and_lost=2 stored_twice=0/, 'with both of its acknowledgements');
$t->query('UPDATE saved SET speed_kmh = coalesce(speed_kmh, 0) + 1');
$t->query('INSERT INTO fleet.event SELECT * FROM saved');
($code, $out) = $t->fleetsim('verify', '--ledger', $ledger, '--database', $t->conninfo);
is($code, 1, 'an event with another content is not the one that was sent');
$t->query('UPDATE fleet.event e SET speed_kmh = e.speed_kmh - 1 FROM saved s WHERE (e.vehicle_id, e.event_time, e.digest) = (s.vehicle_id, s.event_time, s.digest)');
$t->query('INSERT INTO fleet.event (SELECT (jsonb_populate_record(e, jsonb_build_object(\'digest\', e.digest # 1))).* FROM fleet.event e JOIN saved s USING (vehicle_id, event_time))');
($code, $out) = $t->fleetsim('verify', '--ledger', $ledger, '--database', $t->conninfo);
is($code, 1, 'an event that is there twice is found');
like($out, qr/acknowledged_and_lost=0 stored_twice=1/, 'and nothing else');
$t->query('DELETE FROM fleet.event e USING saved s WHERE (e.vehicle_id, e.event_time, e.digest) = (s.vehicle_id, s.event_time, s.digest # 1)');
$t->verify($ledger, 'put back, it is proved again');
$t->query("DELETE FROM fleet.quarantine WHERE code = 'out_of_range'");
($code, $out) = $t->fleetsim('verify', '--ledger', $ledger, '--database', $t->conninfo);
is($code, 1, 'a rejected report that is in quarantine no more is found');
like($out, qr/rejected_and_not_in_quarantine=1/, 'as such');

# --- the listener ---

$t->query("INSERT INTO fleet.rule (name, condition, severity) VALUES ('nearly empty', 'battery_percent < 5', 'critical')");
my $ready = $t->dir . '/ready';
my $watch = $t->start_fleetsim('watch', '--database', $t->conninfo, '--ready-file', $ready, '--no-status');
wait_for('the listener', sub { -e $ready });
my $client = $t->connect_json;
$client->send_documents({ vehicle_id => 'w1', timestamp => iso_time(time), location => { lat => 50.1, lon => 8.6 }, battery => { percent => 4 } });
$client->wait_ack(1);
wait_for('the alert', sub { $watch->{run}->pump_nb; $watch->{out} =~ /ALERT/ });
$watch->{run}->signal('INT');
($code, $out, $err) = $t->finish_fleetsim($watch);
is($code, 0, 'the listener ends on SIGINT') or diag($err);
like($out, qr/ALERT\s+critical\s+nearly empty\s+vehicle w1\s+battery_percent=4/, 'it showed the alert');
like($out, qr/^summary: .*events=1 .*alerts=1 .*latency_samples=1 /m, 'and sums up');

# --- what is refused ---

foreach my $case (
	[ 'no token', qr/a token is needed/, 'run' ],
	[ 'a wrong token', qr/refused/, 'run', '--to', '127.0.0.1:' . $t->port('json'), '--token', 'wrong' ],
	[ 'a wrong token over HTTP', qr/refused/, 'run', '--protocol', 'http', '--count', 1, '--to', '127.0.0.1:' . $t->port('http'), '--token', 'wrong' ],
	[ 'no such column', qr/no column "nope"/, 'replay', $file, $t->delivery, '--time-column', 'nope' ],
	[ 'no such time zone', qr/no time zone/, 'replay', $file, $t->delivery, '--time-zone', 'Europe/Atlantis' ],
	[ 'a rate that is none', qr/--rate: "fast" is not a number/, 'run', '--rate', 'fast' ],
	[ 'an unknown command', qr/no command/, 'fly' ])
{
	my ($name, $message, @arguments) = @$case;
	($code, $out, $err) = $t->fleetsim(@arguments);
	is($code, 2, "$name: code 2");
	like($err, $message, "$name: says why");
}

done_testing();
