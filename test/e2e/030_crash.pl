# Whatever is killed in mid-load: what was acknowledged is stored, once.
use strict;
use warnings;

use FleetTest;
use Test::More;

my $t = FleetTest->new(
	listeners => ['json'],
	config => { connections => 2, batch => { rows => 500, milliseconds => 20 }, log => { level => 'info' } });

# Runs fleetsim, does the damage twice while it sends, and proves the ledger.
my $first_vehicle = 1;
sub load_and
{
	my ($name, $damage) = @_;
	my $ledger = $t->dir . "/$first_vehicle.ledger";
	my $before = $t->query('SELECT count(*) FROM fleet.event');
	my $sim = $t->start_fleetsim('run', $t->delivery, '--vehicles', 200, '--first-vehicle', $first_vehicle, '--rate', 2500,
		'--seconds', 6, '--dirt', 5, '--connections', 4, '--ledger', $ledger);
	$first_vehicle += 1000;
	foreach my $round (1, 2)
	{
		$t->wait_for_query("SELECT count(*) > $before + 2000 * $round FROM fleet.event");
		$damage->();
	}
	my ($code, $out, $err) = $t->finish_fleetsim($sim);
	is($code, 0, "$name: everything was acknowledged in the end") or diag("$out$err");
	note("$out$err");
	my $proof = $t->verify($ledger, "$name: lost 0, stored twice 0");
	like($proof, qr/\d{4}/, "$name: over a thousand messages are in the proof");
	is($t->query('SELECT count(*) FROM (SELECT 1 FROM fleet.event GROUP BY vehicle_id, event_time, digest HAVING count(*) > 1) twice'),
		'0', "$name: no event is there twice");
	is($t->query('SELECT count(*) FROM fleet.batch WHERE received <> accepted + repeated + rejected'), '0', "$name: the batches add up");
	is($t->query('SELECT (SELECT sum(accepted) FROM fleet.batch) = (SELECT count(*) FROM fleet.event)'),
		't', "$name: the batches account for every event");
	is($t->query('SELECT (SELECT sum(rejected) FROM fleet.batch) = (SELECT count(*) FROM fleet.quarantine)'),
		't', "$name: and for every row of quarantine");
	return;
}

load_and(
	'kill -9 of fleetd',
	sub {
		$t->stop_fleetd('KILL');
		$t->start_fleetd;
	});

load_and(
	'kill -9 of a backend in COPY',
	sub {
		# A COPY is over in milliseconds and may not be caught; then one that has just ended will do.
		my $until = time + 1;
		my $pid = wait_for('a backend in COPY',
			sub {
				my $state = time > $until ? "'active', 'idle'" : "'active'";
				$t->query("SELECT pid FROM pg_stat_activity WHERE state IN ($state) AND usename = 'fleetd' AND query ILIKE '%copy fleet.ingest%' LIMIT 1");
			});
		kill 'KILL', $pid or die "could not kill: $!\n";
		$t->wait_log('database_lost', 0);
		$t->wait_for_query('SELECT true');
	});

load_and(
	'pg_ctl stop -m immediate',
	sub {
		$t->node->stop('immediate');
		$t->node->start;
	});

is(scalar(grep { $_->{event} eq 'counts_differ' || $_->{event} eq 'answer_not_understood' } $t->log_events),
	0, 'fleetd and the database agreed on every batch');

done_testing();
