use strict;
use warnings;
use utf8;
use DBI qw(:sql_types);
use DBD::Pg qw(:pg_types :async);
use Time::HiRes qw(sleep);

binmode STDOUT, ':encoding(UTF-8)';
$| = 1;

sub check {
    my ($name, $body) = @_;
    my $passed = eval {
        local $SIG{ALRM} = sub { die "no end after 60 s\n" };
        alarm 60;
        $body->();
        alarm 0;
        1;
    };
    alarm 0;
    my $reason = $passed ? '' : ($@ || 'unknown');
    $reason =~ s/\s+/ /g;
    print $passed ? "ok $name\n" : "not ok $name: $reason\n";
}

sub equal {
    my ($actual, $expected) = map { defined $_ ? (ref $_ ? join('|', map { $_ // 'undef' } @$_) : $_) : 'undef' } @_;
    die "expected <$expected>, got <$actual> at line " . (caller)[2] . "\n" unless $actual eq $expected;
}

# libpq takes host, TLS and all else from the environment.
sub connection {
    my (%options) = @_;
    return DBI->connect('dbi:Pg:', $ENV{PGUSER}, delete $options{password} // $ENV{PGPASSWORD},
        { AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0, %options });
}

sub fails {
    my ($sqlstate, $dbh, $body) = @_;
    eval { $body->(); 1 } and die "expected SQLSTATE $sqlstate, no error came at line " . (caller)[2] . "\n";
    die 'expected SQLSTATE ' . $sqlstate . ', got ' . ($dbh->state || 'none') . ": $@" unless $dbh->state eq $sqlstate;
}

sub one {
    my ($name, $body, %options) = @_;
    check($name, sub { my $dbh = connection(%options); eval { $body->($dbh); 1 } or do { my $e = $@; $dbh->disconnect; die $e }; $dbh->disconnect });
}

sub value { my ($dbh, $sql, @values) = @_; return ($dbh->selectrow_array($sql, undef, @values))[0] }

print "# version DBD::Pg $DBD::Pg::VERSION\n";
one('connect', sub { equal(value($_[0], 'SELECT current_user'), $ENV{PGUSER}); equal($_[0]->ping, 1) });
check('wrong_password', sub { eval { connection(password => 'wrong'); 1 } and die "connected\n"; die $@ unless $@ =~ /password authentication failed/ });
one('schema', sub { $_[0]->do($_) for 'DROP SCHEMA IF EXISTS perl CASCADE', 'CREATE SCHEMA perl',
    "CREATE TABLE perl.customers (id integer PRIMARY KEY, name varchar(40) NOT NULL, balance numeric(12,2) DEFAULT 0.5)",
    'CREATE VIEW perl.customers_view AS SELECT id FROM perl.customers', "COMMENT ON TABLE perl.customers IS 'who buys'" });
one('metadata.table_info', sub {
    my $rows = $_[0]->table_info(undef, 'perl', '%', undef)->fetchall_arrayref({});
    equal([map { "$_->{TABLE_NAME} $_->{TABLE_TYPE} " . ($_->{REMARKS} // '-') } sort { $a->{TABLE_NAME} cmp $b->{TABLE_NAME} } @$rows], ['customers TABLE who buys', 'customers_view VIEW -']);
    equal([grep { /^perl\./ } $_[0]->tables(undef, 'perl', '%', 'TABLE')], ['perl.customers']);
});
one('metadata.column_info', sub {
    my $rows = $_[0]->column_info(undef, 'perl', 'customers', '%')->fetchall_arrayref({});
    equal([map { join ' ', map { $_ // '-' } @$_{qw(COLUMN_NAME TYPE_NAME COLUMN_SIZE DECIMAL_DIGITS NULLABLE COLUMN_DEF)} } @$rows],
        ['id integer 4 - 0 -', 'name character varying 40 - 0 -', 'balance numeric 2,12 - 1 0.5']);
});
one('metadata.keys', sub {
    equal([$_[0]->primary_key(undef, 'perl', 'customers')], ['id']);
    my $info = $_[0]->primary_key_info(undef, 'perl', 'customers')->fetchrow_hashref;
    equal("$info->{PK_NAME} $info->{COLUMN_NAME} $info->{KEY_SEQ}", 'customers_pkey id 1');
});
one('metadata.statistics_info', sub {
    my @rows = grep { defined $_->{INDEX_NAME} } @{ $_[0]->statistics_info(undef, 'perl', 'customers', 1, 0)->fetchall_arrayref({}) };
    equal([map { "$_->{INDEX_NAME} $_->{COLUMN_NAME} $_->{NON_UNIQUE}" } @rows], ['customers_pkey id 0']);
});
one('metadata.foreign_keys', sub {
    $_[0]->do('CREATE TABLE perl.notes (customer_id integer REFERENCES perl.customers (id))');
    my $row = $_[0]->foreign_key_info(undef, 'perl', 'customers', undef, 'perl', 'notes')->fetchrow_hashref;
    equal("$row->{UK_TABLE_NAME} $row->{UK_COLUMN_NAME} $row->{FK_TABLE_NAME} $row->{FK_COLUMN_NAME}", 'customers id notes customer_id');
});
one('metadata.types_and_info', sub {
    equal($_[0]->get_info(17), 'PostgreSQL');
    equal(int($_[0]->{pg_server_version} / 10000), 15);
    die "no types\n" unless @{ $_[0]->type_info_all } > 20;
});

my %samples = (
    bool => ['boolean', 1], int2 => ['smallint', -32768], int4 => ['integer', 2147483647], int8 => ['bigint', '9223372036854775807'],
    float8 => ['double precision', '0.1'], numeric => ['numeric(20,4)', '-1234567890123.4500'], text => ['text', "äöü ' \" \\ \n 😀"],
    varchar => ['varchar(10)', 'abc'], bpchar => ['char(5)', 'ab   '], date => ['date', '2024-02-29'], timestamp => ['timestamp', '2024-02-29 13:14:15.123456'],
    uuid => ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'], json => ['json', '{"a": 1}'], null => ['integer', undef],
);
for my $prepare (0, 1) {
    for my $name (sort keys %samples) {
        my ($type, $value) = @{ $samples{$name} };
        one(($prepare ? 'types.server_prepared.' : 'types.').$name, sub {
            my ($dbh) = @_;
            $dbh->{pg_server_prepare} = $prepare;
            equal(value($dbh, "SELECT ?::$type", $value), $value) for 1 .. 3;
            $dbh->do("DROP TABLE IF EXISTS perl.type_$name");
            $dbh->do("CREATE TABLE perl.type_$name (id integer, v $type)");
            my $insert = $dbh->prepare("INSERT INTO perl.type_$name VALUES (?, ?)");
            equal($insert->execute($_, $value), 1) for 1 .. 3;
            equal(value($dbh, "SELECT v FROM perl.type_$name WHERE id = ?", 2), $value);
            $dbh->do("DROP TABLE perl.type_$name");
        });
    }
}
one('types.bytea', sub {
    my $bytes = join '', map { chr } 0 .. 255;
    my $sth = $_[0]->prepare('SELECT ?::bytea');
    $sth->bind_param(1, $bytes, { pg_type => PG_BYTEA });
    $sth->execute;
    equal(($sth->fetchrow_array)[0], $bytes);
});
one('types.arrays', sub {
    my $row = $_[0]->selectrow_arrayref('SELECT ?::int[], ?::text[]', undef, [1, undef, 3], ['a,b', '"q"', '']);
    equal($row->[0], [1, undef, 3]);
    equal($row->[1], ['a,b', '"q"', '']);
});
one('placeholders', sub {
    equal(value($_[0], 'SELECT $2::int - $1::int', 1, 5), 4);
    my $sth = $_[0]->prepare('SELECT :a::int * :b::int');
    $sth->bind_param(':a', 6);
    $sth->bind_param(':b', 7);
    $sth->execute;
    equal(($sth->fetchrow_array)[0], 42);
    equal($_[0]->quote("it's \\ x"), "E'it''s \\\\ x'");
    equal([map { $_->[0] } @{ $_[0]->selectall_arrayref(q{SELECT 'x?y' || ?}, undef, 'z') }], ['x?yz']);
});
one('statement_attributes', sub {
    my $sth = $_[0]->prepare("SELECT id AS a, name, balance FROM perl.customers");
    $sth->execute;
    equal($sth->{NAME}, [qw(a name balance)]);
    equal($sth->{pg_type}, [qw(int4 varchar numeric)]);
    equal([$sth->{PRECISION}[2], $sth->{SCALE}[2]], [12, 2]);
});
one('execute_array', sub {
    $_[0]->do('CREATE TABLE perl.many (a integer, b text)');
    my $sth = $_[0]->prepare('INSERT INTO perl.many VALUES (?, ?)');
    equal($sth->execute_array({}, [1 .. 50], [map { "row $_" } 1 .. 50]), 50);
    equal(value($_[0], 'SELECT sum(a) FROM perl.many'), 1275);
    equal($_[0]->do('UPDATE perl.many SET b = ? WHERE a <= ?', undef, 'x', 3), 3);
    equal($_[0]->do('DELETE FROM perl.many WHERE a > 1000'), '0E0');
});
one('returning', sub { equal(value($_[0], "INSERT INTO perl.many VALUES (100, 'r') RETURNING b"), 'r') });
one('transaction', sub {
    my ($dbh) = @_;
    my $other = connection();
    $dbh->do('CREATE TABLE perl.tx (a integer)');
    $dbh->begin_work;
    $dbh->do('INSERT INTO perl.tx VALUES (1)');
    $dbh->pg_savepoint('p');
    $dbh->do('INSERT INTO perl.tx VALUES (2)');
    $dbh->pg_rollback_to('p');
    equal(value($other, 'SELECT count(*) FROM perl.tx'), 0);
    $dbh->commit;
    equal(value($other, 'SELECT sum(a) FROM perl.tx'), 1);
    $dbh->begin_work;
    $dbh->do('DELETE FROM perl.tx');
    fails('22012', $dbh, sub { value($dbh, 'SELECT 1 / 0') });
    fails('25P02', $dbh, sub { value($dbh, 'SELECT 1') });
    $dbh->rollback;
    equal(value($other, 'SELECT count(*) FROM perl.tx'), 1);
    $other->disconnect;
});
one('errors', sub {
    my ($dbh) = @_;
    my %wrong = ('42601' => 'SELEC 1', '42703' => 'SELECT nothing', '42P01' => 'SELECT * FROM nothing_there', '22P02' => q{SELECT 'x'::int}, '23502' => 'INSERT INTO perl.customers (id) VALUES (1)');
    for my $code (sort keys %wrong) { fails($code, $dbh, sub { value($dbh, $wrong{$code}) }) }
    fails('23502', $dbh, sub { $dbh->do('INSERT INTO perl.customers (id) VALUES (1)') });
    equal($dbh->pg_error_field('column'), 'name');
    equal($dbh->pg_error_field('schema'), 'perl');
});
one('copy', sub {
    my ($dbh) = @_;
    $dbh->do('CREATE TABLE perl.copied (a integer, b text)');
    $dbh->do('COPY perl.copied FROM STDIN');
    $dbh->pg_putcopydata("$_\tzeile $_\n") for 1 .. 3000;
    $dbh->pg_putcopyend;
    equal(value($dbh, 'SELECT sum(a) FROM perl.copied'), 4501500);
    $dbh->do('COPY (SELECT * FROM perl.copied WHERE a < 3 ORDER BY a) TO STDOUT');
    my @lines;
    my $line = '';
    push @lines, $line while $dbh->pg_getcopydata($line) >= 0;
    equal(\@lines, ["1\tzeile 1\n", "2\tzeile 2\n"]);
});
one('large_result', sub {
    my $sth = $_[0]->prepare("SELECT i, repeat('x', 50) FROM generate_series(1, 100000) AS g(i)");
    $sth->execute;
    my $sum = 0;
    while (my $row = $sth->fetchrow_arrayref) { $sum += $row->[0] }
    equal($sum, 5000050000);
});
one('async_and_cancel', sub {
    my ($dbh) = @_;
    $dbh->do('SELECT pg_sleep(0.2)', { pg_async => PG_ASYNC });
    sleep 0.05 until $dbh->pg_ready;
    equal($dbh->pg_result, 1);
    $dbh->do('SELECT pg_sleep(20)', { pg_async => PG_ASYNC });
    sleep 0.3;
    equal($dbh->pg_cancel, 1);
    equal(value($dbh, 'SELECT 1'), 1);
});
one('notify', sub {
    my ($dbh) = @_;
    $dbh->do('LISTEN perl_news');
    my $other = connection();
    $other->do("NOTIFY perl_news, 'it is'");
    $other->disconnect;
    my $heard;
    for (1 .. 50) { last if $heard = $dbh->pg_notifies; sleep 0.1; value($dbh, 'SELECT 1') }
    equal([@{$heard}[0, 2]], ['perl_news', 'it is']);
});
one('clean_up', sub { $_[0]->do('DROP SCHEMA perl CASCADE') });
print "# done\n";
