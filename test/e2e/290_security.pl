# docs/security.md: who may what is what the catalog says, and what is shown
# works as it is shown.
use strict;
use warnings;

use FleetTest;
use Test::More;

my $t = FleetTest->new(listeners => ['json']);
my $page = slurp('docs/security.md');

# 1. The table of rights
my ($table) = $page =~ /^## Who may what\n.*?^(\| (?:---[ |]*)+\n)(.*?)\n\n/ms ? $2 : '';
my ($code, $rights, $err) = $t->node->psql('fleet', slurp('tools/rights.sql'), on_error_stop => 1);
is($code, 0, 'tools/rights.sql runs') or diag($err);
my @documented = split /\n/, $table;
my @are = split /\n/, $rights;
cmp_ok(scalar @are, '>', 60, 'it lists relations and functions');
is_deeply(\@documented, \@are, 'docs/security.md says who may what as it is')
  or diag('put in what `psql -AtXf tools/rights.sql` prints');

# 2. What is shown, in order
$ENV{PGHOST} = $t->node->host;
$ENV{PGPORT} = $t->node->port;
my $shell = '';
my @results;
while ($page =~ /^```(sql|sh)\n(.*?)^```/gms)
{
	my ($language, $text) = ($1, $2);
	if ($language eq 'sh') { $shell .= $text; next; }
	my ($rc, $out, $error) = $t->node->psql('fleet', $text, on_error_stop => 1);
	is($rc, 0, 'runs: ' . ($text =~ /\A(.*)/)[0]) or diag($error);
	push @results, $out;
}
$shell =~ s/psql fleet/psql -X -v ON_ERROR_STOP=1 fleet/g;
my $script = $t->node->basedir . '/security.sh';
open my $file, '>', $script or die "could not write \"$script\": $!\n";
print $file "set -e\n$shell";
close $file;
my $out = `sh $script 2>&1`;
is($?, 0, 'a token made in a shell is taken') or diag($out);
like($out, qr/login_local.*count.*COMMIT/s, '... for a transaction');
is($t->query('SELECT count(*) FROM fleet.verify_audit()'), '0', 'the audit log is whole');
like($results[-1], qr/^0\|\d+\|[0-9a-f]{64}$/m, 'the ends of its chains can be kept elsewhere');
is($t->query("SELECT detail ? 'key' FROM fleet.audit_log WHERE action = 'login_key.create'"), 'f', 'the key is not in it');

done_testing();
