# Phones: queries, forms and documents by curl; 200 after the commit, 400 and
# 404 for whom nobody knows, 503 while the database is away.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use Test::More;

my $now = time;
my $t = FleetTest->new(
	auto_register => 0,
	listeners => [ { adapter => 'osmand', source => 1 }, { adapter => 'osmand', source => 1, devices => ['only'] } ],
	config => { batch => { rows => 100, milliseconds => 20 } });
$t->query("SELECT fleet.register_device(1, '$_')") foreach ('phone', 'only');

# Answers of all requests that one curl makes, on one connection where it can.
sub statuses
{
	my ($nth, @arguments) = @_;
	my $address = 'http://127.0.0.1:' . $t->port('osmand', $nth);
	my ($out, $err);
	IPC::Run::run([ 'curl', '-sS', '-m', 30, '-o', '/dev/null', '-w', '%{http_code} %{num_connects} ', map { s/^@/$address/r } @arguments ],
		'<', \'', '>', \$out, '2>', \$err);
	return $out =~ s/ $//r;
}

sub count { return $t->query('SELECT count(*) FROM fleet.event'); }

# 1. The three forms
is(statuses(0, "@/?id=phone&timestamp=$now&lat=50.1105&lon=8.6821&speed=10&batt=87"), '200 1', 'a query');
is(count(), '1', '... is committed when the answer comes');
is($t->query('SELECT round(fleet.latitude(location)::numeric, 4), round(speed_kmh::numeric, 2) FROM fleet.telemetry'), '50.1105|18.52', '... with its place and speed');
is(statuses(0, "@/?id=phone&timestamp=$now&lat=50.1105&lon=8.6821&speed=10&batt=87"), '200 1', 'the same again is answered');
is(count(), '1', '... and not stored twice');
is(statuses(0, '-d', 'deviceid=phone&timestamp=' . ($now - 1) . '&location=50.5,8.5', '@/any/path'), '200 1', 'a form');
is(statuses(0, '-H', 'Content-Type: application/json', '-d',
		json_of({ device_id => 'phone', location => { timestamp => ($now - 2) * 1000, coords => { latitude => 50.6, longitude => 8.6 } } }), '@/'),
	'200 1', 'a document');
is(count(), '3', 'three reports');
is(statuses(0, map { "@/?id=phone&lat=50&lon=8&timestamp=" . ($now - $_) } 10 .. 14), '200 1 200 0 200 0 200 0 200 0', 'five on one connection');
is(count(), '8', '... are all there');

# 2. Refusals
is(statuses(0, "@/?timestamp=$now&lat=50&lon=8"), '400 1', 'no id: 400');
is(statuses(0, "@/?id=stranger&timestamp=$now&lat=50&lon=8"), '400 1', 'an unknown id: 400');
is(statuses(0, '-d', json_of({ location => {} }), '@/'), '404 1', 'a document without id: 404');
is(statuses(0, '-d', json_of({ device_id => 'stranger', location => { timestamp => $now } }), '@/'), '404 1', 'a document of an unknown id: 404');
is(statuses(0, '-d', '{"device_id":', '@/'), '400 1', 'no document: 400');
is(statuses(0, "@/?id=phone&timestamp=$now&lat=north&lon=8"), '400 1', 'a report that cannot be read: 400');
is($t->query("SELECT count(*) FROM fleet.quarantine WHERE code = 'malformed'"), '1', '... is in quarantine');
is(statuses(0, '-X', 'DELETE', '@/'), '405 1', 'another method: 405');
is(statuses(1, "@/?id=phone&timestamp=$now&lat=50&lon=8"), '400 1', 'a device that the listener does not name: 400');
is(statuses(1, "@/?id=only&timestamp=$now&lat=50&lon=8"), '200 1', 'one that it names');
is(count(), '9', 'nothing was stored of what was refused');

# 3. The database is away
$t->node->stop('fast');
like(statuses(0, "@/?id=phone&lat=51&lon=8&timestamp=" . ($now - 20)), qr/^503 /, 'the database is away: 503, the phone keeps it');
$t->node->start;
FleetTest::wait_for('the database is back', sub { return statuses(0, "@/?id=phone&lat=51&lon=8&timestamp=" . ($now - 20)) eq '200 1' });
is(count(), '10', 'sent again, it is stored once');

done_testing();
