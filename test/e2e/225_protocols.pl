# Each tracker protocol on real sockets, with frames made here by hand: login,
# heartbeat, a position, a damaged frame. The exact answers, the row in the
# history, the row in quarantine.
use strict;
use warnings;

use FleetTest;
use IO::Select;
use IO::Socket::INET;
use POSIX qw(strftime);
use Test::More;

my $now = time - 100;
my @utc = gmtime $now;
my $date = strftime('%d%m%y', @utc);
my $clock = strftime('%H%M%S', @utc);
my $stamp = strftime('%Y%m%d%H%M%S', @utc);
my $ymd = strftime('%y%m%d', @utc);

# A checksum with the lowest bit first.
sub sum
{
	my ($bytes, $polynomial, $sum) = @_;
	foreach my $byte (unpack 'C*', $bytes)
	{
		$sum ^= $byte;
		$sum = $sum & 1 ? ($sum >> 1) ^ $polynomial : $sum >> 1 foreach 1 .. 8;
	}
	return $sum;
}

sub hex_of { return join '', unpack 'H*', $_[0]; }

# --- gt06: length, type, content, serial, sum ---

sub gt06_frame
{
	my ($type, $content, $serial, $damage) = @_;
	my $body = pack('C C a* n', 5 + length $content, $type, $content, $serial);
	return "\x78\x78$body" . pack('n', sum($body, 0x8408, 0xFFFF) ^ 0xFFFF ^ ($damage // 0)) . "\r\n";
}

# Date, 9 satellites, place, speed, course 245 with north and valid, a cell.
my $gt06_place = pack('C6 C N N C n n C n C3', $utc[5] - 100, $utc[4] + 1, @utc[ 3, 2, 1, 0 ], 0xC9, 50.1105 * 1.8e6 + 0.5, 8.6821 * 1.8e6 + 0.5,
	18, 0x1400 | 245, 262, 2, 0x1a2b, 0, 0xab, 0xcd);

# --- ruptela: length, identity, command, payload, sum ---

sub ruptela_frame
{
	my ($identity, $command, $payload, $damage) = @_;
	my $body = pack('Q> C a*', $identity, $command, $payload);
	return pack('n a* n', length $body, $body, sum($body, 0x8408, 0) ^ ($damage // 0));
}

sub ruptela_answer { my ($bytes) = @_; return pack('n a* n', 2, $bytes, sum($bytes, 0x8408, 0)); }

# One record, none left behind: time, priority, place, height, course, satellites, speed, hdop, event, no elements.
my $ruptela_place = pack('C C N C C l> l> n n C n C C C4', 0, 1, $now, 0, 0, 86821000, 501105000, 1125, 24500, 9, 18, 9, 7, 0, 0, 0, 0);

# --- wialon: type, body, sum ---

sub wialon_line
{
	my ($type, $body, $damage) = @_;
	return "#$type#$body" . sprintf("%04X\r\n", sum($body, 0xA001, 0) ^ ($damage // 0));
}
my $wialon_place = "$date;$clock;5006.6300;N;00840.9260;E;18;245;112;9;";

# --- the others are text ---

sub gl200_report { my ($identity, $count, $latitude) = @_; return "+RESP:GTFRI,060228,$identity,van,0,10,1,1,18.0,245,112.5,8.682100,$latitude,$stamp,0262,0002,1A2B,00ABCD,00,,,,,88,110000,$stamp,$count\$"; }
sub h02_report { my ($identity, $latitude) = @_; return "*HQ,$identity,V1,$clock,A,$latitude,N,00840.9260,E,9.72,245,$date,FFFFFFFF#"; }
sub gps103_report { my ($identity, $event, $latitude) = @_; return "imei:$identity,$event,$ymd$clock,,F,$clock.000,A,$latitude,N,00840.9260,E,9.72,245;"; }
sub tk103_report { my ($begin, $latitude) = @_; return "($begin${ymd}A${latitude}N00840.9260E018.0${clock}245.0001000000L000003F9)"; }

# Of each: identity, what is sent and the exact answer ('' is none; a pattern
# where it tells the time), what of it goes to quarantine, how exact the place is.
my %protocols = (
	gt06 => {
		identity => '869100000000001',
		steps => [
			[ 'login', gt06_frame(0x01, pack('H*', '0869100000000001'), 1), gt06_frame(0x01, '', 1) ],
			[ 'heartbeat', gt06_frame(0x13, pack('H*', '0006040001'), 2), gt06_frame(0x13, '', 2) ],
			[ 'position', gt06_frame(0x12, $gt06_place, 3), gt06_frame(0x12, '', 3) ],
			[ 'the same again', gt06_frame(0x12, $gt06_place, 3), gt06_frame(0x12, '', 3) ],
			[ 'bad sum', gt06_frame(0x12, $gt06_place, 4, 1), '', 'none' ],
			[ 'heartbeat', gt06_frame(0x13, pack('H*', '0006040001'), 5), gt06_frame(0x13, '', 5) ],
		],
	},
	ruptela => {
		identity => '869100000000002',
		steps => [
			[ 'heartbeat', ruptela_frame(869100000000002, 16, ''), ruptela_answer("\x74\x01") ],
			[ 'position', ruptela_frame(869100000000002, 1, $ruptela_place), ruptela_answer("\x64\x01") ],
			[ 'the same again', ruptela_frame(869100000000002, 1, $ruptela_place), ruptela_answer("\x64\x01") ],
			[ 'bad sum', ruptela_frame(869100000000002, 1, $ruptela_place, 1), ruptela_answer("\x64\x00"), 'checksum' ],
		],
		datagram => [ ruptela_frame(869100000000012, 1, $ruptela_place), ruptela_answer("\x64\x01") ],
	},
	wialon => {
		identity => '869100000000003',
		steps => [
			[ 'login', wialon_line('L', '2.0;869100000000003;NA;'), "#AL#1\r\n" ],
			[ 'ping', "#P#\r\n", "#AP#\r\n" ],
			[ 'position', wialon_line('SD', $wialon_place), "#ASD#1\r\n" ],
			[ 'the same again', wialon_line('SD', $wialon_place), "#ASD#1\r\n" ],
			[ 'batch', wialon_line('B', "$wialon_place|" =~ s/;\|/|/r), "#AB#1\r\n" ],
			[ 'bad sum', wialon_line('SD', $wialon_place, 1), "#ASD#13\r\n", 'checksum' ],
		],
		datagram => [ '2.0;869100000000013' . wialon_line('SD', $wialon_place), "#ASD#1\r\n" ],
	},
	gl200 => {
		identity => '869100000000004',
		steps => [
			[ 'heartbeat', "+ACK:GTHBD,060228,869100000000004,van,$stamp,11F0\$", "+SACK:GTHBD,060228,11F0\$" ],
			[ 'position', gl200_report('869100000000004', '11F1', '50.110500'), "+SACK:11F1\$" ],
			[ 'the same again', gl200_report('869100000000004', '11F1', '50.110500'), "+SACK:11F1\$" ],
			[ 'cut off', '+RESP:GTFRI,060228,8691000', '', 'none' ],
			[ 'heartbeat', "+ACK:GTHBD,060228,869100000000004,van,$stamp,11F2\$", "+SACK:GTHBD,060228,11F2\$" ],
		],
		datagram => [ gl200_report('869100000000014', '11F1', '50.110500'), "+SACK:11F1\$" ],
	},
	h02 => {
		identity => '8691000005',
		steps => [
			[ 'heartbeat', '*HQ,8691000005,HTBT#', '*HQ,8691000005,HTBT#' ],
			[ 'position', h02_report('8691000005', '5006.6300'), qr/^\*HQ,8691000005,V4,V1,20\d{12}#$/ ],
			[ 'the same again', h02_report('8691000005', '5006.6300'), qr/^\*HQ,8691000005,V4,V1,20\d{12}#$/ ],
			[ 'bad latitude', h02_report('8691000005', '9906.6300'), '', 'latitude' ],
			[ 'heartbeat', '*HQ,8691000005,HTBT#', '*HQ,8691000005,HTBT#' ],
		],
		datagram => [ h02_report('8691000015', '5006.6300'), qr/^\*HQ,8691000015,V4,V1,20\d{12}#$/ ],
	},
	gps103 => {
		identity => '869100000000006',
		steps => [
			[ 'login', '##,imei:869100000000006,A;', 'LOAD' ],
			[ 'heartbeat', '869100000000006;', 'ON' ],
			[ 'position', gps103_report('869100000000006', 'help me', '5006.6300'), '**,imei:869100000000006,E;' ],
			[ 'the same again', gps103_report('869100000000006', 'help me', '5006.6300'), '**,imei:869100000000006,E;' ],
			[ 'bad latitude', gps103_report('869100000000006', 'tracker', '9906.6300'), '', 'latitude' ],
			[ 'heartbeat', '869100000000006;', 'ON' ],
		],
		datagram => [ gps103_report('869100000000016', 'help me', '5006.6300'), '**,imei:869100000000016,E;' ],
	},
	tk103 => {
		identity => '869100000007',
		steps => [
			[ 'handshake', '(869100000007BP00HSO)', '(869100000007AP01HSO)' ],
			[ 'position', tk103_report('869100000007BP05000869100000007', '5006.6300'), '(869100000007AP05)' ],
			[ 'the same again', tk103_report('869100000007BP05000869100000007', '5006.6300'), '(869100000007AP05)' ],
			[ 'bad latitude', "(869100000007,DW3B,$date,A,9906.6300N,00840.9260E,18.0,$clock,245.0,112.0,9)", '', 'latitude' ],
			[ 'handshake', '(869100000007BP00HSO)', '(869100000007AP01HSO)' ],
		],
		datagram => [ tk103_report('869100000017BP05000869100000017', '5006.6300'), '(869100000017AP05)' ],
	});
my @names = sort keys %protocols;
my @with_datagrams = grep { $protocols{$_}{datagram} } @names;
my $t = FleetTest->new(
	listeners => [
		(map { { adapter => $_, source => 1 } } @names), (map { { adapter => $_, source => 1, transport => 'udp' } } @with_datagrams)
	],
	config => { batch => { rows => 100, milliseconds => 10 } });

# So many bytes, or fewer when the peer closes or says no more in time.
sub read_bytes
{
	my ($socket, $n) = @_;
	my $bytes = '';
	my $select = IO::Select->new($socket);
	while (length $bytes < $n && $select->can_read($FleetTest::TIMEOUT))
	{
		sysread($socket, $bytes, 4096, length $bytes) or last;
	}
	return $bytes;
}

sub check_answer
{
	my ($answer, $expected, $name) = @_;
	return ref $expected ? like($answer, $expected, $name) : is(hex_of($answer), hex_of($expected), $name);
}

# A pattern stands for as many bytes as it says.
sub length_of { my ($expected) = @_; return ref $expected ? length "*HQ,8691000005,V4,V1,$stamp#" : length $expected; }

# The only event of a device: place, speed, course and time are those that were sent.
sub check_event
{
	my ($device, $name) = @_;
	return is($t->query("SELECT count(*), bool_and(abs(fleet.latitude(location) - 50.1105) < 1e-5 AND abs(fleet.longitude(location) - 8.6821) < 1e-5
		  AND round(speed_kmh) = 18 AND heading_deg = 245 AND event_time = to_timestamp($now)) FROM fleet.telemetry WHERE vehicle = '$device'
		  AND location IS NOT NULL"), '1|t', $name);
}

# 1. Connections
foreach my $name (@names)
{
	my $protocol = $protocols{$name};
	my $client = $t->connect($name);
	foreach my $step (@{ $protocol->{steps} })
	{
		my ($what, $bytes, $answer) = @$step;
		$client->send($bytes);
		# Where there is none, the next answer shows it.
		check_answer(read_bytes($client->socket, length_of($answer)), $answer, "$name: $what") if ref $answer || $answer ne '';
	}
	$client->close;
	check_event($protocol->{identity}, "$name: one event, as it was sent");
	foreach my $step (grep { $_->[3] } @{ $protocol->{steps} })
	{
		my $row = "SELECT code || ' ' || coalesce(field, 'none') || ' ' || encode(raw, 'hex') FROM fleet.quarantine ORDER BY quarantine_id DESC LIMIT 1";
		my $expected = "malformed $step->[3] " . hex_of($step->[1] =~ s/\r\n$//r);
		eval { wait_for($expected, sub { index($t->query($row), $expected) == 0 }) };
		like($t->query($row), qr/^$expected(?:0d0a)?$/, "$name: $step->[0] is in quarantine, with its bytes");
	}
}
is($t->query("SELECT count(*) FROM fleet.quarantine"), scalar @names, 'nothing else is in quarantine');

# 2. Datagrams: the answer goes to whom it came from
foreach my $name (@with_datagrams)
{
	my ($bytes, $answer) = @{ $protocols{$name}{datagram} };
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $t->port($name, 1), Proto => 'udp') or die "no socket: $!\n";
	my $device = $protocols{$name}{identity};
	substr($device, -2, 1) = '1';
	$socket->send($bytes);
	check_answer(read_bytes($socket, 1), $answer, "$name: a datagram");
	check_event($device, "$name: ... is one event");
}

done_testing();
