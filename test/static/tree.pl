# The rules of the tree that a program can check: version in one place, server
# versions in one header, every test in its schedule, documents that lead
# somewhere and leave nothing out.
use strict;
use warnings;

use File::Find;
use Test::More;

sub slurp
{
	my ($path) = @_;
	open my $file, '<:raw', $path or die "could not read \"$path\": $!\n";
	local $/;
	return scalar <$file>;
}

my @files;
find(
	{
		no_chdir => 1,
		preprocess => sub { grep { $_ ne '.git' && !($File::Find::dir eq '.' && $_ eq 'build') } @_ },
		wanted => sub { push @files, substr $_, 2 if -f $_ }
	},
	'.');
my @source = grep { m{\.(c|h|sql|pl|pm|md|mk|json|control|spec|sh)$|(^|/)Makefile$|^tools/|^\.ci/} } @files;
my %text = map { $_ => slurp($_) } @source;

# 1. One place for what varies
is_deeply([ grep { /\.[ch]$/ && $_ ne 'extension/compat.h' && $text{$_} =~ /PG_VERSION_NUM/ } @source ],
	[], 'PG_VERSION_NUM is tested in compat.h only');
my ($version) = $text{'control/fleet.control'} =~ /^default_version = '(.*)'/m;
is_deeply(
	[ grep { m{^(extension|shim|sql/\d|Makefile|tools)} && $text{$_} =~ /["']\Q$version\E["']/ } @source ],
	[], 'the version is written in the control file only');
is_deeply([ grep { m{^extension/.*\.[ch]$} && $text{$_} =~ m{#include "(\.\./)*shim/} } @source ],
	[], 'the extension includes nothing of the daemon');
is_deeply([ grep { m{^shim/.*\.[ch]$} && $text{$_} =~ /#include "(\w+\/)*(postgres\.h|extension)/ } @source ],
	[], 'the daemon includes nothing of the server');
my @meta = $text{'META.json'} =~ /"(?:version|file)": "([\w.\/-]*)"/g;
is_deeply([ grep { !/^\Q$version\E\.\d+$/ && $_ ne "build/fleet--$version.sql" && $_ ne '1.0.0' } @meta ], [], 'META.json is of that version');
my %core = map { $_ => 1 } qw(adapter.h buf.h record.h);

# 2. SQL
foreach my $piece (sort grep { m{^sql/\d} } @source)
{
	(my $name = $piece) =~ s{.*/}{};
	like($text{$piece}, qr/\A-- \Q$name\E: /, "$piece begins with its name");
	unlike($text{$piece}, qr/CREATE OR REPLACE/, '... and replaces nothing');
	my @heads = $text{$piece} =~ /^(CREATE FUNCTION .*?)(?:^\s*BEGIN ATOMIC|\bAS \$\$|;\s*$)/gms;
	is_deeply([ map { /^CREATE FUNCTION (\S+)\(/ } grep { !/\b(?:IMMUTABLE|STABLE|VOLATILE)\b/ || !/\bPARALLEL\b/ } @heads ],
		[], '... and its functions say their volatility and parallel safety');
	is(scalar @heads, scalar(() = $text{$piece} =~ /^CREATE FUNCTION/mg), '... all of them');
}

# 3. Tests
my %scheduled = map { $_ => 1 } grep { /\S/ } split /\s+/, slurp('test/regress/schedule');
is_deeply([ sort keys %scheduled ], [ sort map { m{^test/regress/sql/(.*)\.sql$} } @files ], 'every regression test is in the schedule');
is_deeply([ grep { !-e "test/regress/expected/$_.out" } sort keys %scheduled ], [], '... and has an expected result');
is_deeply([ grep { m{^test/isolation/specs/(.*)\.spec$} && !-e "test/isolation/expected/$1.out" } @files ],
	[], 'every isolation test has an expected result');

# 4. Documents
my @documents = grep { /\.md$/ } @source;
my @dead;
foreach my $document (@documents)
{
	(my $folder = $document) =~ s{[^/]*$}{};
	(my $prose = $text{$document}) =~ s/^```.*?^```//gms;
	while ($prose =~ /\]\(([^)#\s]*)(?:#([^)\s]*))?\)/g)
	{
		my ($target, $anchor) = ($1, $2);
		next if $target =~ /^[a-z]+:/;
		my $path = $target eq '' ? $document : "$folder$target";
		1 while $path =~ s{[^/]+/\.\./}{};
		if (!-e $path) { push @dead, "$document: $target"; next; }
		next unless defined $anchor && $path =~ /\.md$/;
		my %anchors = map { s/[`*]//g; s/[^\w\- ]//g; s/ /-/g; (lc) => 1 } slurp($path) =~ /^#+ (.*?)\s*$/mg;
		push @dead, "$document: $target#$anchor" unless $anchors{$anchor};
	}
}
is_deeply(\@dead, [], 'every link of the documents leads somewhere');
is_deeply([ grep { m{^docs/} && index($text{'README.md'}, "]($_)") < 0 } @documents ], [], 'README.md leads to every page');
my $all_documents = join "\n", map { $text{$_} } @documents;

my @settings = map { $text{$_} =~ /DefineCustom\w+Variable\(\s*"(fleet\.\w+)"/g } grep { /^extension.*\.c$/ } @source;
cmp_ok(scalar @settings, '>', 0, 'the extension has settings: ' . join ' ', @settings);
is_deeply([ grep { $all_documents !~ /`\Q$_\E`/ } @settings ], [], '... each is documented');

my ($codes) = $text{'docs/contracts.md'} =~ /^## Defect codes$(.*?)(?:^## |\z)/ms;
my %documented = map { $_ => 1 } $codes =~ /^\| `(\w+)` \|/mg;
my ($enum) = map { $text{$_} =~ /defect_names?\w*\[[^\]]*\]\s*=\s*\{(.*?)\}/s } grep { m{^extension/.*\.c$} } @source;
my @defects = defined $enum ? $enum =~ /"(\w+)"/g : ();
SKIP:
{
	skip 'the table of defect codes was not found', 1 unless @defects;
	is_deeply([ sort keys %documented ], [ sort @defects ], 'docs/contracts.md has the defect codes of the extension');
}
my @families = $text{'shim/stats.c'} =~ /^\t\[\w+\] = \{"(\w+)"/mg;
my %seen;
is_deeply([ grep { !$seen{$_}++ && $all_documents !~ /\b(fleetd_)?$_\b/ } @families ], [], 'every metric of fleetd is documented');

# Metrics, their labels and events of the log: each is documented, and nothing
# else is.
my $operations = $text{'docs/operations.md'};
my ($metrics) = $operations =~ /^## Metrics$(.*?)^## /ms;
my %values = map { $_ => 1 } $text{'shim/stats.c'} =~ /^\t\[\w+\] = \{"\w+", "\w+", "(\w+)"/mg;
is_deeply([ grep { !/^\d+$|^other$/ && $all_documents !~ /\b$_\b/ } sort keys %values ], [], '... and every value of a label');
my %family = map { $_ => 1 } $text{'shim/stats.c'} =~ /(?:\{"|fleetd_)([a-z]\w+)/g;
is_deeply([ grep { !$family{$_} && $_ ne 'metric' } map { /\w+/g } map { s/\{\w+\}| and others//gr } $metrics =~ /^\| (\w[^|]*?) \|/mg ],
	[], '... and no other one');
my %event;
foreach my $source (grep { m{^shim/.*\.c$} } @source)
{
	while ($text{$source} =~ /\blog_(debug|info|warning|error|fatal|at|write)\(([^;]*)\);/g)
	{
		my ($call) = split /\blog_(?:str|int|num)\(/, $2;
		$event{$_} = $source foreach $call =~ /"(\w+)"/g;
	}
	$event{$1} = $source while $text{$source} =~ /write_line\([^"]*"(\w+)"/g;
}
cmp_ok(scalar keys %event, '>', 80, 'the events of the log were found');
is_deeply([ grep { $all_documents !~ /\b$_\b/ } sort keys %event ], [], '... each is documented');
my ($events) = $operations =~ /^## Log$(.*?)^## /ms;
is_deeply([ grep { !$event{$_} && $_ ne 'event' && !/_\.\.\.$/ } map { split /, / } $events =~ /^\| (\w[^|]*?) \|/mg ], [], '... and no other one');

# Paths of the tree that documents name
is_deeply([ map { my $page = $_; map { "$page: $_" } grep { !-e && !/acme/ } $text{$page} =~ m{(?<![\w./-])((?:docs|shim|sql|test|tools|bench|extension)/[\w./-]*\w)}g }
		grep { $_ ne 'CHANGELOG.md' } @documents ], [], 'every path that the documents name is there');

my %known = map { m{([^/]+)$} => 1 } @files;
is_deeply([ map { my $page = $_; map { "$page: $_" } grep { !$known{$_} && !/acme/ } $text{$page} =~ m{(?<![\w./*_-])([a-z]\w*\.(?:[ch]|pl|spec))\b}g }
		grep { m{^docs/} && $_ ne "docs/types.md" } @documents ], [], '... and every file');

# Packages
my ($needed) = $text{'tools/install-deps'} =~ /^packages='(.*?)'/ms;
is_deeply([ grep { $text{'docs/install.md'} !~ /[ |]\Q$_\E[ ,;]/ } split ' ', $needed ], [], 'docs/install.md names the packages of tools/install-deps');

# 5. Form
is_deeply([ grep { $_ !~ m{/expected/} && $text{$_} =~ /[ \t]$/m } @source ], [], 'no line ends in blanks');
is_deeply([ grep { length $text{$_} && $text{$_} !~ /\n\z/ } @source ], [], 'every file ends with a newline');
is_deeply([ grep { /\.[ch]$/ && ($text{$_} =~ tr/\n//) > 1200 } @source ], [], 'no C file has grown out of hand');
is_deeply([ grep { $text{$_} =~ m{\b(TODO|FIXME|XXX)\b} && $_ ne 'test/static/tree.pl' } @source ], [], 'nothing is left for later');

done_testing();
