# Every setting of fleetd is documented, with its default, and stands in the
# sample file; the sample of the document is one that fleetd takes.
use strict;
use warnings;

use File::Temp qw(tempdir);
use JSON::PP ();
use Test::More;

sub slurp
{
	my ($path) = @_;
	open my $file, '<', $path or die "could not open $path: $!\n";
	return <$file>;
}

my $output = `tools/check-config-doc shim/fleetd 2>&1`;
is($?, 0, 'docs/config.md has every setting, with its default') or diag $output;

open my $file, '<', 'docs/config.md' or die "could not open docs/config.md: $!\n";
my $text = do { local $/; <$file> };
my ($sample) = $text =~ /```json\n(.*?)```/s;
ok($sample, 'it has a sample');
$sample =~ s/,\s*"tls": \{.*?\}//s;    # the files are not here
my $path = tempdir(CLEANUP => 1) . '/sample.json';
open my $out, '>', $path or die "could not write \"$path\": $!\n";
print $out $sample;
close $out;
$output = `shim/fleetd --check -c $path 2>&1`;
is($?, 0, '... which fleetd takes') or diag $output;

# A setting that is taken away from the document is missed.
$output = `shim/fleetd --settings`;
my @settings = map { (split /\t/)[0] } split /\n/, $output;
cmp_ok(scalar @settings, '>', 20, 'fleetd lists its settings');

# The sample file has every setting, with its default. What has none may be
# anything; the files that it names are not here, so 120_documents checks the rest.
my $settings = join '', slurp('docs/fleetd.json');
$settings =~ s{/\*.*?\*/}{}gs;
my %sample;
sub flatten
{
	my ($name, $value) = @_;
	push @{ $sample{$name} }, ref $value ? () : "$value" if $name ne '';
	if (ref $value eq 'HASH' && $name !~ /^mappings$|^teltonika\.io$|options$/) { flatten($name eq '' ? $_ : "$name.$_", $value->{$_}) foreach keys %$value; }
	elsif (ref $value eq 'ARRAY' && $name =~ /^(?:listeners|sources)$/) { flatten("${name}[]", $_) foreach @$value; }
	return;
}
flatten('', JSON::PP->new->decode($settings));
is_deeply([ grep { !$sample{$_} } @settings ], [], 'docs/fleetd.json has every setting');
my %default = map { (split /\t/)[ 0, 1 ] } split /\n/, $output;
is_deeply([ grep { my $name = $_; $name !~ /\[\]/ && $name ne 'database' && $default{$name} ne '' && !grep { $_ eq $default{$name} } @{ $sample{$name} } } @settings ],
	[], '... with its default');

my $help = `shim/fleetd --help`;
is_deeply([ grep { index($help, "  $_ ") < 0 } @settings ], [], '--help explains all of them');
like(`shim/fleetd --version`, qr/^fleetd \d+\.\d+/, '--version');

done_testing();
