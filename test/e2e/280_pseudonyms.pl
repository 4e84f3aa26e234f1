# No VIN is stored or logged anywhere: distinct ones are planted through every
# adapter, as identity, in texts, in garbage, as logins and as tokens, with and
# without keys; then all that server and daemon have written is searched. The
# same vehicles go on under new keys.
use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use FleetTest;
use IO::Select;
use IO::Socket::INET;
use IPC::Run ();
use Test::More;

my ($adapters) = `shim/fleetd --help` =~ /\nAdapters:\n(.*?)\n\n/s;
my @listed = map { /^  (\S+)/ } split /\n/, $adapters;
cmp_ok(scalar @listed, '>=', 13, 'the adapters that there are');

# --- VINs, of which no two are the same ---

my @digit = (0 .. 9, 'X');
my %value = (map({ $_ => $_ } 0 .. 9), A => 1, B => 2, C => 3, D => 4, E => 5, F => 6, G => 7, H => 8, J => 1, K => 2, L => 3, M => 4,
	N => 5, P => 7, R => 9, S => 2, T => 3, U => 4, V => 5, W => 6, X => 7, Y => 8, Z => 9);
my $START = '5YJ3E1EA';
my $made = 100000 + $$ % 500000;
my %planted;

sub vin
{
	my ($where) = @_;
	my $vin = sprintf "${START}0KF%06d", ++$made;
	my @weight = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2);
	my $sum = 0;
	$sum += $value{ substr $vin, $_, 1 } * $weight[$_] foreach 0 .. 16;
	substr($vin, 8, 1) = $digit[ $sum % 11 ];
	$planted{$vin} = $where;
	return $vin;
}

my $dir = PostgreSQL::Test::Utils::tempdir('pseudonyms');
my $t;

# --- what is searched ---

sub search_text
{
	my ($name, $text, $found) = @_;
	my %forms = map { lc($_) => $_, unpack('H*', $_) => $_, unpack('H*', lc $_) => $_ } keys %planted;
	my @starts = (lc $START, unpack('H*', $START), unpack('H*', lc $START));
	$text = lc $text;
	foreach my $start (@starts)
	{
		my $length = $start =~ /^5yj/ ? 17 : 34;
		for (my $at = 0; ($at = index $text, $start, $at) >= 0; $at++)
		{
			my $vin = $forms{ substr $text, $at, $length } or next;
			$found->{"$name: $planted{$vin}"} = 1;
		}
	}
	return;
}

sub search_folder
{
	my ($folder, $found) = @_;
	opendir my $handle, $folder or die "could not open \"$folder\": $!\n";
	my @entries = grep { !/^\.\.?$/ } readdir $handle;
	foreach my $entry (@entries)
	{
		my $path = "$folder/$entry";
		if (-d $path) { search_folder($path, $found) if !-l $path }
		elsif (-f $path) { search_text(substr($path, length $t->node->data_dir) =~ s{^/}{}r, slurp($path), $found) }
	}
	return;
}


sub openssl
{
	my $said;
	IPC::Run::run([ 'openssl', @_ ], '<', \'', '>', \$said, '2>&1') or die "openssl @_: $said\n";
	return;
}
openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
	'-keyout', "$dir/ca.key", '-out', "$dir/ca.crt");

