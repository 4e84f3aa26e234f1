# Commands to vehicles: json, mqtt with mosquitto's clients, teltonika and gt06 by
# hand; a vehicle that is away, expiry, fleetd killed, two daemons, a role without rights.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

my $t = FleetTest->new(
	listeners => [ 'json', 'mqtt', 'http', { adapter => 'teltonika', source => 1 }, { adapter => 'gt06', source => 1 } ],
	config => { batch => { rows => 100, milliseconds => 10 } });

sub psql { return $t->query($_[0]); }

sub send_command
{
	my ($vehicle, $name, $arguments, $expires) = @_;
	$arguments = json_of($arguments // {});
	$expires //= '1 minute';
	return psql("SELECT fleet.send_command('$vehicle', '$name', '$arguments', '$expires')");
}
sub state_of { return psql("SELECT state FROM fleet.command WHERE command_id = $_[0]"); }
sub row_of { return psql("SELECT state, attempts, answer, failure FROM fleet.command WHERE command_id = $_[0]"); }

sub wait_row
{
	my ($id, $row, $what) = @_;
	my $seen = '';
	eval { wait_for('row', sub { ($seen = row_of($id)) eq $row }, 20); 1 };
	return is($seen, $row, $what);
}

sub vehicle { return psql("SELECT fleet.register_device(1, '$_[0]', '$_[0]')"); }

# A json device: says hello, takes commands, reports.
sub json_device
{
	my ($device, %options) = @_;
	my $client = $t->connect('json', $options{nth});
	$client->send_line(json_of({ auth => $t->token, commands => $device // JSON::PP::true }));
	is(json_of($client->read_json), json_of({ auth => 'ok' }), ($device // 'a gateway') . ' is let in');
	return $client;
}
sub confirm { my ($client, $id, %more) = @_; return $client->send_line(json_of({ confirm => { id => 0 + $id, %more } })); }

wait_for('commands to be on', sub { $t->log_events('commands_on') });
vehicle($_) foreach qw(scooter van truck bus 352093081452251 0123456789012345);

# 1. json: down the open connection, confirmed, in order, one at a time
my $scooter = json_device('scooter');
my $first = send_command('scooter', 'lock', { pin => 7 });
my $second = send_command('scooter', 'unlock');
my $got = $scooter->read_json;
is(json_of($got), json_of({ command => { id => 0 + $first, device => 'scooter', name => 'lock', arguments => { pin => 7 }, expires => $got->{command}{expires} } }),
	'a command comes as a line');
like($got->{command}{expires}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, '... with the time of its end');
is(row_of($first), 'sent|1||', 'it is sent before it is confirmed');
is(state_of($second), 'queued', 'the next one waits for it');
confirm($scooter, $first + 1, ok => JSON::PP::true);
confirm($scooter, $first, ok => JSON::PP::true, answer => "locked \x{e4}");
wait_row($first, "confirmed|1|locked \xc3\xa4|", 'confirmed with its answer');
$got = $scooter->read_json;
is($got->{command}{id}, $second, 'then the next one comes');
confirm($scooter, $second, ok => JSON::PP::false, answer => { code => 5 });
wait_row($second, 'failed|1|{"code":5}|refused', 'a no is a failure');
$scooter->send_line('{"confirm":{"id":"x"}}');
is(json_of($scooter->read_json), json_of({ ack => 1, rejected => [ { line => 1, code => 'malformed', field => 'confirm' } ] }), 'a bad confirmation goes to quarantine');
my $plain = $t->connect_json;
$plain->send_documents(document('bus', time - 5));
$plain->wait_ack(1);
my $bus = send_command('bus', 'honk');
my $gateway = json_device(undef);
$gateway->send_documents(document('bus', time - 4));
my @lines = map { $gateway->read_json } 1, 2;
my ($line) = grep { $_->{command} } @lines;
is($line->{command}{id}, $bus, 'who asks for commands gets those of what he reports for, others none');
confirm($gateway, $bus);
wait_row($bus, 'confirmed|1||', '... and confirms');

# 2. A vehicle that is away: queued; expired ones are never sent
my $late = send_command('van', 'immobilise', {}, '1 second');
my $waits = send_command('van', 'release');
wait_row($late, 'expired|0||', 'one that nobody could take expires unsent');
is(state_of($waits), 'queued', '... the other waits');
my $van = json_device('van');
is($van->read_json->{command}{id}, $waits, 'and comes when the vehicle does: the expired one never');
confirm($van, $waits);
wait_row($waits, 'confirmed|1||', '... confirmed');
my $silent = send_command('van', 'ping', {}, '2 seconds');
is($van->read_json->{command}{id}, $silent, 'one that is not answered');
wait_row($silent, 'expired|1||', '... expires as sent');
my $cancelled = send_command('van', 'stay');
is($van->read_json->{command}{id}, $cancelled, 'one that is cancelled on its way');
psql("SELECT fleet.cancel_command($cancelled)");
my $after = send_command('van', 'go');
is($van->read_json->{command}{id}, $after, '... does not keep the next one waiting');
confirm($van, $after);
wait_row($after, 'confirmed|1||', '... which is confirmed');
is(row_of($cancelled), 'failed|1||cancelled', '... and the cancelled one has failed');

# 3. The connection breaks between sent and confirmed: again, with the same id
my $again = send_command('van', 'open');
is($van->read_json->{command}{id}, $again, 'sent');
$van->close;
$van = json_device('van');
is($van->read_json->{command}{id}, $again, 'sent again on the next connection, with the same id');
is(row_of($again), 'sent|2||', '... an attempt more');

# fleetd is killed
$t->signal('KILL');
$t->wait_fleetd;
$t->start_fleetd;
$van = json_device('van');
is($van->read_json->{command}{id}, $again, 'sent again after fleetd was killed');
confirm($van, $again);
wait_row($again, 'confirmed|3||', '... and confirmed');

# The database goes away: the answer is kept, and commands come at once when it is back
my $began;
my $kept = send_command('van', 'stay awake', {}, '2 seconds');
is($van->read_json->{command}{id}, $kept, 'sent');
$began = time;
$t->node->stop('immediate');
confirm($van, $kept, answer => 'awake');
my $before = $t->log_size;
wait_for('its time to be over', sub { time - $began > 2 });
$t->node->start;
wait_row($kept, 'confirmed|1|awake|', 'an answer that comes in time is kept while the database is away, and counts');
$t->wait_log('commands_on', $before);
wait_for('tokens to be checked again', sub { grep { $_->{connection} eq 'auth' } $t->log_events('database_connected', $before) });
$began = time;
my $soon = send_command('van', 'soon');
is($van->read_json->{command}{id}, $soon, 'then fleetd is woken again');
cmp_ok(time - $began, '<', 20, '... long before it would look by itself');
confirm($van, $soon);
wait_row($soon, 'confirmed|1||', '... confirmed');

# Another tenant has a device of the same name
psql("INSERT INTO fleet.tenant (tenant_id, name) VALUES (2, 'other')");
my $other_token = $t->create_source(2, 'other');
psql("SELECT fleet.register_device(2, 'van', 'van')");
my $theirs = $t->connect;
$theirs->send_line(json_of({ auth => $other_token, commands => 'van' }));
$theirs->read_json;
my $ours = send_command('van', 'ours');
my $their_id = psql("SELECT fleet.send_command('van', 'theirs', tenant_id => 2)");
is(json_of([ map { $_->read_json->{command}{id} } $van, $theirs ]), json_of([ 0 + $ours, 0 + $their_id ]), 'each tenant\'s device gets its own');
confirm($theirs, $ours);
confirm($van, $their_id);
confirm($theirs, $their_id);
wait_row($their_id, 'confirmed|1||', '... and confirms its own');
is(state_of($ours), 'sent', '... only');
confirm($van, $ours);
wait_row($ours, 'confirmed|1||', '... as the other does');

# 4. teltonika
my ($imei, $gt06) = ('352093081452251', '0123456789012345');
sub crc16_arc
{
	my $crc = 0;
	foreach my $byte (unpack 'C*', $_[0]) { $crc ^= $byte; $crc = $crc & 1 ? ($crc >> 1) ^ 0xA001 : $crc >> 1 foreach 1 .. 8; }
	return $crc;
}
sub codec12
{
	my ($type, $text, $codec) = @_;
	my $data = pack('C3', $codec // 0x0C, 1, $type) . pack('N', length $text) . $text . "\1";
	return pack('NN', 0, length $data) . $data . pack('N', crc16_arc($data));
}
my $tracker = $t->connect('teltonika');
$tracker->send(pack('n', 15) . $imei);
is($tracker->read_bytes(1), "\1", 'a teltonika tracker logs in');
my $info = send_command($imei, 'getinfo');
is(unpack('H*', $tracker->read_bytes(length codec12(5, 'getinfo'))), unpack('H*', codec12(5, 'getinfo')), 'a command in codec 12, by its name');
$tracker->send(codec12(6, 'INI:2026/1/1 7:0'));
wait_row($info, 'confirmed|1|INI:2026/1/1 7:0|', 'its answer confirms it');
my $output = send_command($imei, 'set output', { text => 'setdigout 1' });
is($tracker->read_bytes(length codec12(5, 'setdigout 1')), codec12(5, 'setdigout 1'), 'the argument text goes before the name');
$tracker->send(codec12(6, 'DOUT1:1'));
wait_row($output, 'confirmed|1|DOUT1:1|', '... confirmed');
my $wrong = send_command($imei, 'set output', { level => 1 });
wait_row($wrong, 'failed|0||no argument text', 'other arguments have no words in it');
my $owed = send_command($imei, 'silence', {}, '1 second');
$tracker->read_bytes(length codec12(5, 'silence'));
wait_row($owed, 'expired|1||', 'one that is not answered expires');
my $next = send_command($imei, 'getver');
ok($tracker->wait_eof, '... and the next one needs a new connection, since answers have no ids');
$tracker = $t->connect('teltonika');
$tracker->send(pack('n', 15) . $imei);
is($tracker->read_bytes(1 + length codec12(5, 'getver')), "\1" . codec12(5, 'getver'), '... over which it comes');
$tracker->send(codec12(6, 'Ver:1'));
wait_row($next, 'confirmed|1|Ver:1|', '... and is confirmed');

# 5. gt06
sub crc_x25
{
	my $crc = 0xFFFF;
	foreach my $byte (unpack 'C*', $_[0]) { $crc ^= $byte; $crc = $crc & 1 ? ($crc >> 1) ^ 0x8408 : $crc >> 1 foreach 1 .. 8; }
	return $crc ^ 0xFFFF;
}
sub gt06_frame
{
	my ($type, $content, $serial) = @_;
	my $body = pack('CC', 5 + length $content, $type) . $content . pack('n', $serial);
	return "\x78\x78" . $body . pack('n', crc_x25($body)) . "\r\n";
}
$tracker = $t->connect('gt06');
$tracker->send(gt06_frame(0x01, pack('H*', $gt06), 1));
$tracker->read_bytes(length gt06_frame(0x01, '', 1));
vehicle('123456789012345');
my $cut = send_command('123456789012345', 'RELAY,1#');
my $frame = gt06_frame(0x80, pack('CN', 4 + 8, $cut) . 'RELAY,1#', 1);
is(unpack('H*', $tracker->read_bytes(length $frame)), unpack('H*', $frame), 'a command to gt06, marked with its id');
$tracker->send(gt06_frame(0x15, pack('CN', 4 + 3, $cut + 1) . 'old' . pack('n', 2), 2));
$tracker->send(gt06_frame(0x15, pack('CN', 4 + 12, $cut) . 'Cut off: OK!' . pack('n', 2), 3));
wait_row($cut, 'confirmed|1|Cut off: OK!|', 'the answer with its mark confirms it, another does not');
my $stop = send_command('123456789012345', 'STOP#');
$tracker->read_bytes(length gt06_frame(0x80, pack('CN', 4 + 5, $stop) . 'STOP#', 2));
$tracker->send(gt06_frame(0x21, pack('NC', 0, 1) . 'OK', 4));
wait_row($stop, 'confirmed|1|OK|', 'so does one of type 21, with a mark of 0');
$t->wait_for_query("SELECT count(*) >= 3 FROM fleet.telemetry WHERE vehicle = '123456789012345' AND signals::jsonb ? 'command_result'");
ok(1, 'what it said is history, too');

# 6. mqtt
SKIP:
{
	my ($found) = grep { -x "$_/mosquitto_sub" } split /:/, $ENV{PATH};
	skip 'mosquitto_sub is not installed', 1 unless $found;
	foreach my $version ('mqttv311', 'mqttv5')
	{
		my ($out, $err, $said) = ('', '', '');
		my @common = ('-h', '127.0.0.1', '-p', $t->port('mqtt'), '-V', $version, '-u', 'a', '-P', $t->token);
		my $qos = $version eq 'mqttv5' ? 1 : 0;
		my $id = send_command('truck', 'lights', { on => JSON::PP::true });
		IPC::Run::run([ 'mosquitto_sub', @common, '-q', $qos, '-C', 1, '-W', 20, '-t', 'command/truck' ], '<', \'', '>', \$out, '2>', \$err);
		my $command = eval { JSON::PP::decode_json($out) } // {};
		is($command->{id}, $id, "$version, QoS $qos: a subscriber gets the command") or diag("$out$err");
		is($command->{name}, 'lights', '... with its name');
		IPC::Run::run([ 'mosquitto_pub', @common, '-q', 1, '-t', 'command/truck/answer', '-m', json_of({ id => 0 + $id, answer => 'on' }) ],
			'<', \'', '>', \$said, '2>&1');
		wait_row($id, 'confirmed|1|on|', '... and answers, here over a connection of its own');
		IPC::Run::run([ 'mosquitto_sub', @common, '-C', 1, '-W', 2, '-t', 'command/#' ], '<', \'', '>', \$out, '2>&1');
		like($out, qr/all subscription requests were denied/i, 'nobody subscribes to the commands of all');
	}
}

# 7. Two daemons: the one that has the connection sends, and the lease of a dead one ends
my $other = "$t->{dir}/second.json";
spew($other, json_of({ database => $t->conninfo . ' user=fleetd', listeners => [ { adapter => 'json', address => '127.0.0.1:0' } ] }));
my $log = "$t->{dir}/second.log";
my $pid = fork() // die;
if ($pid == 0) { open STDERR, '>', $log; { exec 'shim/fleetd', '-c', $other; } POSIX::_exit(127); }
wait_for('the second fleetd', sub { -e $log && slurp($log) =~ /commands_on/ });
my ($port) = slurp($log) =~ /"event":"listening".*?"port":(\d+)/;
my $there = FleetTest::Client->new($port);
$there->send_line(json_of({ auth => $t->token, commands => 'truck' }));
$there->read_json;
my $two = send_command('truck', 'two');
is($there->read_json->{command}{id}, $two, 'the daemon that has the vehicle sends');
my $here = json_device('truck');
$began = time;
is($here->read_json->{command}{id}, $two, 'the vehicle comes to the other one unanswered: that one sends again');
cmp_ok(time - $began, '>', 2, '... when the first one can not be writing any more');
confirm($here, $two);
wait_row($two, 'confirmed|2||', '... and it is confirmed');
confirm($there, $two);
kill 'TERM', $pid;
waitpid $pid, 0;

# 8. A fleet under load, commands from one transaction, fleetd killed in the middle
my $ledger = "$t->{dir}/ledger";
my $sim = $t->start_fleetsim('run', $t->delivery, "--commands", '--vehicles', 30, '--first-vehicle', 7001, '--rate', 2000, '--seconds', 8, '--ledger', $ledger);
$t->wait_for_query("SELECT count(*) = 30 FROM fleet.vehicle_state s JOIN fleet.vehicle v USING (vehicle_id) WHERE v.name LIKE '70__'");
is(psql("SELECT count(fleet.send_command(vehicle_id, 'honk', expires => '1 minute')) FROM fleet.vehicle, generate_series(1, 5) WHERE name LIKE '70__'"), '150',
	'commands for a whole fleet');
$t->wait_for_query("SELECT count(*) > 20 FROM fleet.command WHERE name = 'honk' AND state = 'confirmed'");
$t->signal('KILL');
$t->wait_fleetd;
$t->start_fleetd;
$t->wait_for_query("SELECT count(*) = 150 FROM fleet.command WHERE name = 'honk' AND state = 'confirmed' AND answer = 'honk'");
ok(1, 'all confirmed, although fleetd was killed');
is(psql("SELECT count(*) FROM (SELECT confirmed_at < lag(confirmed_at) OVER (PARTITION BY vehicle_id ORDER BY command_id) AS wrong FROM fleet.command WHERE name = 'honk') c WHERE wrong"), '0',
	'... each vehicle\'s in order');
my ($code) = $t->finish_fleetsim($sim);
is($code, 0, '... and the reports acknowledged');
$t->verify($ledger, '... and stored, once');

# 9. Somebody who confirms without end what nobody sent
$van = json_device('van');
my $flooder = fork() // die "could not fork: $!\n";
if ($flooder == 0)
{
	my $peer = $t->connect('json');
	my $lines = join '', map { '{"confirm":{"id":' . ($_ + 1_000_000) . "}}\n" } 1 .. 2000;
	$peer->send_line(json_of({ auth => $t->token, commands => JSON::PP::true }));
	1 while $peer->send($lines);
	POSIX::_exit(0);
}
wait_for('the flood', sub { $t->metrics->{fleetd_command_answers_unexpected_total} > 20_000 });
my $honk = send_command('van', 'honk');
wait_for('a command through the flood', sub { state_of($honk) eq 'sent' }, 20);
my $heard = $van->read_json(20);
is($heard->{command}{id}, $honk, 'a command gets through all the same');
confirm($van, $honk, answer => 'honked');
wait_row($honk, 'confirmed|1|honked|', '... and its confirmation');
kill 'KILL', $flooder;
waitpid $flooder, 0;

# 10. Numbers and rights
my $metrics = $t->metrics;
cmp_ok($metrics->{'fleetd_command_outcomes_total{outcome="confirmed"}'}, '>', 5, 'confirmations are counted');
is($metrics->{fleetd_commands_up}, '1', 'commands are up');
$t->stop_fleetd;
psql("REVOKE fleet_daemon FROM fleetd; GRANT fleet_ingest TO fleetd; SELECT fleet.grant_tenant('fleetd', tenant_id) FROM fleet.tenant");
$t->start_fleetd;
$t->wait_log('commands_off', 0);
$scooter = json_device('scooter');
$scooter->send_documents(document('scooter', time - 3));
$scooter->wait_ack(1);
is($t->metrics->{fleetd_commands_up}, '0', 'without the rights telemetry goes on, commands do not');
is(scalar $t->log_events('commands_off'), 1, '... said once');
is($t->stop_fleetd, 0, 'fleetd ends well');
done_testing;
