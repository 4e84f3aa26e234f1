#!/usr/bin/perl
# The dictionary of well-known signals: its numbers, and docs/types.md.
use strict;
use warnings;

use Test::More;

sub slurp
{
	my ($path) = @_;
	open my $file, '<', $path or die "could not read \"$path\": $!\n";
	local $/;
	return scalar <$file>;
}

sub number { my ($n) = @_; return $n == 2**64 ? '2^64' : $n + 0; }

my $string = qr/"(?:[^"\\]|\\.)*"/;
my $source = slurp('extension/types/dictionary.c');
my (%signal, @ids);
while ($source =~ /^\t(NUMBER|BOOLEAN|TEXT)\((\d+), "(\w+)",\s*(?:"([^"]*)", ([-\d.]+), ([-\d.]+),\s*)?(?:$string|NULL),\s*"([^"]*)"\),$/mg)
{
	my ($kind, $id, $name, $unit, $min, $max, $what) = ($1, $2, $3, $4, $5, $6, $7);
	push @ids, $id;
	$signal{$name} = join '|', lc $kind, $unit // '', defined $min ? number($min) . ' to ' . number($max) : '', $what;
}

my $entries = () = $source =~ /^\t(?:NUMBER|BOOLEAN|TEXT)\(/mg;
ok($entries > 100, 'the dictionary was found');
is(scalar @ids, $entries, 'every entry was understood');
is_deeply(\@ids, [ 1 .. $entries ], 'numbers are dense and in order');
is(scalar keys %signal, $entries, 'every name comes once');

my ($table) = slurp('docs/types.md') =~ /^### Well-known signals$(.*?)(?:^##|\z)/ms;
my %documented;
while ($table =~ /^\| (\w+) \| (number|boolean|text) \| (\S*) *\| ([^|]*?) *\| (.*?) \|$/mg)
{
	$documented{$1} = join '|', $2, $3, $4, $5;
}
is_deeply(\%documented, \%signal, 'docs/types.md lists what the dictionary holds');

done_testing();
