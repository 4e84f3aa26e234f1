# Certificates of clients for json, http and mqtt: who sends is what the certificate
# says, revoked ones are turned away and closed, addresses that fail too often wait.
use strict;
use warnings;

use FleetTest;
use IO::Socket::INET;
use IPC::Run ();
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir('certificates');
my $now = time - 1000;

# --- authorities, certificates, lists of revoked ones ---

sub openssl
{
	my $said;
	IPC::Run::run([ 'openssl', @_ ], '<', \'', '>', \$said, '2>&1') or die "openssl @_: $said\n";
	return;
}
my @key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes');

sub authority
{
	my ($name) = @_;
	openssl('req', '-x509', @key, '-days', '2', '-subj', "/CN=$name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.crt");
	spew("$dir/$name.index", '');
	spew("$dir/$name.number", "01\n");
	spew("$dir/$name.conf", "[ca]\ndefault_ca = d\n[d]\ndatabase = $dir/$name.index\ncrlnumber = $dir/$name.number\n"
		  . "default_md = sha256\ndefault_crl_days = 1\ncertificate = $dir/$name.crt\nprivate_key = $dir/$name.key\n");
	return;
}

sub certificate
{
	my ($authority, $file, $name, $alternative) = @_;
	openssl('req', @key, '-subj', "/CN=$name", '-keyout', "$dir/$file.key", '-out', "$dir/$file.csr",
		$alternative ? ('-addext', "subjectAltName=$alternative") : ());
	openssl('x509', '-req', '-in', "$dir/$file.csr", '-CA', "$dir/$authority.crt", '-CAkey', "$dir/$authority.key", '-CAcreateserial',
		'-days', '2', '-copy_extensions', 'copy', '-out', "$dir/$file.crt");
	return;
}

# The list of an authority, in place of the one before.
sub publish
{
	my ($authority, @arguments) = @_;
	openssl('ca', '-config', "$dir/$authority.conf", '-gencrl', '-out', "$dir/crl.new", @arguments);
	rename "$dir/crl.new", "$dir/crl.pem" or die "rename: $!\n";
	return;
}
sub revoke { my ($file) = @_; openssl('ca', '-config', "$dir/ours.conf", '-revoke', "$dir/$file.crt"); publish('ours'); return; }

authority($_) foreach 'ours', 'theirs';
certificate('ours', 'server', 'localhost', 'IP:127.0.0.1,DNS:localhost');
certificate('ours', "car-$_", "device-car-$_", "DNS:car-$_.example,URI:urn:fleet:car-$_") foreach 1 .. 3;
certificate('ours', 'nameless', 'somebody');
certificate('ours', 'two', 'device-two', 'URI:urn:fleet:a,URI:urn:fleet:b');
certificate('theirs', 'forged', 'device-car-1');
publish('ours');

my %tls = (
	certificate => "$dir/server.crt", key => "$dir/server.key", client_ca => "$dir/ours.crt",
	client_crl => "$dir/crl.pem", client_pattern => 'device-%');
my $t = FleetTest->new(
	fleetd => 0,
	config => { batch => { rows => 500, milliseconds => 20 } },
	listeners => [
		{ adapter => 'json', source => 0, tls => {%tls} },
		'http',
		{ adapter => 'http', source => 0, tls => {%tls} },
		{ adapter => 'mqtt', source => 0, tls => {%tls} },
		{ adapter => 'json', tls => { %tls, client_name => 'uri', client_pattern => 'urn:fleet:%' } },
		{ adapter => 'json', tls => { %tls, client_name => 'dns', client_pattern => '%.example', client_required => JSON::PP::false } },
		{ adapter => 'json', tls => { %tls, client_name => 'none' } },
		'json',
		{ adapter => 'osmand', source => 0, tls => {%tls} },
		{ adapter => 'wialon', source => 0, tls => {%tls} }
	]);
my $other_token = $t->create_source(1, 'other');
my $source = $t->query("SELECT source_id FROM fleet.source WHERE name = 'test'");
exists $_->{source} and $_->{source} = 0 + $source foreach @{ $t->{listeners} };
$t->start_fleetd;