my ($mosquitto) = grep { -x $_ } map { "$_/mosquitto" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
my $broker_port = PostgreSQL::Test::Cluster::get_free_port();
my ($kcat) = grep { -x } map { ("$_/kcat", "$_/kafkacat") } split /:/, $ENV{PATH};
my ($kafka, $kafka_in, $kafka_out) = (undef, '', '');
my $bootstrap;
if ($kcat && -x 'build/tools/kafka_mock')
{
	$kafka = IPC::Run::start([ 'build/tools/kafka_mock', 2, 'telemetry=1' ], '<', \$kafka_in, '>', \$kafka_out, '2>', "$dir/kafka.err");
	wait_for('a Kafka cluster', sub { $kafka->pump_nb; $kafka_out =~ /^bootstrap (.+)\n/ && ($bootstrap = $1) });
}
my %tls = (certificate => "$dir/ca.crt", key => "$dir/ca.key", client_ca => "$dir/ca.crt");
my %proves = map { $_ => 1 } 'json', 'http', 'mqtt';	# with a token
$t = FleetTest->new(
	fleetd => 0,
	conf => "log_statement = all\nlog_min_duration_statement = 0\nlog_min_messages = debug1\nlog_parameter_max_length_on_error = -1\n",
	listeners => [
		(map { { adapter => $_, ($proves{$_} ? () : (source => 1)), ($_ eq 'tesla' ? (tls => \%tls) : ()) } } @listed),
		{ adapter => 'h02', source => 1, transport => 'udp' }
	],
	config => {
		batch => { rows => 500, milliseconds => 20 },
		log => { level => 'debug', lines_per_second => 0 },
		sources => [
			$mosquitto ? { adapter => 'mqtt-broker', server => "127.0.0.1:$broker_port", source => 1, keep_alive_seconds => 2 } : (),
			$kafka ? { adapter => 'kafka', brokers => $bootstrap, topics => ['telemetry'], device_from => 'key', source => 1 } : ()
		]
	});
my $broker;
if ($mosquitto)
{
	my $user = getpwuid $>;
	spew("$dir/mosquitto.conf", "user $user\nallow_anonymous true\nlistener $broker_port 127.0.0.1\n");
	$broker = IPC::Run::start([ $mosquitto, '-c', "$dir/mosquitto.conf" ], '<', \'', '>', \my $quiet, '2>&1');
	wait_for('mosquitto', sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $broker_port) });
}
my $now = time - 1000;

# --- clients ---

# Sends bytes and reads until nothing comes any more.
sub send_bytes
{
	my ($adapter, $bytes, %options) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $options{port} // $t->port($adapter), Timeout => 5,
		Proto => $options{udp} ? 'udp' : 'tcp') or die "no connection to $adapter: $!\n";
	my $answer = '';
	foreach my $piece (ref $bytes ? @$bytes : $bytes)
	{
		local $SIG{PIPE} = 'IGNORE';
		syswrite $socket, $piece or last;
		my $select = IO::Select->new($socket);
		sysread($socket, $answer, 65536, length $answer) or last while $select->can_read($options{patience} // 0.15);
	}
	close $socket;
	return $answer;
}

sub mqtt_text { return pack 'n/a*', $_[0]; }
sub mqtt_packet { my ($head, $body) = @_; my $n = length $body; return pack('C', $head) . ($n < 128 ? pack('C', $n) : pack('C2', 128 | $n & 127, $n >> 7)) . $body; }

sub mqtt_connect
{
	my ($id, $user, $password, $will_topic, $will) = @_;
	return mqtt_packet(0x10, mqtt_text('MQTT') . pack('C C n', 4, 0xC2 | (defined $will ? 4 : 0), 60) . mqtt_text($id)
		  . (defined $will ? mqtt_text($will_topic) . mqtt_text($will) : '') . mqtt_text($user) . mqtt_text($password));
}
sub mqtt_publish { my ($topic, $payload) = @_; return mqtt_packet(0x32, mqtt_text($topic) . pack('n', 7) . $payload); }

sub varint { my ($n) = @_; my $out = ''; while ($n > 127) { $out .= chr(0x80 | $n & 127); $n >>= 7; } return $out . chr $n; }
sub part { my ($number, $bytes) = @_; return chr($number << 3 | 2) . varint(length $bytes) . $bytes; }
sub stamp { return part($_[0], "\x08" . varint($_[1])); }

