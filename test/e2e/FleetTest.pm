# FleetTest: a PostgreSQL server with the extension, fleetd on free ports, and
# fleetsim, for the end-to-end tests.
#
#   my $t = FleetTest->new(name => 'json', listeners => ['json', 'http']);
#   my $client = $t->connect_json;               # authenticated
#   $client->send_documents({...}, {...});
#   $client->wait_ack(2);
#   is($t->query('SELECT count(*) FROM fleet.event'), 2);
#
# Everything waits for a condition, with a timeout; nothing sleeps for luck.
package FleetTest;

use strict;
use warnings;

use Cwd qw(getcwd);
use Exporter qw(import);
use File::Basename qw(basename);
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use POSIX qw(WNOHANG strftime);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(wait_for json_of document iso_time shared_data slurp spew);
our $TIMEOUT = $ENV{FLEET_TEST_TIMEOUT} || 60;

my $root = getcwd();
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my @all;

# Waits until the sub returns something true, and returns it. Dies with what
# was waited for when the time is up.
sub wait_for
{
	my ($what, $condition, $timeout) = @_;
	my $until = time + ($timeout // $TIMEOUT);
	my $pause = 1000;
	while (1)
	{
		my $result = $condition->();
		return $result if $result;
		die "waited in vain for $what\n" if time > $until;
		usleep($pause);
		$pause = $pause * 2 > 50_000 ? 50_000 : $pause * 2;
	}
}

# UTF-8 bytes.
sub json_of { return $json->encode($_[0]); }

sub slurp
{
	my ($path) = @_;
	open my $file, '<:raw', $path or die "could not open \"$path\": $!\n";
	local $/;
	return scalar <$file>;
}

sub spew
{
	my ($path, @text) = @_;
	open my $file, '>:raw', $path or die "could not create \"$path\": $!\n";
	print $file @text;
	close $file or die "could not write \"$path\": $!\n";
	return $path;
}

# Seconds since the epoch as a device would send them.
sub iso_time
{
	my ($seconds) = @_;
	my $ms = int(($seconds - int $seconds) * 1000 + 0.5);
	return strftime('%Y-%m-%dT%H:%M:%S', gmtime int $seconds) . sprintf '.%03dZ', $ms;
}

# A small document of the default mapping.
sub document
{
	my ($device, $seconds, %more) = @_;
	return {
		vehicle_id => "$device",
		timestamp => iso_time($seconds),
		location => { lat => 50.1 + 0, lon => 8.7 + 0 },
		%more
	};
}

# The path of a file of recorded data, or nothing where there is none.
sub shared_data
{
	my ($name) = @_;
	return unless defined $ENV{FLEET_SHARED};
	my $path = "$ENV{FLEET_SHARED}/data/$name";
	return -r $path ? $path : ();
}

# Options: name; conf => text for postgresql.conf; listeners => names of
# adapters, or rows of the configuration without address; config => further
# members of fleetd's configuration; auto_register => of tenant 1 (on);
# fleetd => 0: do not start the daemon.
sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		name => $options{name} || basename($0, '.pl'),
		ports => {},
		sims => [],
	}, $class;
	push @all, $self;

	$self->{node} = PostgreSQL::Test::Cluster->new($self->{name});
	$self->{node}->init;
	my $staged = `tools/test-conf build/stage`;
	die "the extension is not staged\n" if $? != 0;
	$self->{node}->append_conf('postgresql.conf',
		$staged . "restart_after_crash = on\nlog_statement = none\nport = " . $self->{node}->port . "\n" . ($options{conf} // ''));
	$self->{node}->start;
	$self->{node}->safe_psql('postgres', 'CREATE DATABASE fleet');
	$self->query('SET client_min_messages = warning; CREATE EXTENSION fleet CASCADE');
	$self->query('UPDATE fleet.tenant SET auto_register = ' . (($options{auto_register} // 1) ? 'true' : 'false') . ' WHERE tenant_id = 1');
	# fleetd has the rights that the documents give it, and no others
	my ($grants) = slurp('docs/install.md') =~ /^(CREATE ROLE fleetd LOGIN;\n(?:GRANT [^;]*;\n)+)/m;
	$self->query($grants);
	$self->{token} = $self->create_source(1, 'test');

	$self->{dir} = PostgreSQL::Test::Utils::tempdir('fleetd');
	$self->{listeners} = [ map { ref $_ ? $_ : { adapter => $_ } } @{ $options{listeners} || ['json'] } ];
	$self->{config} = $options{config} || {};
	$self->start_fleetd unless defined $options{fleetd} && !$options{fleetd};
	return $self;
}

sub node { return $_[0]->{node}; }
sub token { return $_[0]->{token}; }
sub dir { return $_[0]->{dir}; }
sub conninfo { return $_[0]->{node}->connstr('fleet'); }

# One answer as text; fields and rows as psql -At prints them.
sub query
{
	my ($self, $sql) = @_;
	return $self->{node}->safe_psql('fleet', $sql);
}

# True when the query answers 't', for wait_for; false also while the server
# cannot be reached.
sub query_is
{
	my ($self, $sql, $expected) = @_;
	my ($code, $out) = $self->{node}->psql('fleet', $sql, timeout => $TIMEOUT);
	return $code == 0 && $out eq ($expected // 't');
}

sub wait_for_query
{
	my ($self, $sql, $expected, $timeout) = @_;
	return wait_for("\"" . ($expected // 't') . "\" from $sql", sub { $self->query_is($sql, $expected) }, $timeout);
}

sub create_source
{
	my ($self, $tenant, $name) = @_;
	return $self->query("SELECT token FROM fleet.create_source($tenant, '$name')");
}

# --- fleetd ---

# Writes the configuration: what new() was given, the changes given here, and
# the listeners on the ports they once got.
sub write_config
{
	my ($self, %changes) = @_;
	$self->{config} = { %{ $self->{config} }, %changes };
	my @listeners = map {
		{ %{ $self->{listeners}[$_] }, address => '127.0.0.1:' . ($self->{ports}{$_} // 0) }
	} 0 .. $#{ $self->{listeners} };
	my $file = "$self->{dir}/fleetd.json";
	spew("$file.new", json_of({ database => $self->conninfo . ' user=fleetd', listeners => \@listeners, %{ $self->{config} } }), "\n");
	rename "$file.new", $file or die "could not rename: $!\n";
	return $file;
}

# Starts fleetd and waits until it listens and can check tokens; with
# away => 1, because there is no database, only until it listens.
sub start_fleetd
{
	my ($self, %changes) = @_;
	my $away = delete $changes{away};
	my $file = $self->write_config(%changes);
	$self->{log} = "$self->{dir}/fleetd.log";
	my $before = -s $self->{log} // 0;
	my $pid = fork() // die "could not fork: $!\n";
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', $self->{log};
		open STDERR, '>>', $self->{log};
		{ exec "$root/shim/fleetd", '-c', $file };
		POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	my $events = wait_for(
		'fleetd to start',
		sub {
			die "fleetd ended: " . slurp($self->{log}) if waitpid($pid, WNOHANG) == $pid;
			my @events = $self->log_events(undef, $before);
			return (grep { $_->{event} eq 'started' } @events) ? \@events : undef;
		});
	my $i = 0;
	foreach my $event (grep { $_->{event} eq 'listening' } @$events)
	{
		$self->{ports}{$i} = $event->{port};
		$i++;
	}
	die "fleetd does not say where it listens\n" if $i != @{ $self->{listeners} };
	wait_for(
		'fleetd to reach the database',
		sub {
			grep { ($_->{connection} // '') eq 'auth' } $self->log_events('database_connected', $before);
		}) unless $away;
	return $self;
}

sub fleetd_pid { return $_[0]->{pid}; }

# The port of the n-th listener of an adapter.
sub port
{
	my ($self, $adapter, $nth) = @_;
	$nth //= 0;
	foreach my $i (0 .. $#{ $self->{listeners} })
	{
		next if $self->{listeners}[$i]{adapter} ne $adapter;
		return $self->{ports}{$i} if $nth-- == 0;
	}
	die "no listener $adapter\n";
}

# Sends a signal.
sub signal
{
	my ($self, $signal) = @_;
	kill $signal, $self->{pid} or die "could not signal fleetd: $!\n";
	return;
}

# Waits for fleetd to end by itself; returns its wait status.
sub wait_fleetd
{
	my ($self, $timeout) = @_;
	my $pid = $self->{pid};
	my $status;
	wait_for('fleetd to end', sub { waitpid($pid, WNOHANG) == $pid ? do { $status = $?; 1 } : 0 }, $timeout);
	delete $self->{pid};
	return $status;
}

sub stop_fleetd
{
	my ($self, $signal) = @_;
	return unless $self->{pid};
	$self->signal($signal || 'TERM');
	return $self->wait_fleetd;
}

# The log's lines as hashes, from a position on; of one event when named.
sub log_events
{
	my ($self, $name, $from) = @_;
	return () unless -e $self->{log};
	my $text = substr slurp($self->{log}), $from || 0;
	my @events;
	foreach my $line ($text =~ /([^\n]*)\n/g)
	{
		my $event = eval { $json->decode($line) };
		$event = { event => 'not JSON', line => $line } unless ref $event eq 'HASH';
		push @events, $event if !defined $name || $event->{event} eq $name;
	}
	return @events;
}

sub wait_log
{
	my ($self, $name, $from, $timeout) = @_;
	return wait_for("\"$name\" in the log of fleetd", sub { ($self->log_events($name, $from))[-1] }, $timeout);
}

sub log_size { my $self = shift; return -s $self->{log} // 0; }

# Resident memory of fleetd in bytes.
sub rss
{
	my ($self) = @_;
	my ($kb) = slurp("/proc/$self->{pid}/status") =~ /^VmRSS:\s+(\d+) kB/m;
	return $kb * 1024;
}

# The metrics as name{labels} => value.
sub metrics
{
	my ($self) = @_;
	my $text = $self->http('GET', '/metrics')->{body};
	my %metrics;
	$metrics{$1} = $2 while $text =~ /^([a-z_A-Z][^#\s]*(?:\{[^}]*\})?) ([-+.eE\d]+)$/mg;
	return \%metrics;
}

# --- clients ---

# A raw connection to a listener.
sub connect
{
	my ($self, $adapter, $nth) = @_;
	return FleetTest::Client->new($self->port($adapter || 'json', $nth));
}

# An authenticated connection that speaks json.
sub connect_json
{
	my ($self, %options) = @_;
	my $client = $self->connect('json', $options{nth});
	$client->send_line(
		json_of({ auth => $options{token} // $self->{token}, $options{mapping} ? (mapping => $options{mapping}) : () }));
	my $answer = $client->read_json;
	die 'not authenticated: ' . json_of($answer) . "\n" unless ($answer->{auth} // '') eq 'ok';
	return $client;
}

# One HTTP request with curl: method, path, then curl's own arguments. Returns
# status, headers (lower case) and body.
sub http
{
	my ($self, $method, $path, @arguments) = @_;
	my $scheme = 'http';
	if (@arguments && $arguments[0] eq 'tls')
	{
		shift @arguments;
		$scheme = 'https';
	}
	my $port = $self->port('http', $scheme eq 'https' ? 1 : 0);
	my ($out, $err);
	my $head = "$self->{dir}/headers";
	unlink $head;
	my $ran = IPC::Run::run([ 'curl', '-sS', '-m', $TIMEOUT, '-D', $head, '-X', $method, @arguments, "$scheme://127.0.0.1:$port$path" ],
		'<', \'', '>', \$out, '2>', \$err);
	return { status => 0, headers => {}, body => '', error => $err } unless $ran && -e $head;
	my (%headers, $status);
	foreach my $line (split /\r?\n/, slurp($head))
	{
		if ($line =~ m{^HTTP/\S+ (\d+)}) { $status = $1; %headers = (); }
		elsif ($line =~ /^([^:]+):\s*(.*)/) { $headers{ lc $1 } = $2; }
	}
	my $decoded = eval { $json->decode($out) };
	return { status => $status, headers => \%headers, body => $out, json => $decoded };
}

# POST of telemetry with the token; the body is text, or data to be encoded.
sub post
{
	my ($self, $body, @arguments) = @_;
	my $file = spew("$self->{dir}/body", ref $body ? json_of($body) : $body);
	return $self->http('POST', '/v1/telemetry', '-H', "Authorization: Bearer $self->{token}",
		'-H', 'Expect:', '--data-binary', "\@$file", @arguments);
}

# Runs fleetsim to its end; returns exit code, output, errors.
sub fleetsim
{
	my ($self, @arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ "$root/shim/fleetsim", @arguments ], '<', \'', '>', \$out, '2>', \$err);
	return ($? >> 8 || $? & 127, $out, $err);
}

# Starts fleetsim in the background; finish_fleetsim waits for it.
sub start_fleetsim
{
	my ($self, @arguments) = @_;
	my $sim = { out => '', err => '' };
	$sim->{run} = IPC::Run::start([ "$root/shim/fleetsim", @arguments ], '<', \'', '>', \$sim->{out}, '2>', \$sim->{err});
	push @{ $self->{sims} }, $sim;
	return $sim;
}

sub finish_fleetsim
{
	my ($self, $sim) = @_;
	@{ $self->{sims} } = grep { $_ != $sim } @{ $self->{sims} };
	$sim->{run}->finish;
	return ($? >> 8 || $? & 127, $sim->{out}, $sim->{err});
}

# What fleetsim needs to reach this fleetd with the ordinary token.
sub delivery
{
	my ($self, $protocol) = @_;
	$protocol ||= 'json';
	return ('--to', '127.0.0.1:' . $self->port($protocol), '--protocol', $protocol, '--token', $self->{token});
}

# Proves a ledger of fleetsim against the database.
sub verify
{
	my ($self, $ledger, $name) = @_;
	my ($code, $out, $err) = $self->fleetsim('verify', '--ledger', $ledger, '--database', $self->conninfo);
	my $builder = Test::More->builder;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$builder->is_num($code, 0, $name) or $builder->diag("$out$err");
	note("$out$err");
	return $out;
}

sub stop
{
	my ($self) = @_;
	foreach my $sim (@{ $self->{sims} }) { eval { $sim->{run}->kill_kill }; }
	$self->{sims} = [];
	if ($self->{pid})
	{
		kill 'KILL', $self->{pid};
		waitpid $self->{pid}, 0;
		delete $self->{pid};
	}
	return;
}

END
{
	my $status = $?;
	$_->stop foreach @all;
	$? = $status;
}

# --- a connection ---
package FleetTest::Client;

use strict;
use warnings;

use IO::Select;
use Socket qw(SHUT_WR);
use Time::HiRes qw(time);

sub new
{
	my ($class, $port) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp', Timeout => $FleetTest::TIMEOUT)
	  or die "could not connect to port $port: $!\n";
	$socket->autoflush(1);
	return bless { socket => $socket, in => '', acked => 0, rejected => [], eof => 0 }, $class;
}

sub socket { return $_[0]->{socket}; }

sub send
{
	my ($self, $bytes) = @_;
	my $offset = 0;
	while ($offset < length $bytes)
	{
		my $sent = syswrite $self->{socket}, $bytes, length($bytes) - $offset, $offset;
		return 0 unless defined $sent;
		$offset += $sent;
	}
	return 1;
}

sub send_line { my ($self, $line) = @_; return $self->send("$line\n"); }

sub send_documents
{
	my ($self, @documents) = @_;
	return $self->send(join '', map { FleetTest::json_of($_) . "\n" } @documents);
}

# The next line, without its end; undef when the peer has closed.
sub read_line
{
	my ($self, $timeout) = @_;
	my $until = time + ($timeout // $FleetTest::TIMEOUT);
	my $select = IO::Select->new($self->{socket});
	while ($self->{in} !~ /\n/)
	{
		return if $self->{eof};
		my $left = $until - time;
		die "no line came in time\n" if $left <= 0 || !$select->can_read($left);
		my $read = sysread $self->{socket}, $self->{in}, 65536, length $self->{in};
		$self->{eof} = 1 if !$read;
	}
	$self->{in} =~ s/^([^\n]*)\n//;
	return $1;
}

# So many bytes; fewer when the peer has closed.
sub read_bytes
{
	my ($self, $n) = @_;
	my $until = time + $FleetTest::TIMEOUT;
	my $select = IO::Select->new($self->{socket});
	while (length $self->{in} < $n && !$self->{eof})
	{
		my $left = $until - time;
		die "no bytes came in time\n" if $left <= 0 || !$select->can_read($left);
		my $read = sysread $self->{socket}, $self->{in}, 65536, length $self->{in};
		$self->{eof} = 1 if !$read;
	}
	return substr $self->{in}, 0, $n, '';
}

sub read_json
{
	my ($self, $timeout) = @_;
	my $line = $self->read_line($timeout);
	return unless defined $line;
	return JSON::PP->new->utf8->decode($line);
}

# Reads until so many lines are acknowledged; true if it came to that before
# the connection closed. What was rejected is in rejected().
sub wait_ack
{
	my ($self, $lines, $timeout) = @_;
	while ($self->{acked} < $lines)
	{
		my $answer = $self->read_json($timeout);
		return 0 unless $answer;
		$self->{last} = $answer;
		$self->{acked} = $answer->{ack} if defined $answer->{ack};
		push @{ $self->{rejected} }, @{ $answer->{rejected} } if $answer->{rejected};
	}
	return 1;
}

sub acked { return $_[0]->{acked}; }
sub rejected { return $_[0]->{rejected}; }

# Reads whatever comes until the peer closes; true if it did in time.
sub wait_eof
{
	my ($self, $timeout) = @_;
	my $closed = eval { 1 while defined $self->read_line($timeout); 1 };
	return $closed ? 1 : 0;
}

sub shut_writing { my ($self) = @_; shutdown $self->{socket}, SHUT_WR; return; }
sub close { my ($self) = @_; close $self->{socket}; return; }

1;
