# fleetsim as fleets of all protocols at once, with dirt, while the daemon is
# killed: what was acknowledged is stored once, or in quarantine.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use Test::More;

# An authority for both ends of the cars' TLS: fleetsim makes each car's
# certificate with it.
my $dir = PostgreSQL::Test::Utils::tempdir('authority');
my $said;
IPC::Run::run([ 'openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
		'-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', "$dir/key.pem", '-out', "$dir/certificate.pem" ], '<', \'', '>', \$said, '2>&1')
  or die "openssl: $said\n";
spew("$dir/authority.pem", slurp("$dir/certificate.pem"), slurp("$dir/key.pem"));

my @documents = ('json', 'http', 'mqtt');
my @trackers = ('teltonika', 'gt06', 'ruptela', 'wialon', 'gl200', 'h02', 'gps103', 'tk103', 'osmand', 'galileosky');
my @protocols = (@documents, @trackers, 'tesla');
my %silent = map { $_ => 1 } 'h02', 'gps103', 'tk103';	# of these, some or most reports are not answered
my %options = (tesla => [ '--ca', "$dir/certificate.pem", '--authority', "$dir/authority.pem" ]);
my $t = FleetTest->new(
	listeners => [
		(map { { adapter => $_ } } @documents), (map { { adapter => $_, source => 1 } } @trackers),
		{ adapter => 'tesla', source => 1, tls => { certificate => "$dir/certificate.pem", key => "$dir/key.pem", client_ca => "$dir/certificate.pem" } }
	],
	config => { connections => 2, batch => { rows => 500, milliseconds => 20 } });
my $first_vehicle = 1;
my %first;
my %ledger;
my %sim;

foreach my $protocol (@protocols)
{
	$ledger{$protocol} = $t->dir . "/$protocol.ledger";
	$sim{$protocol} = $t->start_fleetsim('run', $t->delivery($protocol), '--vehicles', 50, '--first-vehicle', $first_vehicle, '--rate', 400,
		'--seconds', 5, '--dirt', 5, '--records', 5, '--ledger', $ledger{$protocol}, @{ $options{$protocol} // [] });
	$first{$protocol} = $first_vehicle;
	$first_vehicle += 1000;
}
$t->wait_for_query('SELECT count(*) > 5000 FROM fleet.event');
$t->stop_fleetd('KILL');
my $killed = $t->query('SELECT clock_timestamp()');
$t->start_fleetd;

foreach my $protocol (@protocols)
{
	my ($code, $out, $err) = $t->finish_fleetsim($sim{$protocol});
	is($code, 0, "$protocol: everything was sent, and acknowledged where that is done") or diag("$out$err");
	note("$out$err");
}
# What the silent ones wrote last may still be on its way to the commit.
FleetTest::wait_for('all that was received to be committed',
	sub { my $n = $t->query('SELECT count(*) FROM fleet.event'); sleep 1; $n == $t->query('SELECT count(*) FROM fleet.event') });

foreach my $protocol (@protocols)
{
	my $proof = $t->verify($ledger{$protocol}, "$protocol: lost 0, stored twice 0");
	like($proof, qr{acknowledged_and_lost=0 stored_twice=0}, "$protocol: the proof says so");
	my ($sent, $acked, $unacknowledged) = $proof =~ /sent=(\d+) acked=(\d+) .*unacknowledged=(\d+)/;
	cmp_ok($acked, '>', $protocol =~ /^(?:gps|tk)103$/ ? 10 : 800, "$protocol: something was acknowledged");
	is($unacknowledged, 0, "$protocol: everything was") unless $silent{$protocol};
}
is($t->query('SELECT count(*) FROM (SELECT 1 FROM fleet.event GROUP BY vehicle_id, event_time, digest HAVING count(*) > 1) twice'),
	'0', 'no event is there twice');
cmp_ok($t->query("SELECT count(*) FROM fleet.quarantine WHERE code = 'malformed'"), '>', 30, 'damaged packets are in quarantine');

# Trackers that are told nothing: what they sent on the new connection is stored.
my %numbers_from = (h02 => 8600000000, gps103 => 860000000000000, tk103 => 860000000000);
foreach my $protocol (sort keys %numbers_from)
{
	my $identities = join ', ', map { "'" . ($numbers_from{$protocol} + $first{$protocol} + $_) . "'" } 0 .. 49;
	cmp_ok($t->query("SELECT count(DISTINCT d.identity) FROM fleet.event e JOIN fleet.device d USING (vehicle_id)"
			. " WHERE d.identity IN ($identities) AND e.received_at > '$killed'"), '>=', 48, "$protocol: all came back");
}

done_testing();
