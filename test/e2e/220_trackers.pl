# fleetsim as fleets of all protocols at once, with dirt, while the daemon is
# killed: what was acknowledged is stored once, or in quarantine.
use strict;
use warnings;

use FleetTest;
use Test::More;

my @documents = ('json', 'http', 'mqtt');
my @trackers = ('teltonika', 'gt06', 'ruptela', 'wialon', 'gl200', 'h02', 'gps103');
my @protocols = (@documents, @trackers);
my %refuses = map { $_ => 1 } 'teltonika', 'ruptela', 'wialon';	# has an answer that says no, so packets are damaged
my %silent = map { $_ => 1 } 'h02', 'gps103';	# half of the trackers of the one, and all of the other, are told nothing
my $t = FleetTest->new(
	listeners => [ (map { { adapter => $_ } } @documents), (map { { adapter => $_, source => 1 } } @trackers) ],
	config => { connections => 2, batch => { rows => 500, milliseconds => 20 } });
my $first_vehicle = 1;
my %ledger;
my %sim;

foreach my $protocol (@protocols)
{
	$ledger{$protocol} = $t->dir . "/$protocol.ledger";
	$sim{$protocol} = $t->start_fleetsim('run', $t->delivery($protocol), '--vehicles', 50, '--first-vehicle', $first_vehicle, '--rate', 500,
		'--seconds', 6, '--dirt', 5, '--records', 5, '--ledger', $ledger{$protocol});
	$first_vehicle += 1000;
}
$t->wait_for_query('SELECT count(*) > 6000 FROM fleet.event');
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
	cmp_ok($acked, '>', 1000, "$protocol: something was acknowledged") unless $protocol eq 'gps103';
	is($unacknowledged, 0, "$protocol: everything was") unless $silent{$protocol};
}
is($t->query('SELECT count(*) FROM (SELECT 1 FROM fleet.event GROUP BY vehicle_id, event_time, digest HAVING count(*) > 1) twice'),
	'0', 'no event is there twice');
cmp_ok($t->query("SELECT count(*) FROM fleet.quarantine WHERE code = 'malformed'"), '>', 30, 'damaged packets are in quarantine');

# Trackers that are told nothing: what they sent on the new connection is stored.
cmp_ok($t->query("SELECT count(DISTINCT d.identity) FROM fleet.event e JOIN fleet.device d USING (vehicle_id)"
		. " WHERE d.identity ~ '^8600008[0-9]{2}[02468]\$' AND e.received_at > '$killed'"), '>=', 24, 'h02: silent trackers came back');

cmp_ok($t->query("SELECT count(DISTINCT d.identity) FROM fleet.event e JOIN fleet.device d USING (vehicle_id)"
		. " WHERE d.identity ~ '^8600000000090[0-9]{2}\$' AND e.received_at > '$killed'"), '>=', 48, 'gps103: so did these');

done_testing();
