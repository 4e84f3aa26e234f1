# A vehicle drives out of coverage: what expires while its command is on the way never
# arrives, with fleetd running, and with fleetd killed. Needs a network of its
# own (unshare, ip) whose cable can be pulled.
use strict;
use warnings;

use FleetTest;
use IPC::Run ();
use Test::More;
use Time::HiRes qw(time usleep);

my $try = 'ip link set lo up && ip link add fleet0 type veth peer name fleet1 && command -v nsenter';
my $said = '';
plan skip_all => 'no network of one\'s own can be made here'
  unless eval { IPC::Run::run([ 'unshare', '-Urn', 'sh', '-c', $try ], '<', \'', '>', \$said, '2>&1') };

my $t = FleetTest->new(fleetd => 0);
my $dir = $t->dir;
$t->query("SELECT fleet.register_device(1, 'car', 'car')");
my $config = spew(
	"$dir/network.json",
	json_of(
		{ database => $t->conninfo . ' user=fleetd', listeners => [ { adapter => 'json', address => '0.0.0.0:17999' } ] }));

# The device notes what it gets, confirms it, and comes again when its connection is
# gone, which it finds out late: until then nothing but time keeps the kernel from sending again.
spew("$dir/device.pl", <<'DEVICE');
use strict; use warnings; use IO::Socket::INET; use IO::Select;
my ($token, $notes) = @ARGV;
open my $out, '>>', $notes or die; $out->autoflush(1);
$SIG{PIPE} = 'IGNORE';
while (1)
{
	my $s = IO::Socket::INET->new(PeerAddr => '10.9.0.1', PeerPort => 17999, Timeout => 1) or do { select undef, undef, undef, 0.1; next };
	$s->autoflush(1);
	print $s "{\"auth\":\"$token\",\"commands\":\"car\"}\n";
	my $in = '';
	while (1)
	{
		if (IO::Select->new($s)->can_read(8))
		{
			sysread($s, $in, 65536, length $in) or last;
			while ($in =~ s/^([^\n]*)\n//)
			{
				print $out "$1\n";
				print $s "{\"confirm\":{\"id\":$1}}\n" if $1 =~ /"command":\{"id":(\d+)/;
			}
		}
		syswrite($s, "\n") or last;
	}
}
DEVICE

# A network for fleetd, within it one for the device, and a cable between them.
spew("$dir/network.sh", <<"SCRIPT");
fleetd=
start() { shim/fleetd -c $config 2>>$dir/network.log & fleetd=\$!; }
ip link set lo up
unshare -n sh -c 'while [ ! -e $dir/go ]; do sleep 0.05; done; exec perl $dir/device.pl "\$0" $dir/notes' "\$1" &
device=\$!
inside() { nsenter -t \$device -n "\$@"; }
until [ "\$(readlink /proc/\$device/ns/net)" != "\$(readlink /proc/\$\$/ns/net)" ]; do sleep 0.05; done
ip link add fleet0 type veth peer name fleet1 address 02:00:00:00:00:02 netns \$device
ip addr add 10.9.0.1/24 dev fleet0 && ip link set fleet0 up
# or packets would wait, as if in the air, for somebody to say whose address that is
ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 nud permanent dev fleet0
inside ip addr add 10.9.0.2/24 dev fleet1 && inside ip link set fleet1 up
start
: >$dir/go
while read verb; do
	case \$verb in
		down) inside ip link set fleet1 down ;;
		up) inside ip link set fleet1 up ;;
		kill) kill -9 \$fleetd; wait \$fleetd ;;
		start) start ;;
	esac
	echo \$verb
done
kill \$fleetd \$device
wait
SCRIPT

my ($in, $out, $err) = ('', '', '');
my $network = IPC::Run::start([ 'unshare', '-Urn', 'sh', "$dir/network.sh", $t->token ], '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(120));

sub order
{
	my ($verb) = @_;
	$out = '';
	$in .= "$verb\n";
	wait_for($verb, sub { $network->pump_nb; $out =~ /$verb/ });
	return;
}
sub notes { return -e "$dir/notes" ? slurp("$dir/notes") : ''; }
sub got { my ($id) = @_; return notes() =~ /"id":$id,/; }
sub send_command { return $t->query("SELECT fleet.send_command('car', '$_[0]', expires => '$_[1]')"); }

wait_for('the device to be let in', sub { notes() =~ /"auth":"ok"/ });
my $first = send_command('hello', '1 minute');
wait_for('the first command', sub { got($first) });
$t->wait_for_query("SELECT state = 'confirmed' FROM fleet.command WHERE command_id = $first");
ok(1, 'a command arrives');

foreach my $killed (0, 1)
{
	my $how = $killed ? 'fleetd killed' : 'fleetd running';
	order('down');
	my $late = send_command('immobilise', '3 seconds');
	my $until = time + 3;
	$t->wait_for_query("SELECT state = 'sent' FROM fleet.command WHERE command_id = $late");
	order('kill') if $killed;
	usleep(50_000) while time < $until + 0.5;
	order('up');
	order('start') if $killed;
	my $next = send_command('hello again', '1 minute');
	wait_for("the next command, $how", sub { got($next) });
	ok(1, "back in coverage, $how: the next command arrives");
	ok(!got($late), '... the one that had expired on its way does not');
	$t->wait_for_query("SELECT state = 'confirmed' FROM fleet.command WHERE command_id = $next");
	$t->wait_for_query("SELECT state = 'expired' FROM fleet.command WHERE command_id = $late");
	ok(1, '... and is said to have expired');
}
usleep(1_000_000);
is(() = notes() =~ /immobilise/g, 0, 'nor later');
# its input ends, and with it everything in there
$network->finish;
done_testing;
