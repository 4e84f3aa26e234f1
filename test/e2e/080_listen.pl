# LISTEN: a client hears of alerts, live positions, transitions, rejects, and
# catches up by cursor when it was away.
use strict;
use warnings;

use FleetTest;
use Test::More;
use Time::HiRes qw(time);

my $now = int time;
my $t = FleetTest->new(listeners => ['json'], config => { batch => { rows => 500, milliseconds => 10 } });
$t->query(<<'SQL');
INSERT INTO fleet.tenant (tenant_id, name, auto_register) VALUES (100, 'other', true);
INSERT INTO fleet.rule (name, condition, severity, message)
    VALUES ('low battery', 'battery_percent < 15 AND NOT charging', 'critical', 'charge it');
INSERT INTO fleet.geofence (name, area, kind) VALUES ('depot', ST_MakeEnvelope(8.69, 50.09, 8.71, 50.11, 4326), 'keep_in');
SQL
my $client = $t->connect_json;
my $acked = 0;
sub deliver
{
	$client->send_documents(@_);
	$acked += @_;
	die "no acknowledgement\n" unless $client->wait_ack($acked);
	return;
}

# psql prints notifications after each query; the payloads are collected.
my $psql = $t->node->background_psql('fleet');
my @heard;
sub hear
{
	my ($topic, $what, $match) = @_;
	return wait_for(
		$what,
		sub {
			my $out = $psql->query('SELECT 1');
			while ($out =~ /Asynchronous notification "(\w+)" with payload "(.*)" received from server process/g)
			{
				push @heard, { channel => $1, bytes => length $2, %{ JSON::PP->new->decode($2) } };
			}
			my ($hit) = grep { $_->{topic} eq $topic && $match->($_) } @heard;
			return $hit;
		},
		20);
}

$psql->query_safe("SELECT fleet.listen('$_')") foreach qw(alert live geofence quarantine);

