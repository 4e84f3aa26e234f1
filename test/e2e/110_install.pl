# A fresh install: all files, one version, nothing outside the server's own
# directories.
use strict;
use warnings;

use FleetTest;
use File::Find;
use Test::More;

my $stage = 'build/stage';
my ($version) = slurp('control/fleet.control') =~ /^default_version = '(.*)'/m;
chomp(my $sharedir = `pg_config --sharedir`);
chomp(my $pkglibdir = `pg_config --pkglibdir`);
chomp(my $bindir = `pg_config --bindir`);

my @files;
find({ no_chdir => 1, wanted => sub { push @files, substr $_, length $stage if -f $_ } }, $stage);
my @expected = (
	"$sharedir/extension/fleet.control",
	"$sharedir/extension/fleet--$version.sql",
	"$pkglibdir/fleet.so",
	"$bindir/fleetd",
	"$bindir/fleetsim",
	map { s{^sql/updates/}{}r } map { "$sharedir/extension/" . s{^sql/updates/}{}r } glob 'sql/updates/*.sql');
is_deeply([ sort @files ], [ sort @expected ], 'make install puts these files, no others');
ok(-x "$stage$bindir/$_", "$_ can be run") foreach qw(fleetd fleetsim);

my $script = slurp("$stage$sharedir/extension/fleet--$version.sql");
like($script, qr/^-- 00-guard\.sql.*\n\\echo Use "CREATE EXTENSION fleet CASCADE" to load this file\. \\quit\n/, 'the script begins with its guard');
unlike($script, qr/CREATE OR REPLACE/, 'it replaces nothing');
is(scalar(grep { !/^[\t\n\x20-\x7e]*$/ } $script), 0, 'it is plain ASCII');

my ($meta) = slurp('META.json');
is(JSON::PP->new->decode($meta)->{provides}{fleet}{version}, "$version.0", 'META.json names this version');
foreach my $program (qw(fleetd fleetsim))
{
	is(`$stage$bindir/$program --version`, "$program $version\n", "$program says this version");
}

my $t = FleetTest->new(fleetd => 0);
is($t->query("SELECT extversion FROM pg_extension WHERE extname = 'fleet'"), $version, 'CREATE EXTENSION makes this version');
my ($code, $out, $err) = $t->node->psql('postgres', "\\i $stage$sharedir/extension/fleet--$version.sql");
like("$out$err", qr/Use "CREATE EXTENSION fleet CASCADE"/, 'psql refuses to run the script by hand');

# Dropping takes everything along, and it can come again.
$t->query('DROP EXTENSION fleet CASCADE');
is($t->query("SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('fleet')"), '0', 'DROP EXTENSION leaves nothing');
$t->query('DROP SCHEMA IF EXISTS fleet; CREATE EXTENSION fleet');
is($t->query('SELECT name FROM fleet.tenant'), 'default', 'and it can be created again');

# It is for the superuser to create, and a schema of that name does no harm.
$t->node->safe_psql('postgres', 'CREATE DATABASE second');
$t->node->safe_psql('second', 'CREATE EXTENSION postgis; CREATE SCHEMA fleet; CREATE EXTENSION fleet');
pass('CREATE EXTENSION into an existing, empty schema');

done_testing();