# --- clients ---

# One that speaks TLS; nth is the listener's number among those of json, or of the adapter.
sub client
{
	my ($nth, $name, $adapter) = @_;
	my $client = { in => '', out => '', err => '' };
	$client->{run} = IPC::Run::start(
		[
			'openssl', 's_client', '-quiet', '-connect', '127.0.0.1:' . $t->port($adapter // 'json', $nth), '-CAfile', "$dir/ours.crt",
			$name ? ('-cert', "$dir/$name.crt", '-key', "$dir/$name.key") : ()
		],
		'<', \$client->{in}, '>', \$client->{out}, '2>', \$client->{err});
	return $client;
}

sub says { my ($client, @lines) = @_; $client->{in} .= "$_\n" foreach map { ref $_ ? json_of($_) : $_ } @lines; return; }

# What it hears until the pattern is there.
sub hears
{
	my ($client, $pattern) = @_;
	wait_for("$pattern from fleetd", sub { eval { $client->{run}->pump_nb }; $client->{out} =~ /$pattern/ });
	my $heard = $client->{out};
	$client->{out} = '';
	return $heard;
}
sub hang_up { my ($client) = @_; $client->{run}->kill_kill; return; }

# The connection that fleetd has ended since: clients of before may go at any time.
sub ended { my ($from) = @_; return (grep { $_->{reason} !~ /^(?:eof|error)$/ } $t->log_events('connection_closed', $from))[0]; }

# A connection that comes to its end without being heard: the event that tells why.
sub turned_away
{
	my ($nth, $name, @lines) = @_;
	my $from = $t->log_size;
	my $client = client($nth, $name);
	says($client, @lines);
	my $event = wait_for('the end of it', sub { eval { $client->{run}->pump_nb }; ended($from) });
	hang_up($client);
	return "$event->{reason}: " . ($event->{detail} // '');
}

sub mosquitto
{
	my ($name, @arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run(
		[
			'mosquitto_pub', '-d', '-h', '127.0.0.1', '-p', $t->port('mqtt'), '--cafile', "$dir/ours.crt",
			'--cert', "$dir/$name.crt", '--key', "$dir/$name.key", '-q', 1, @arguments
		],
		'<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout($FleetTest::TIMEOUT));
	return ($? >> 8, "$out$err");
}

sub https
{
	my ($name, $body, @arguments) = @_;
	my $file = spew("$dir/body", json_of($body));
	return $t->http('POST', '/v1/telemetry', 'tls', '--cacert', "$dir/ours.crt", $name ? ('--cert', "$dir/$name.crt", '--key', "$dir/$name.key") : (),
		'-H', 'Expect:', '--data-binary', "\@$file", @arguments);
}
sub events { my ($vehicle) = @_; return $t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = '$vehicle'"); }
sub metric { return $t->metrics->{ 'fleetd_' . $_[0] } // 0; }
sub without_device { my %document = %{ document('x', $_[0]) }; delete $document{vehicle_id}; return \%document; }
my @ok = ('{"auth":null}');

# 1. json: the certificate is enough, and says whose the reports are
my $client = client(0, 'car-1');
says($client, @ok, document('car-1', $now), without_device($now + 1), document('car-2', $now + 2));
like(hears($client, '"ack":3'), qr/^\{"auth":"ok"\}\n(?:\{"ack":[12]\}\n)*\{"ack":3,"rejected":\[\{"line":3,"code":"not_permitted","field":"device"\}\]\}\n$/,
	'a certificate in place of a token; a report of another device is refused');
is(events('car-1'), '2', 'its own are stored, with or without name');
is($t->query('SELECT count(*) FROM fleet.vehicle'), '1', '... the other is not');
is($t->query("SELECT device || ' ' || code || ' ' || field FROM fleet.quarantine"), 'car-1 not_permitted device', '... it stands in quarantine, as said by the one who sent it');
is(metric('records_foreign_total'), 1, '... and is counted');

# 2. json: with a token too, both have to be right
my $both = client(0, 'car-2');
says($both, json_of({ auth => $t->token }), document('car-2', $now));
like(hears($both, '"ack":1'), qr/"auth":"ok"/, 'with the token of its source');
hang_up($both);
my $wrong = client(0, 'car-2');
says($wrong, json_of({ auth => $other_token }));
is(hears($wrong, "\n"), "{\"error\":\"not permitted\"}\n", 'with a token of another source');
hang_up($wrong);
$wrong = client(0, 'car-2');
says($wrong, '{"auth":null,"commands":"car-1"}');
is(hears($wrong, "\n"), "{\"error\":\"device not allowed\"}\n", 'who asks for the commands of another car');
hang_up($wrong);
$wrong = client(0, 'car-2');
says($wrong, json_of({ auth => 'wrong' }));
is(hears($wrong, "\n"), "{\"error\":\"token unknown\"}\n", 'with an unknown token');
hang_up($wrong);

# 3. Who is turned away
is(turned_away(0, 'nameless'), 'certificate_names_no_device: ', 'a certificate whose name does not fit');
like(turned_away(0, 'forged'), qr/^tls: (?:unable to get local issuer certificate|certificate signature failure)$/, 'a certificate of another authority');
like(turned_away(0, ''), qr/^tls: peer did not return a certificate$/, 'no certificate');
is(metric('connections_closed_total{reason="certificate_names_no_device"}'), 1, '... counted');

# 4. Without a source at the listener a token is needed as well
is(turned_away(1, 'car-1', @ok), 'protocol: first line is no authentication', 'no source, no token');
my $named = client(1, 'car-3');
says($named, json_of({ auth => $other_token }), document('car-3', $now), document('car-1', $now + 50));
like(hears($named, '"ack":2'), qr/"rejected":\[\{"line":2,/, 'the alternative name, of kind URI, is the device');
is($t->query("SELECT name FROM fleet.source JOIN fleet.quarantine USING (source_id) WHERE device = 'car-3'"), 'other', '... in the token\'s source');
hang_up($named);
is(turned_away(1, 'two', @ok), 'certificate_names_no_device: ', 'of two names none is proved');

# 5. Certificates that may be left out, and those that only let in
my $optional = client(2, '');
says($optional, json_of({ auth => $t->token }), document('by-token', $now));
hears($optional, '"ack":1');
is(events('by-token'), '1', 'without certificate, a token decides');
hang_up($optional);
is(turned_away(2, '', @ok), 'protocol: first line is no authentication', '... and is needed');
$optional = client(2, 'car-3');
says($optional, json_of({ auth => $t->token }), document('by-token', $now + 1), document('car-3', $now + 1));
like(hears($optional, '"ack":2'), qr/"rejected":\[\{"line":1,/, 'with one, of kind DNS, it holds');
hang_up($optional);
my $gateway = client(3, 'nameless');
says($gateway, json_of({ auth => $t->token }), document('any', $now), document('other', $now));
unlike(hears($gateway, '"ack":2'), qr/rejected/, 'a gateway, whose certificate names no device, sends for all');
hang_up($gateway);

# 6. http
is(https('car-1', document('car-1', $now + 10))->{json}{accepted}, 1, 'http: a certificate in place of a token');
is(https('car-1', [ document('car-1', $now + 11), document('car-2', $now + 11) ])->{status}, 403, 'http: a request with another device\'s report');
is(events('car-1'), '3', '... nothing of it is stored');
is(https('car-1', [ without_device($now + 11) ])->{json}{accepted}, 1, 'http: without name it is its own');
my @bearer = map { [ '-H', "Authorization: Bearer $_" ] } $t->token, $other_token, 'wrong';
is(https('car-1', document('car-1', $now + 12), @{ $bearer[0] })->{status}, 200, 'http: both are right');
is(https('car-1', document('car-1', $now + 13), @{ $bearer[1] })->{status}, 403, 'http: the token is another source\'s');
is(https('car-1', document('car-1', $now + 13), @{ $bearer[2] })->{status}, 401, 'http: the token is unknown');
is(https('nameless', document('car-1', $now + 13))->{status}, 403, 'http: the certificate names no device');
is(https('', document('car-1', $now + 13))->{status}, 0, 'http: no certificate, no connection');
is(https('forged', document('car-1', $now + 13))->{status}, 0, 'http: nor with a forged one');

# 7. mqtt
SKIP:
{
	skip 'mosquitto_pub is not installed', 6 unless grep { -x "$_/mosquitto_pub" } split /:/, $ENV{PATH};
	foreach my $version ('mqttv5', 'mqttv311')
	{
		my $time = $now + ($version eq 'mqttv5' ? 20 : 21);
		my ($code, $said) = mosquitto('car-1', '-V', $version, '-t', 'telemetry/car-1', '-m', json_of(document('car-1', $time)));
		is("$code " . $t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = 'car-1' AND event_time = to_timestamp($time)"), '0 1',
			"$version: a certificate in place of a password") or diag($said);
	}
	my ($code, $said) = mosquitto('car-1', '-V', 'mqttv5', '-t', 'telemetry/car-2', '-m', json_of(document('car-2', $now + 22)));
	like($said, qr/RC:135|Not authorized/i, 'mqttv5: another vehicle\'s topic is not authorized');
	my $from = $t->log_size;
	($code, $said) = mosquitto('car-1', '-V', 'mqttv311', '-t', 'telemetry/car-2', '-m', json_of(document('car-2', $now + 23)));
	is(wait_for('its end', sub { ended($from) })->{detail}, 'topic of another vehicle', 'mqttv311: it ends the connection');
	is(events('car-2'), '1', '... nothing is stored');
	($code, $said) = mosquitto('car-1', '-V', 'mqttv5', '-t', 'telemetry/car-1', '-m', '{}', '--will-topic', 'telemetry/car-2', '--will-payload', 'x');
	like($said, qr/not authori[sz]ed/i, 'nor can a will be another\'s');
}

# 8. Protocols whose devices only claim who they are: with a certificate they have to claim what it says
sub phone
{
	my ($id) = @_;
	my $out = '';
	IPC::Run::run(
		[
			'curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', "$dir/ours.crt", '--cert', "$dir/car-1.crt", '--key', "$dir/car-1.key",
			'https://127.0.0.1:' . $t->port('osmand') . "/?id=$id&lat=50&lon=8&timestamp=" . ($now + 30)
		],
		'<', \'', '>', \$out, '2>&1');
	return $out;
}
is(phone('car-1'), '200', 'osmand: a phone with its certificate');
is(phone('car-3'), '403', 'osmand: another phone\'s reports');
my $tracker = client(0, 'car-1', 'wialon');
$tracker->{in} .= "#L#car-1;NA\r\n";
is(hears($tracker, "\n"), "#AL#1\r\n", 'wialon: a tracker with its certificate');
hang_up($tracker);
my $position = $t->log_size;
$tracker = client(0, 'car-1', 'wialon');
$tracker->{in} .= "#L#car-3;NA\r\n";
is(wait_for('its end', sub { eval { $tracker->{run}->pump_nb }; ended($position) })->{reason},
	'device_not_allowed', 'wialon: one that logs in as another is not');
unlike($tracker->{out}, qr/#AL#1/, '... welcomed');
hang_up($tracker);

# 9. Revoked: who is connected is closed, who comes is turned away
revoke('car-1');
my $from = $t->log_size;
$t->signal('HUP');
is(hears($client, 'error'), "{\"error\":\"certificate revoked\"}\n", 'after SIGHUP a revoked certificate\'s connection is closed');
hang_up($client);
is(wait_for('its end', sub { ended($from) })->{reason}, 'certificate_revoked', '... with the reason');
is(metric('connections_closed_total{reason="certificate_revoked"}'), 1, '... and counted');
is(turned_away(0, 'car-1', @ok), 'tls: certificate revoked', 'it does not come in again');
is(https('car-1', document('car-1', $now + 30))->{status}, 0, '... by http neither');

# 10. The file alone
$t->write_config(revocation_seconds => 1);
$from = $t->log_size;
$t->signal('HUP');
$t->wait_log('reloaded', $from);
$t->stop_fleetd;
$t->start_fleetd;
$client = client(0, 'car-2');
says($client, @ok);
hears($client, 'ok');
$from = $t->log_size;
revoke('car-2');
like(hears($client, 'error'), qr/certificate revoked/, 'a changed list is read without SIGHUP');
hang_up($client);
ok($t->wait_log('revocation_list_read', $from), '... and the log tells');
spew("$dir/crl.pem", "-----BEGIN X509 CRL-----\nnonsense\n");
ok($t->wait_log('revocation_list_not_read', $from), 'one that cannot be read is told of');
is(turned_away(0, 'car-2', @ok), 'tls: certificate revoked', '... the one before stays in force');
$from = $t->log_size;
publish('ours', '-crl_lastupdate', '20200101000000Z', '-crl_nextupdate', '20200102000000Z');
ok($t->wait_log('revocation_list_expired', $from), 'one whose time is over is told of');
is(turned_away(0, 'car-3', @ok), 'tls: CRL has expired', '... nobody comes in');
$from = $t->log_size;
publish('theirs');
$t->wait_log('revocation_list_read', $from);
is(turned_away(0, 'car-3', @ok), 'tls: unable to get certificate CRL', 'nor without a list of the right authority');
$from = $t->log_size;
publish('ours');
$t->wait_log('revocation_list_read', $from);
$client = client(0, 'car-3');
says($client, @ok);
is(hears($client, "\n"), "{\"auth\":\"ok\"}\n", 'with a good one they do');
hang_up($client);

# 11. Failed attempts
$t->stop_fleetd;
$t->start_fleetd(auth => { failures => 3, failure_seconds => 3 });

sub attempt
{
	my ($token) = @_;
	my $attempt = $t->connect('json', 4);
	$attempt->send_line(json_of({ auth => $token }));
	my $answer = $attempt->read_json;
	return $answer->{error} // 'ok';
}
is(attempt('wrong'), 'token unknown', 'an unknown token') foreach 1 .. 3;
is(attempt($t->token), 'too many failed attempts of this address', 'after three the address is turned away');
my $answer = $t->post(document('late', $now));
is($answer->{status}, 429, 'by http too');
cmp_ok($answer->{headers}{'retry-after'}, '>=', 1, '... with the time to wait');
is($t->http('GET', '/healthz')->{status}, 200, '... though what needs no token goes on');
is(metric('auth_failures_total{kind="token"}'), 3, 'failures are counted');
is(metric('auth_blocked_total'), 2, '... and who was turned away for them');
is(metric('connections_refused_total{reason="auth_failures"}'), 1, '... by their kind');
is(scalar $t->log_events('address_blocked'), 1, '... and the log tells of it once');
wait_for('the address to be free again', sub { attempt($t->token) eq 'ok' });
is(attempt('wrong'), 'token unknown', 'where good tokens come from, bad ones do not shut out others') foreach 1 .. 4;
is($t->post(document('late', $now))->{status}, 200, '... nor by http');
$t->stop_fleetd;
$t->start_fleetd;
turned_away(0, 'forged') foreach 1 .. 3;
is(metric('auth_failures_total{kind="handshake"}'), 3, 'failed handshakes count as well');
is(attempt($t->token), 'too many failed attempts of this address', '... to the same end');
is(https('car-3', document('car-3', $now + 40))->{status}, 0, '... https is not even begun');

# 12. Connections of an address to http
$t->stop_fleetd;
$t->start_fleetd(limits => { connections_per_address => 2 });
my @idle = map { $t->connect('http') } 1 .. 2;
is($t->http('GET', '/healthz')->{status}, 429, 'a third connection of an address');
undef @idle;
wait_for('room', sub { $t->http('GET', '/healthz')->{status} == 200 });
is(metric('connections_refused_total{reason="connections_per_address"}') > 0, 1, '... is counted');

is($t->stop_fleetd, 0, 'fleetd ends well');
done_testing();