# 1. live
deliver(document('scooter-7', $now, location => { lat => 50.1, lon => 8.7 }, motion => { speed_kmh => 18.5, heading => 245 }));
my $live = hear('live', 'a live payload', sub { grep { $_->{vehicle} eq 'scooter-7' } @{ $_[0]{vehicles} } });
my ($vehicle) = grep { $_->{vehicle} eq 'scooter-7' } @{ $live->{vehicles} };
is($live->{v}, 1, 'a payload has a version');
is($live->{tenant}, 1, '... and names its tenant');
is(join('|', @{$vehicle}{qw(latitude longitude speed_kmh heading_deg)}), '50.1|8.7|18.5|245', '... position and motion of the vehicle');
like($vehicle->{event_time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, '... and the time in UTC');

# 2. alert
deliver(document('scooter-7', $now + 1, location => { lat => 50.1, lon => 8.7 }, battery => { percent => 12, charging => JSON::PP::false }));
my $payload = hear('alert', 'an alert', sub { grep { $_->{name} eq 'low battery' && $_->{raised} } @{ $_[0]{alerts} } });
my ($alert) = grep { $_->{name} eq 'low battery' } @{ $payload->{alerts} };
is($alert->{vehicle}, 'scooter-7', 'an alert names the vehicle');
is($alert->{kind}, 'rule', '... the kind');
is($alert->{severity}, 'critical', '... the severity');
is(substr($alert->{event_time}, 0, 19), substr(FleetTest::iso_time($now + 1), 0, 19), '... the time of the event');
is_deeply($alert->{values}, { battery_percent => 12, charging => JSON::PP::false }, '... the values that made it fire');
is($t->query("SELECT count(*) FROM fleet.alert WHERE alert_id = $alert->{alert_id}"), '1', '... and its row, which is there');
@heard = ();
deliver(document('scooter-7', $now + 2, battery => { percent => 80, charging => JSON::PP::true }));
hear('alert', 'the end of the alert', sub { grep { $_->{alert_id} == $alert->{alert_id} && !$_->{raised} } @{ $_[0]{alerts} } });
pass('the end of an alert is announced as well');

# 3. geofence and quarantine
deliver(document('scooter-7', $now + 60, location => { lat => 50.3, lon => 8.7 }));
$payload = hear('geofence', 'a transition', sub { grep { $_->{kind} eq 'exit' } @{ $_[0]{transitions} } });
is($payload->{transitions}[-1]{name}, 'depot', 'a transition names the fence');
hear('alert', 'the alert of a keep_in fence', sub { grep { $_->{name} eq 'depot' && $_->{kind} eq 'exit' } @{ $_[0]{alerts} } });
pass('leaving a keep_in fence raises an alert');
deliver(document('scooter-7', $now + 61, location => { lat => 95, lon => 8.7 }));
$payload = hear('quarantine', 'a reject', sub { $_[0]{total} });
is_deeply($payload->{counts}, { out_of_range => 1 }, 'rejects are counted by code');

# 4. Another tenant is not heard
@heard = ();
my $stranger = $t->connect_json(token => $t->create_source(100, 'other'));
$stranger->send_documents(document('stranger', $now));
$stranger->wait_ack(1);
deliver(document('scooter-8', $now));
hear('live', 'the own tenant', sub { grep { $_->{vehicle} eq 'scooter-8' } @{ $_[0]{vehicles} } });
is(scalar(grep { $_->{tenant} != 1 } @heard), 0, 'what belongs to another tenant is not heard');

# 5. Few and small, however many rows
@heard = ();
deliver(map { document('bulk-' . $_ % 300, $now + $_) } 1 .. 3000);
hear('live', 'the last of many', sub { grep { $_->{vehicle} eq 'bulk-0' } @{ $_[0]{vehicles} || [] } or $_[0]{truncated} });
my $batches = $t->query('SELECT count(*) FROM fleet.batch WHERE received > 100');
cmp_ok(scalar(grep { $_->{topic} eq 'live' } @heard), '<=', 7 * ($batches + 3), 'a handful of payloads a commit');
cmp_ok((sort { $b <=> $a } map { $_->{bytes} } @heard)[0], '<', 8000, 'each below 8000 bytes');

# 6. Away, and back by cursor
my $cursor = $t->query('SELECT fleet.cursor_now()');
$psql->query_safe("SELECT fleet.unlisten('alert')");
@heard = ();
deliver(document('scooter-9', $now + 1, battery => { percent => 3, charging => JSON::PP::false }));
is($t->query("SELECT count(*) FROM fleet.alerts_since('$cursor') x JOIN fleet.vehicle v ON v.vehicle_id = (x.alert).vehicle_id WHERE v.name = 'scooter-9'"),
	'1', 'an alert that was missed is found by the cursor');
deliver(document('scooter-9', $now + 2));
hear('live', 'a live payload', sub { grep { $_->{vehicle} eq 'scooter-9' } @{ $_[0]{vehicles} } });
is(scalar(grep { $_->{topic} eq 'alert' } @heard), 0, 'after unlisten no alert is heard');

# 7. Keys only
$t->query("UPDATE fleet.tenant SET notify = 'keys' WHERE tenant_id = 1");
@heard = ();
deliver(document('scooter-9', $now + 3, location => { lat => 95, lon => 8.7 }), document('scooter-9', $now + 4, location => { lat => 50.1, lon => 8.7 }));
$payload = hear('live', 'ids', sub { $_[0]{ids} });
my ($id) = $t->query("SELECT vehicle_id FROM fleet.vehicle WHERE tenant_id = 1 AND name = 'scooter-9'");
is_deeply($payload->{ids}, [$id], 'a tenant that wants keys hears which vehicle moved');
is(join(' ', sort keys %$payload), 'batch bytes channel ids part parts tenant topic v', '... and nothing else');
$payload = hear('quarantine', 'a reject', sub { 1 });
is(join(' ', sort keys %$payload), 'batch bytes channel tenant topic v', '... of a reject that there was one');
$psql->query_safe("SELECT fleet.listen('command')");
$t->query('SELECT fleet.send_command((SELECT max(vehicle_id) FROM fleet.vehicle WHERE tenant_id = 1), \'lock\')');
my $told = hear('command', 'a command', sub { 1 });
is(join(' ', sort keys %$told), 'bytes channel ids part parts tenant topic v', '... and of a command its id');

# 8. New names: the old ones say so and then nothing
my $old = $payload->{channel};
@heard = ();
$t->query('SELECT fleet.rotate_channels(1)');
hear('live', 'the end of a channel', sub { $_[0]{rotated} });
deliver(document('scooter-9', $now + 5, location => { lat => 95, lon => 8.7 }));
$psql->query_safe("SELECT fleet.listen('quarantine')");
deliver(document('scooter-9', $now + 6, location => { lat => 95, lon => 8.7 }));
$payload = hear('quarantine', 'the new channel', sub { !$_[0]{rotated} });
isnt($payload->{channel}, $old, 'after a rotation the channel has another name');
is(scalar(grep { $_->{channel} eq $old && !$_->{rotated} } @heard), 0, '... and the old one is silent');
is($t->query("SELECT count(*) FROM fleet.audit_log WHERE action = 'channel.rotate'"), '1', '... and the audit log knows');

$psql->quit;
done_testing();
