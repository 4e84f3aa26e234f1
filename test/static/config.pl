# Every setting of fleetd is documented, with its default, and the sample
# configuration of the document is one that fleetd takes.
use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;

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
my $help = `shim/fleetd --help`;
is_deeply([ grep { index($help, "  $_ ") < 0 } @settings ], [], '--help explains all of them');
like(`shim/fleetd --version`, qr/^fleetd \d+\.\d+/, '--version');

done_testing();
