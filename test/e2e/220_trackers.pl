# fleetsim as a fleet of trackers, with dirt, while the daemon is killed: what
# was acknowledged is stored once, or in quarantine.
use strict;
use warnings;

use FleetTest;
use Test::More;

my @protocols = ('teltonika', 'gt06', 'ruptela');
my %refuses = (teltonika => 1, ruptela => 1);	# has an answer that says no, so packets are damaged
my $t = FleetTest->new(
	listeners => [ map { { adapter => $_, source => 1 } } @protocols ],
	config => { connections => 2, batch => { rows => 500, milliseconds => 20 } });
my $first_vehicle = 1;

foreach my $protocol (@protocols)
{
	my $ledger = $t->dir . "/$protocol.ledger";
	my $before = $t->query('SELECT count(*) FROM fleet.event');
	my $malformed = $t->query("SELECT count(*) FROM fleet.quarantine WHERE code = 'malformed'");
	my $sim = $t->start_fleetsim('run', $t->delivery($protocol), '--vehicles', 100, '--first-vehicle', $first_vehicle, '--rate', 2000,
		'--seconds', 4, '--dirt', 5, '--records', 5, '--ledger', $ledger);
	$first_vehicle += 1000;
	$t->wait_for_query("SELECT count(*) > $before + 2000 FROM fleet.event");
	$t->stop_fleetd('KILL');
	$t->start_fleetd;
	my ($code, $out, $err) = $t->finish_fleetsim($sim);
	is($code, 0, "$protocol: everything was acknowledged in the end") or diag("$out$err");
	note("$out$err");
	my $proof = $t->verify($ledger, "$protocol: lost 0, stored twice 0");
	like($proof, qr{acknowledged_and_lost=0 stored_twice=0}, "$protocol: the proof says so");
	is($t->query('SELECT count(*) FROM (SELECT 1 FROM fleet.event GROUP BY vehicle_id, event_time, digest HAVING count(*) > 1) twice'),
		'0', "$protocol: no event is there twice");
	cmp_ok($t->query("SELECT count(*) - $malformed FROM fleet.quarantine WHERE code = 'malformed'"), '>', 10, "$protocol: damaged packets are in quarantine")
		if $refuses{$protocol};
}

done_testing();
