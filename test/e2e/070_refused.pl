# A row that the server refuses by an error of its own, here a trigger of the
# operator: it must not hold up the others, nor disappear. While the server
# is unable (a right is missing), nothing is refused and nothing is lost.
use strict;
use warnings;

use FleetTest;
use Test::More;

my $now = time;
my $t = FleetTest->new(
	listeners => [ 'json', 'http' ],
	config => { connections => 1, batch => { rows => 1000, milliseconds => 50 } });

$t->query(q{
	CREATE FUNCTION public.no_poison() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF (SELECT name FROM fleet.vehicle WHERE vehicle_id = NEW.vehicle_id) LIKE 'poison%' THEN
			RAISE EXCEPTION 'not this one';
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER no_poison AFTER UPDATE ON fleet.vehicle_state
		FOR EACH ROW EXECUTE FUNCTION public.no_poison()});

# 1. Two bad rows among many
my $client = $t->connect_json;
my @documents = map { document("car-$_", $now) } 1 .. 60;
splice @documents, 40, 0, document('poison-2', $now);
splice @documents, 7, 0, document('poison-1', $now);
$client->send_documents(@documents);
ok($client->wait_ack(62), 'all lines are decided');
is_deeply([ map { "$_->{line} $_->{code}" } @{ $client->rejected } ],
	[ '8 malformed', '42 malformed' ], '... the two bad ones rejected');
is($t->query('SELECT count(*) FROM fleet.event'), '60', '... the others stored, once');
is($t->query(q{SELECT string_agg(device, ' ' ORDER BY device) FROM fleet.quarantine WHERE code = 'malformed'}),
	'poison-1 poison-2', '... and the bad ones in quarantine');
is($t->query(q{SELECT count(*) FROM fleet.quarantine q, LATERAL (SELECT convert_from(raw, 'UTF8')::jsonb AS j) AS r
	WHERE j ->> 'device' = q.device AND j ? 'latitude' AND j ? 'event_time'}),
	'2', '... with all that they said');
my $metrics = $t->metrics;
is($metrics->{fleetd_rows_salvaged_total}, 2, 'the metrics count them');
cmp_ok($metrics->{fleetd_batches_split_total}, '>=', 2, '... and the halvings');
is($metrics->{fleetd_rows_stuck_total}, 0, '... and nothing is stuck');

# 2. The server is unable: another error, the same rows again
my $position = $t->log_size;
$t->query('ALTER FUNCTION fleet.last_batch() RENAME TO last_batch_away');
$client->send_documents(document('car-1', $now + 1));
$t->wait_log('batch_refused', $position);
$t->query('ALTER FUNCTION fleet.last_batch_away() RENAME TO last_batch');
ok($client->wait_ack(63), 'what waited is decided when the function is back');
is(scalar(@{ $client->rejected }), 2, '... and nothing else was rejected');
is($t->query('SELECT count(*) FROM fleet.event'), '61', '... but stored');
cmp_ok($t->metrics->{fleetd_batches_retried_total}, '>=', 1, 'the metrics count the tries');

# 3. Errors that pass, or that a smaller statement avoids, blame no row
$t->query(q{
	CREATE SEQUENCE public.tries;
	CREATE FUNCTION public.flaky() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF nextval('public.tries') <= 2 THEN
			RAISE EXCEPTION 'this passes' USING ERRCODE = 'internal_error';
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER flaky AFTER UPDATE ON fleet.vehicle_state FOR EACH ROW EXECUTE FUNCTION public.flaky()});
$client->send_documents(document('car-1', $now + 2));
ok($client->wait_ack(64), 'a row that met an internal error is decided');
is($t->query('SELECT count(*) FROM fleet.event'), '62', '... stored, not blamed');
$t->query(q{
	DROP FUNCTION public.flaky() CASCADE;
	CREATE FUNCTION public.too_long() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF NEW.received > 4 THEN
			RAISE EXCEPTION 'this takes too long' USING ERRCODE = 'query_canceled';
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER too_long AFTER INSERT ON fleet.batch FOR EACH ROW EXECUTE FUNCTION public.too_long()});
$client->send_documents(map { document("car-$_", $now + 3) } 1 .. 16);
ok($client->wait_ack(80), 'rows whose statement was cancelled are sent in smaller ones');
is(scalar(@{ $client->rejected }), 2, '... nothing was rejected');
is($t->query('SELECT count(*) FROM fleet.event'), '78', '... all are stored');

$t->stop_fleetd;
done_testing();