sub tesla_frame
{
	my ($topic, $payload, $sender) = @_;
	my @texts = ("tx-$topic", $topic, $sender, $payload);
	my ($at, @at) = (66);
	foreach my $text (@texts) { push @at, $at; $at += 4 + length $text; }
	my $data = pack('V x4', 8) . pack('l< V V V C x3', 8 - 44, $at[0] - 12, $at[1] - 16, 28 - 20, 4)
	  . pack('l< V V x4', 28 - 56, $at[2] - 32, $at[3] - 36) . pack('v*', 12, 20, 4, 8, 16, 12) . pack('v*', 10, 16, 0, 4, 8)
	  . join '', map { pack('V/a*', $_) } @texts;
	my $mask = "\x01\x02\x03\x04";
	my $length = length $data;
	return "\x82" . ($length < 126 ? pack('C', 0x80 | $length) : pack('C n', 0xFE, $length)) . $mask
	  . ($data ^ substr($mask x (1 + $length / 4), 0, $length));
}

# A car with this name in its certificate; returns when all is answered.
sub drive
{
	my ($name, @frames) = @_;
	my $file = "$dir/car-" . ++$made;
	openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', "/CN=$name", '-keyout', "$file.key", '-out', "$file.csr");
	openssl('x509', '-req', '-in', "$file.csr", '-CA', "$dir/ca.crt", '-CAkey', "$dir/ca.key", '-CAcreateserial', '-days', 2, '-out', "$file.crt");
	my $car = { in => '', out => '', err => '' };
	$car->{run} = IPC::Run::start(
		[ 'openssl', 's_client', '-quiet', '-connect', '127.0.0.1:' . $t->port('tesla'), '-CAfile', "$dir/ca.crt", '-cert', "$file.crt", '-key', "$file.key" ],
		'<', \$car->{in}, '>', \$car->{out}, '2>', \$car->{err});
	my $hears = sub { my ($pattern) = @_; wait_for("\"$pattern\" for a car", sub { eval { $car->{run}->pump_nb }; $car->{out} =~ /$pattern/s }) };
	$car->{in} .= "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	  . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
	$hears->('101 Switching');
	foreach my $frame (@frames)
	{
		$car->{out} = '';
		$car->{in} .= $frame;
		$hears->('tx-');
	}
	$car->{run}->kill_kill;
	return;
}

# --- planting ---

my %device;	# VINs that stand for a vehicle, by adapter

sub report { my ($vin, $seconds, %more) = @_; return { %{ document($vin, $now + $seconds) }, %more }; }

