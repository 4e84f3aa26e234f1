# Cars over WebSocket and mutual TLS: certificates made here, openssl as the car's
# end of TLS. Who sends is what the certificate says; what is acknowledged is stored.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir('tesla');

sub openssl
{
	my $said;
	IPC::Run::run([ 'openssl', @_ ], '<', \'', '>', \$said, '2>&1') or die "openssl @_: $said\n";
	return;
}

# An authority, and a certificate of it.
sub authority { openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', "/CN=$_[0]", '-keyout', "$dir/$_[0].key", '-out', "$dir/$_[0].crt"); return; }

sub certificate
{
	my ($authority, $name) = @_;
	openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', "/CN=$name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr");
	openssl('x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/$authority.crt", '-CAkey', "$dir/$authority.key", '-CAcreateserial',
		'-days', '2', '-out', "$dir/$name.crt");
	return;
}
authority($_) foreach 'ours', 'theirs';
certificate('ours', $_) foreach 'localhost', 'car.1', 'car-2', 'stranger';
certificate('theirs', 'forged');

my %tls = (certificate => "$dir/localhost.crt", key => "$dir/localhost.key", client_ca => "$dir/ours.crt");
my $t = FleetTest->new(
	listeners => [ { adapter => 'tesla', source => 1, devices => [ 'car-1', 'car-2' ], tls => \%tls } ],
	config => { batch => { rows => 500, milliseconds => 20 } });

# --- a car ---

sub car
{
	my ($name) = @_;
	my $car = { in => '', out => '', err => '' };
	$car->{run} = IPC::Run::start(
		[
			'openssl', 's_client', '-quiet', '-connect', '127.0.0.1:' . $t->port('tesla'), '-CAfile', "$dir/ours.crt",
			$name ? ('-cert', "$dir/$name.crt", '-key', "$dir/$name.key") : ()
		],
		'<', \$car->{in}, '>', \$car->{out}, '2>', \$car->{err});
	$car->{in} .= "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	  . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
	return $car;
}

sub hears
{
	my ($car, $pattern) = @_;
	return wait_for("\"$pattern\" from fleetd",
		sub { eval { $car->{run}->pump_nb }; $car->{out} =~ /$pattern/s ? 1 : 0 });
}

sub hang_up { my ($car) = @_; $car->{run}->kill_kill; return; }

sub frame
{
	my ($data, $first) = @_;
	my $mask = "\x01\x02\x03\x04";
	my $length = length $data;
	return pack('C', $first // 0x82) . ($length < 126 ? pack('C', 0x80 | $length) : pack('C n', 0xFE, $length)) . $mask
	  . ($data ^ substr($mask x (1 + $length / 4), 0, $length));
}

# The FlatBuffer around a payload; the texts stand behind two tables of fixed layout.
sub message
{
	my ($txid, $topic, $payload, $type) = @_;
	my @texts = ($txid, $topic, 'vehicle_device.SPOOFED', $payload);
	my ($at, @at) = (66);
	foreach my $text (@texts) { push @at, $at; $at += 4 + length $text; }
	return pack('V x4', 8)
	  . pack('l< V V V C x3', 8 - 44, $at[0] - 12, $at[1] - 16, 28 - 20, $type // 4)
	  . pack('l< V V x4', 28 - 56, $at[2] - 32, $at[3] - 36)
	  . pack('v*', 12, 20, 4, 8, 16, 12) . pack('v*', 10, 16, 0, 4, 8)
	  . join '', map { pack('V/a*', $_) } @texts;
}

sub varint { my ($n) = @_; my $out = ''; while ($n > 127) { $out .= chr(0x80 | $n & 127); $n >>= 7; } return $out . chr $n; }
sub part { my ($number, $bytes) = @_; return chr($number << 3 | 2) . varint(length $bytes) . $bytes; }
sub stamp { return part($_[0], "\x08" . varint($_[1])); }
sub datum { my ($field, $value) = @_; return part(1, "\x08" . varint($field) . part(2, $value)); }

# Charge and place, the body claiming to be another car.
sub data
{
	my ($soc, $time) = @_;
	return datum(8, "\x29" . pack('d<', $soc)) . datum(21, part(7, "\x09" . pack('d<', 50.5) . "\x11" . pack('d<', 8.5)))
	  . datum(10, part(1, 'D')) . stamp(2, $time) . part(3, 'SPOOFEDVIN0000000');
}

sub events { my ($vehicle) = @_; return $t->query("SELECT count(*) FROM fleet.telemetry WHERE vehicle = '$vehicle'"); }

# 1. A message is acknowledged when it is stored, and is the certificate's
my $now = time - 100;
my $car = car('car.1');
hears($car, '^HTTP/1.1 101 .*\r\n\r\n');
$car->{in} .= frame(message('tx-0001', 'V', data(55.5, $now)));
hears($car, '\x82.{40,}V.{4,}tx-0001');
is(events('car-1'), '1', 'acknowledged and stored, as the car of the certificate');
is($t->query('SELECT count(*) FROM fleet.vehicle'), '1', 'the identity in the body made no vehicle');
is($t->query("SELECT (signals::jsonb->>'battery_percent') || ' ' || (signals::jsonb->>'shift_state') || ' ' || fleet.latitude(location)
	  FROM fleet.telemetry WHERE vehicle = 'car-1'"), '55.5 D 50.5', 'with its values');
$car->{out} = '';
$car->{in} .= frame(message('tx-0001', 'V', data(55.5, $now)));
hears($car, '\x82.{40,}tx-0001');
is(events('car-1'), '1', 'sent again: acknowledged, and no second row');

# 2. Other topics
$car->{in} .= frame(message('tx-0002', 'alerts', part(1, part(1, 'VCFRONT_a192') . stamp(3, $now + 1)) . stamp(2, $now + 5)));
$car->{in} .= frame(message('tx-0003', 'errors', part(1, stamp(1, $now + 2) . part(2, 'modem'))));
$car->{in} .= frame(message('tx-0004', 'connectivity', part(1, 'SPOOFEDVIN0000000') . part(2, 'c-1') . "\x18\x01" . stamp(4, $now + 3)));
hears($car, '\x82.{40,}tx-0004');
is($t->query("SELECT string_agg(coalesce(signals::jsonb->>'alarm', signals::jsonb->>'error_name', signals::jsonb->>'connected'), ' ' ORDER BY event_time)
	  FROM fleet.telemetry WHERE vehicle = 'car-1' AND event_time > to_timestamp($now)"), 'VCFRONT_a192 modem true', 'alerts, errors, connectivity');

# 3. What is broken is refused, and harms nobody
$car->{out} = '';
$car->{in} .= frame(message('tx-0005', 'V', "\x0a\x7f"));
$car->{in} .= frame(message('tx-0006', 'V', data(54, $now + 10)));
hears($car, 'tx-0005.*incorrect message format.*V.{4,}tx-0006');
is($t->query("SELECT field FROM fleet.quarantine WHERE code = 'malformed'"), 'payload', 'a damaged payload: refused, in quarantine');
is(events('car-1'), '5', 'the next one is stored');
$car->{out} = '';
$car->{in} .= frame('{"not": "binary"}', 0x81);
hears($car, '\x88\x02\x03\xeb$');
hang_up($car);

# 4. Another car, and those that are none
$car = car('car-2');
hears($car, '101 Switching');
$car->{in} .= frame(message('tx-0007', 'V', data(40, $now)));
hears($car, 'tx-0007');
is(events('car-2'), '1', 'another certificate, another car');
hang_up($car);
my $stranger = car('stranger');
hears($stranger, '^HTTP/1.1 403 ');
unlike($stranger->{out}, qr/101 Switching/, 'a car that the listener does not list');
hang_up($stranger);
foreach my $name ('forged', '')
{
	my $from = $t->log_size;
	my $nobody = car($name);
	wait_for('the end of it', sub { eval { $nobody->{run}->pump_nb }; ($t->log_events('connection_closed', $from))[-1] });
	unlike($nobody->{out}, qr/HTTP/, $name ? 'a certificate of another authority' : 'no certificate');
	hang_up($nobody);
}

$t->stop;
done_testing();