sub plant
{
	my ($phase) = @_;
	my $v = sub { vin("$phase $_[0]") };
	my $dev = sub { my ($adapter) = @_; return $device{$phase}{$adapter} = vin("$phase $adapter identity") };
	%{ $device{$phase} } = ();

	# json: a document each
	my $client = $t->connect_json;
	my $vin = $dev->('json');
	$client->send_line($_) foreach json_of(report($vin, 1)), json_of(report(lc $vin, 2)),
	  json_of(report('box', 3, note => 'vin=' . $v->('json text') . ';', lower => lc $v->('json lower'))),
	  json_of(report('box', 4, vehicles => { $v->('json name') => { speed => 3 } })),
	  json_of(report('box', 5, location => { lat => 95, lon => 8 }, vin => $v->('json text of a report out of range'))),
	  '{"vehicle_id": "box", "note": "' . $v->('json garbage') . '", ', json_of({ note => $v->('json without a device') }),
	  json_of({ vehicle_id => $v->('json without a time'), x => $v->('json second text') }), $v->('json no object');
	$client->wait_ack(9);
	$client->close;
	send_bytes('json', json_of({ auth => $v->('json token') }) . "\n");
	send_bytes('json', json_of({ auth => $t->token, mapping => $v->('json mapping') }) . "\n");

	# http and osmand
	$vin = $dev->('http');
	is($t->post([ report($vin, 1), report('box', 12, note => $v->('http text')), { vehicle_id => $v->('http without a time') } ])->{status}, 200, "$phase: http");
	$t->post('["' . $v->('http garbage') . '", {"x":');
	$t->post('{"vehicle_id": "' . $v->('http garbage 2') . "\xff\"}");
	$t->post([ report('box', 13) ], '-H', 'X-Mapping: ' . $v->('http header'), '-A', $v->('http agent'));
	$t->http('POST', '/v1/' . $v->('http path') . '?vin=' . $v->('http query'), '-d', $v->('http body'));
	$t->http('POST', '/v1/telemetry', '-H', 'Authorization: Bearer ' . $v->('http token'), '-H', 'Content-Type: application/json', '-d', '{}');
	$vin = $dev->('osmand');
	send_bytes('osmand', "GET /?id=$vin&timestamp=$now&lat=50&lon=8&note=" . $v->('osmand text') . " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", patience => 1);
	send_bytes('osmand', 'GET /?id=' . $v->('osmand place') . '&timestamp=x&lat=' . $v->('osmand number') . "&lon=8 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", patience => 1);
	send_bytes('osmand', 'GET /' . $v->('osmand path') . " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

	# mqtt: topic, client id, user, password, will, payload
	$vin = $dev->('mqtt');
	my $will = $v->('mqtt will');
	send_bytes('mqtt', [ mqtt_connect($v->('mqtt client'), $v->('mqtt user'), $t->token, "telemetry/$will", json_of({ note => $v->('mqtt will text') })),
			mqtt_publish("telemetry/$vin", json_of(report($vin, 1))), mqtt_publish('telemetry/' . $v->('mqtt topic'), $v->('mqtt payload')),
			mqtt_publish($v->('mqtt other topic'), '{}'), mqtt_publish("telemetry/$will", json_of(report($will, 1))) ], patience => 0.3);
	send_bytes('mqtt', mqtt_connect('x', 'x', $v->('mqtt password')));

	# trackers that speak in text
	$vin = $dev->('wialon');
	send_bytes('wialon', [ "#L#$vin;NA\r\n", '#D#' . POSIX::strftime('%d%m%y;%H%M%S', gmtime $now) . ";5006.63;N;00840.93;E;10;90;100;9;NA;NA;NA;;NA;note:3:" . $v->('wialon text') . "\r\n",
			'#D#' . $v->('wialon garbage') . "\r\n", '#M#' . $v->('wialon message') . "\r\n" ]);
	send_bytes('wialon', '#L#' . $v->('wialon login') . ';' . $v->('wialon password') . "\r\n");
	send_bytes('h02', '*HQ,' . $v->('h02 identity') . ',V1,' . POSIX::strftime('%H%M%S', gmtime $now) . ',A,5006.6300,N,00840.9300,E,10.0,90,'
		  . POSIX::strftime('%d%m%y', gmtime $now) . ',FFFFFFFF#*HQ,8600000001,V1,' . $v->('h02 garbage') . '#');
	send_bytes('h02', '*HQ,' . $v->('h02 over udp') . ',V1,x#', udp => 1, port => $t->port('h02', 1));
	send_bytes('gps103', '##,imei:' . $v->('gps103 identity') . ',A;imei:860000000000009,' . $v->('gps103 garbage') . ',1,,F,x,A,;');
	send_bytes('tk103', '(' . $v->('tk103 identity') . 'BP05)(000000000001BR00' . $v->('tk103 garbage') . ')');
	send_bytes('gl200', '+RESP:GTFRI,060228,' . $v->('gl200 identity') . ',,0,0,1,1,4.3,92,70.0,121.354335,31.222073,20260101000000,0460,0000,18d8,6141,00,,20260101000000,11F0$'
		  . '+RESP:GTFRI,060228,860000000000009,' . $v->('gl200 VIN') . ',,,x$');

	# and those that speak in bytes: lengths first, or nonsense
	my $imei = $v->('teltonika login');
	send_bytes('teltonika', pack('n/a*', $imei) . $v->('teltonika behind it'));
	send_bytes('teltonika', [ pack('n/a*', '860000000000007'), do { my $body = "\x08\x01" . $v->('teltonika garbage') . "\x01"; pack('N N/a* N', 0, $body, 0) } ]);
	send_bytes('gt06', [ "\x78\x78\x0D\x01\x08\x60\x00\x00\x00\x00\x00\x07\x00\x01\x00\x00\x0D\x0A", "\x78\x78\x14\x94" . $v->('gt06 garbage') . "\x00\x00\x0D\x0A" ]);
	send_bytes('ruptela', pack('n/a* n', pack('Q> C', 860000000000007, 1) . $v->('ruptela garbage'), 0));

	# all of them, and those that came later, get what they cannot understand
	foreach my $adapter (@listed)
	{
		next if $adapter eq 'tesla';
		send_bytes($adapter, $_) foreach $v->("$adapter line") . "\r\n", "\x01\x11" . $v->("$adapter bytes") . "\x00\xff\r\n";
	}

	# a car: the certificate's name, a claim of another, a text, an alert, garbage
	$vin = $dev->('tesla');
	drive($vin, tesla_frame('V', part(1, "\x08\x0a" . part(2, part(1, 'D'))) . part(1, "\x08" . varint(54) . part(2, part(1, 'about ' . $v->('tesla text')))) . stamp(2, $now) . part(3, $v->('tesla body')), 'vehicle_device.' . $v->('tesla sender')),
		tesla_frame('alerts', part(1, part(1, $v->('tesla alert')) . stamp(3, $now)) . stamp(2, $now), 'x'), tesla_frame('V', "\x0a\x7f" . $v->('tesla garbage'), 'x'));
	eval { drive($v->('tesla odd') . '.x', tesla_frame($v->('tesla topic'), 'x', 'x')) };

	if ($mosquitto)
	{
		$vin = $dev->('mqtt-broker');
		send_bytes('broker', [ mqtt_connect('p', 'u', 'p'), mqtt_publish("telemetry/$vin", json_of(report($vin, 1, note => $v->('broker text')))),
				mqtt_publish('telemetry/' . $v->('broker topic'), $v->('broker garbage')) ], port => $broker_port);
	}
	if ($kafka)
	{
		$vin = $dev->('kafka');
		my %anonymous = %{ report($vin, 1, note => $v->('kafka text')) };
		delete $anonymous{vehicle_id};
		my $lines = join "\n", "$vin|" . json_of(\%anonymous), $v->('kafka key') . '|' . $v->('kafka garbage'), 'box|{"x": "' . $v->('kafka cut');
		IPC::Run::run([ $kcat, '-P', '-b', $bootstrap, '-t', 'telemetry', '-K', '|' ], '<', \"$lines\n", '>', \my $said, '2>&1', IPC::Run::timeout(30)) or die "kcat failed\n";
	}
	return;
}

# 1. Without a key: refused, and withheld
$t->start_fleetd;
wait_for('the broker', sub { ($t->log_events('broker_connected'))[0] }) if $mosquitto;
plant('no key');
$t->wait_for_query("SELECT count(*) >= 20 FROM fleet.quarantine WHERE code = 'looks_like_vin'");
is($t->query("SELECT string_agg(DISTINCT device, ' ') FROM fleet.quarantine WHERE code = 'looks_like_vin' AND device <> 'box'"), 'withheld', 'who it was is withheld');
is($t->query("SELECT count(*) FROM fleet.quarantine WHERE code = 'looks_like_vin' AND (report IS NOT NULL OR raw IS NOT NULL OR value IS NOT NULL)"), '0', '... and what was said');
is($t->query("SELECT string_agg(DISTINCT field, ' ' ORDER BY field) FROM fleet.quarantine WHERE device = 'box'"), 'lower note signals vin', 'of others, the field is told')
  or diag($t->query("SELECT code, field FROM fleet.quarantine WHERE device = 'box'"));
cmp_ok($t->query("SELECT count(*) FROM fleet.quarantine WHERE position('XXXXXXXXXXXXXXXXX' IN encode(raw, 'escape')) > 0"), '>=', 5, 'in raw bytes X stands');
cmp_ok($t->metrics->{'fleetd_vins_total{outcome="refused"}'}, '>', 10, 'they are counted');

# 2. A key of the wrong rights is refused, a right one works from now on
my @key = map { unpack 'H*', pack 'N8', map { int rand 2**32 } 1 .. 8 } 1 .. 3;
sub pseudonym { my ($id, $key, $vin) = @_; return "$id:" . substr hmac_sha256_hex(uc $vin, pack 'H*', $key), 0, 32; }
my $key_file = spew("$dir/keys", "[default]\nk1 $key[0]\n");
chmod 0644, $key_file;
$t->write_config(pseudonym => { key_file => $key_file });
$t->signal('HUP');
like($t->wait_log('reload_refused')->{message}, qr/key_file.*must have no rights for group and others/, 'a file that others may read');
chmod 0600, $key_file;
my $size = $t->log_size;
$t->signal('HUP');
$t->wait_log('reloaded', $size);
plant('key');
foreach my $adapter (sort keys %{ $device{key} })
{
	my $name = pseudonym('k1', $key[0], $device{key}{$adapter});
	$t->wait_for_query("SELECT count(*) > 0 FROM fleet.telemetry WHERE vehicle = '$name'");
	pass("$adapter: stored under its pseudonym");
}
is($t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = '" . pseudonym('k1', $key[0], $device{key}{json}) . "'"), '2', 'upper and lower case are one vehicle');
like($t->query("SELECT signals::jsonb->>'note' FROM fleet.telemetry WHERE vehicle = 'box' AND signals::jsonb ? 'lower'"), qr/^vin=k1:[0-9a-f]{32};$/, 'texts have theirs');

# 3. A new key: the same vehicles go on
my %vehicles = map { $_ => $t->query("SELECT vehicle_id FROM fleet.vehicle WHERE name = '" . pseudonym('k1', $key[0], $device{key}{$_}) . "'") } 'json', 'http';
my $vehicles = $t->query('SELECT count(*) FROM fleet.vehicle');
spew($key_file, "[default]\nk2 $key[1]\nk1 $key[0]\n");
$size = $t->log_size;
$t->signal('HUP');
$t->wait_log('reloaded', $size);
is($t->post([ map { report($device{key}{$_}, 100) } 'json', 'http' ])->{json}{accepted}, 2, 'reports after a change of keys');
is($t->query("SELECT string_agg(vehicle_id || ' ' || n, ', ' ORDER BY vehicle_id) FROM (SELECT vehicle_id, count(*) AS n FROM fleet.event WHERE vehicle_id IN (" . join(', ', values %vehicles) . ') GROUP BY 1) x'),
	join(', ', map { "$vehicles{$_} " . ($_ eq 'json' ? 3 : 2) } sort { $vehicles{$a} <=> $vehicles{$b} } keys %vehicles), 'belong to the same vehicles');
is($t->query('SELECT count(*) FROM fleet.vehicle'), $vehicles, 'and made no other');
is($t->query("SELECT count(*) FROM fleet.device WHERE identity IN ('" . join("', '", map { pseudonym('k2', $key[1], $device{key}{$_}) } 'json', 'http') . "')"), '2', 'known by the new ones, too');

# by a map, made where the keys are
my ($map, $complaints);
spew($key_file, "[default]\nk3 $key[2]\nk2 $key[1]\nk1 $key[0]\n");
IPC::Run::run([ 'shim/fleetd', '--rekey-map', '-c', "$t->{dir}/fleetd.json" ], '<', \"$device{key}{mqtt}\nnonsense\n", '>', \$map, '2>', \$complaints);
is($map, pseudonym('k2', $key[1], $device{key}{mqtt}) . "\t" . pseudonym('k3', $key[2], $device{key}{mqtt}) . "\n" . pseudonym('k1', $key[0], $device{key}{mqtt}) . "\t" . pseudonym('k3', $key[2], $device{key}{mqtt}) . "\n", 'a map of old to new');
is($complaints, "line 2: no VIN with a right check digit\n", '... says what is none, by its number');
my @pairs = map { [ split /\t/ ] } split /\n/, $map;
is($t->query('SELECT fleet.rekey_devices(1, ARRAY[' . join(', ', map { "'$_->[0]'" } @pairs) . '], ARRAY[' . join(', ', map { "'$_->[1]'" } @pairs) . '])'), '1', 'applied');
is($t->query("SELECT count(*) FROM fleet.vehicle WHERE name = '$pairs[0][1]'"), '1', 'the vehicle has the new name');
IPC::Run::run([ 'shim/fleetd', '--pseudonyms', '-c', "$t->{dir}/fleetd.json" ], '<', \"$device{key}{mqtt}\n", '>', \$map);
is((split /\n/, $map)[0], $pairs[0][1], 'the tool tells what a vehicle is called');
$size = $t->log_size;
$t->signal('HUP');
$t->wait_log('reloaded', $size);
is($t->post([ report($device{key}{mqtt}, 100) ])->{json}{accepted}, 1, 'it goes on');
is($t->query('SELECT count(*) FROM fleet.vehicle'), $vehicles, 'as itself');

# 4. Nothing of all that is anywhere
my $metrics = $t->http('GET', '/metrics')->{body};
$metrics .= $t->query('SELECT * FROM pg_stat_activity');
$metrics .= $t->query('SELECT fleet.last_batch()');
$t->stop_fleetd;
$t->query('CHECKPOINT');
my %found;

sub search_all
{
	my ($found) = @_;
	my $dump = '';
	IPC::Run::run([ 'pg_dump', '-d', $t->conninfo ], '>', \$dump) or die "pg_dump failed\n";
	cmp_ok(length $dump, '>', 10000, 'a dump');
	search_text('dump', $dump, $found);
	search_folder($t->node->data_dir, $found);
	search_text('server log', slurp($t->node->logfile), $found);
	search_text('fleetd log', slurp($t->{log}), $found);
	return;
}
cmp_ok(scalar keys %planted, '>=', 150, 'so many VINs were planted: ' . keys %planted);
search_text('metrics and activity', $metrics, \%found);
search_all(\%found);
note(join ', ', map { "$_ $1" if $metrics =~ /^fleetd_vins_total\{outcome="$_"\} (\d+)/m } 'replaced', 'refused', 'masked');
is_deeply([ sort keys %found ], [], 'none of them is in data directory, WAL, logs, metrics, activity or dump');
unlike(slurp($t->{log}), qr/\Q$key[$_]\E/, 'nor is a key in the log') foreach 0 .. 2;
like(slurp($t->node->logfile), qr/COPY fleet\.ingest.*rekey_from_sources/s, 'while the server logs every statement');

# 5. The search would have found one
my ($plain, $lower, $bytes) = map { vin("proof $_") } 'plain', 'lower', 'bytes';
$t->query("CREATE TABLE proof AS SELECT '$plain'::text AS plain, '" . lc($lower) . "'::text AS lower, '$bytes'::bytea AS bytes");
$t->query('CHECKPOINT');
my %proof;
search_all(\%proof);
foreach my $name ('plain', 'lower', 'bytes')
{
	foreach my $place ('base/', 'pg_wal/', 'server log', 'dump')
	{
		ok((grep { /^\Q$place\E.*proof $name/ } keys %proof), "found when it was there: $name, $place");
	}
}
$_->kill_kill foreach grep { $_ } $broker, $kafka;
done_testing();
