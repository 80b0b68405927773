<?php
declare(strict_types=1);

function check(string $name, callable $body): void
{
    try {
        $body();
        echo "ok $name\n";
    } catch (Throwable $thrown) {
        $where = basename($thrown->getFile()) . ':' . ($thrown->getTrace()[0]['line'] ?? $thrown->getLine());
        echo "not ok $name: ", preg_replace('/\s+/', ' ', $thrown->getMessage()), " ($where)\n";
    }
}

function equal(mixed $actual, mixed $expected): void
{
    if ($actual !== $expected) {
        throw new Exception('expected ' . json_encode($expected) . ', got ' . json_encode($actual));
    }
}

function fails(string $sqlstate, callable $body): PDOException
{
    try {
        $body();
    } catch (PDOException $error) {
        equal($error->errorInfo[0] ?? $error->getCode(), $sqlstate);
        return $error;
    }
    throw new Exception("expected SQLSTATE $sqlstate, no error came");
}

// libpq takes TLS and the certificate from the environment.
function pdo(array $options = [], ?string $password = null): PDO
{
    $source = 'pgsql:host=' . getenv('PGHOST') . ';port=' . getenv('PGPORT') . ';dbname=' . getenv('PGDATABASE');
    return new PDO($source, getenv('PGUSER'), $password ?? getenv('PGPASSWORD'), $options + [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

function value(PDO $pdo, string $sql, array $values = []): mixed
{
    $statement = $pdo->prepare($sql);
    $statement->execute($values);
    return $statement->fetchColumn();
}

echo '# version PHP ', PHP_VERSION, "\n";
$modes = ['pdo' => [], 'pdo_emulated' => [PDO::ATTR_EMULATE_PREPARES => true], 'pdo_no_prepare' => [PDO::PGSQL_ATTR_DISABLE_PREPARES => true], 'pdo_persistent' => [PDO::ATTR_PERSISTENT => true]];
check('pdo.wrong_password', fn () => fails('08006', fn () => pdo([], 'wrong')));
$samples = [
    'bool' => ['boolean', 'true', true], 'int2' => ['smallint', -32768, -32768], 'int4' => ['integer', 2147483647, 2147483647], 'int8' => ['bigint', PHP_INT_MAX, PHP_INT_MAX],
    'float8' => ['double precision', '0.1', '0.1'], 'numeric' => ['numeric(20,4)', '-1234567890123.4500', '-1234567890123.4500'], 'text' => ['text', "äöü ' \" \\ \n 😀", "äöü ' \" \\ \n 😀"],
    'varchar' => ['varchar(10)', 'abc', 'abc'], 'date' => ['date', '2024-02-29', '2024-02-29'], 'timestamp' => ['timestamp', '2024-02-29 13:14:15.123456', '2024-02-29 13:14:15.123456'],
    'uuid' => ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'], 'json' => ['json', '{"a": 1}', '{"a": 1}'], 'null' => ['integer', null, null],
];
foreach ($modes as $mode => $options) {
    check("$mode.connect", fn () => equal(value(pdo($options), 'SELECT current_user'), getenv('PGUSER')));
    foreach ($samples as $name => [$type, $value, $expected]) {
        check("$mode.types.$name", function () use ($options, $name, $type, $value, $expected) {
            $pdo = pdo($options);
            equal(value($pdo, "SELECT CAST(? AS $type)", [$value]), $expected);
            $pdo->exec("DROP TABLE IF EXISTS php_type_$name");
            $pdo->exec("CREATE TABLE php_type_$name (id integer, v $type)");
            $insert = $pdo->prepare("INSERT INTO php_type_$name VALUES (:id, :v)");
            foreach ([1, 2, 3] as $id) {
                $insert->execute(['id' => $id, 'v' => $value]);
                equal($insert->rowCount(), 1);
            }
            equal(value($pdo, "SELECT v FROM php_type_$name WHERE id = :id", ['id' => 2]), $expected);
            $pdo->exec("DROP TABLE php_type_$name");
        });
    }
    check("$mode.bytea", function () use ($options) {
        $pdo = pdo($options);
        $statement = $pdo->prepare('SELECT CAST(:b AS bytea)');
        $statement->bindValue('b', "\x00\x01\xff\\'", PDO::PARAM_LOB);
        $statement->execute();
        equal(bin2hex(stream_get_contents($statement->fetchColumn())), '0001ff5c27');
    });
    check("$mode.transaction", function () use ($options) {
        $pdo = pdo($options);
        $pdo->exec('DROP TABLE IF EXISTS php_tx');
        $pdo->exec('CREATE TABLE php_tx (a integer)');
        $pdo->beginTransaction();
        equal($pdo->exec('INSERT INTO php_tx VALUES (1), (2)'), 2);
        equal(value(pdo(), 'SELECT count(*) FROM php_tx'), 0);
        $pdo->commit();
        $pdo->beginTransaction();
        $pdo->exec('DELETE FROM php_tx');
        fails('22012', fn () => value($pdo, 'SELECT 1 / 0'));
        fails('25P02', fn () => value($pdo, 'SELECT 1'));
        $pdo->rollBack();
        equal($pdo->inTransaction(), false);
        equal(value($pdo, 'SELECT count(*) FROM php_tx'), 2);
    });
    check("$mode.errors", function () use ($options) {
        $pdo = pdo($options);
        foreach (['42601' => 'SELEC 1', '42703' => 'SELECT nothing', '42P01' => 'SELECT * FROM nothing_there', '22P02' => "SELECT 'x'::int"] as $code => $sql) {
            fails((string) $code, fn () => value($pdo, $sql));
        }
        equal(value($pdo, 'SELECT 1'), 1);
    });
    check("$mode.fetch_modes", function () use ($options) {
        $pdo = pdo($options);
        $rows = $pdo->query("SELECT i AS a, i * 2 AS b FROM generate_series(1, 3) AS g(i) ORDER BY i");
        equal($rows->fetchAll(PDO::FETCH_KEY_PAIR), [1 => 2, 2 => 4, 3 => 6]);
        $meta = $pdo->query("SELECT 1.5::numeric(10,2) AS n, 'x'::varchar(7) AS v");
        equal([$meta->getColumnMeta(0)['native_type'], $meta->getColumnMeta(1)['native_type'], $meta->getColumnMeta(1)['pgsql:oid']], ['numeric', 'varchar', 1043]);
    });
    check("$mode.scroll_cursor", function () use ($options) {
        $pdo = pdo($options);
        $pdo->beginTransaction();
        $statement = $pdo->prepare('SELECT generate_series(1, 10)', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
        $statement->execute();
        equal([$statement->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_LAST)[0], $statement->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_ABS, 3)[0], $statement->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_PRIOR)[0]], [10, 3, 2]);
        $statement->closeCursor();
        $pdo->commit();
    });
}
check('pdo.field_source', function () {
    $pdo = pdo();
    $pdo->exec('DROP TABLE IF EXISTS php_src');
    $pdo->exec('CREATE TABLE php_src (a integer)');
    $meta = $pdo->query('SELECT a FROM php_src')->getColumnMeta(0);
    equal([$meta['table'] ?? null, $meta['pgsql:table_oid'] ?? null], ['php_src', value($pdo, "SELECT 'php_src'::regclass::oid::int")]);
});
check('pdo.copy', function () {
    $pdo = pdo();
    $pdo->exec('DROP TABLE IF EXISTS php_copy');
    $pdo->exec('CREATE TABLE php_copy (a integer, b text)');
    equal($pdo->pgsqlCopyFromArray('php_copy', array_map(fn ($i) => "$i\tzeile $i", range(1, 2000))), true);
    equal(value($pdo, 'SELECT sum(a) FROM php_copy'), 2001000);
    $rows = $pdo->pgsqlCopyToArray('php_copy');
    equal([count($rows), in_array("7\tzeile 7\n", $rows, true)], [2000, true]);
});
check('pdo.returning', function () {
    equal(value(pdo(), "INSERT INTO php_copy VALUES (5000, 'r') RETURNING b"), 'r');
});
check('pdo.notify', function () {
    $pdo = pdo();
    $pdo->exec('LISTEN php_news');
    pdo()->exec("NOTIFY php_news, 'it is'");
    equal($pdo->pgsqlGetNotify(PDO::FETCH_ASSOC, 10000)['payload'], 'it is');
});
check('pdo.large_result', function () {
    $sum = 0;
    foreach (pdo()->query("SELECT i, repeat('x', 50) FROM generate_series(1, 50000) AS g(i)", PDO::FETCH_NUM) as $row) {
        $sum += $row[0];
    }
    equal($sum, 1250025000);
});

function pg(): PgSql\Connection
{
    return pg_connect(sprintf("host=%s port=%s dbname=%s user=%s password='%s'", getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE'), getenv('PGUSER'), getenv('PGPASSWORD')), PGSQL_CONNECT_FORCE_NEW)
        ?: throw new Exception('no connection');
}

check('pgsql.setup', function () {
    pg_query(pg(), 'DROP TABLE IF EXISTS php_t');
    pg_query(pg(), "CREATE TABLE php_t (id integer PRIMARY KEY, name varchar(20) NOT NULL, n numeric(8,2) DEFAULT 1.5)");
});
check('pgsql.meta_data', function () {
    $meta = pg_meta_data(pg(), 'php_t', true);
    equal([$meta['name']['num'], $meta['name']['type'], $meta['name']['not null'], $meta['n']['has default'], $meta['id']['is enum']], [2, 'varchar', true, true, false]);
});
check('pgsql.insert_select_update_delete', function () {
    $c = pg();
    pg_insert($c, 'php_t', ['id' => 1, 'name' => "it's", 'n' => '2.25']) ?: throw new Exception(pg_last_error($c));
    pg_insert($c, 'php_t', ['id' => 2, 'name' => 'b']) ?: throw new Exception(pg_last_error($c));
    equal(pg_select($c, 'php_t', ['id' => 1]), [['id' => '1', 'name' => "it's", 'n' => '2.25']]);
    equal(pg_update($c, 'php_t', ['name' => 'x'], ['id' => 2]), true);
    equal(pg_delete($c, 'php_t', ['id' => 2]), true);
});
check('pgsql.prepared', function () {
    $c = pg();
    pg_prepare($c, 'p', 'SELECT $1::int + 1 AS s');
    equal(array_map(fn ($i) => pg_fetch_result(pg_execute($c, 'p', [$i]), 0, 's'), [1, 2, 3]), ['2', '3', '4']);
    equal(pg_fetch_assoc(pg_query_params($c, 'SELECT $1::text AS t, $2::int AS n', ['ä', null])), ['t' => 'ä', 'n' => null]);
});
check('pgsql.result_info', function () {
    $result = pg_query(pg(), 'SELECT id, name, n FROM php_t');
    equal([pg_field_name($result, 1), pg_field_type($result, 1), pg_field_type($result, 2), pg_num_fields($result), pg_field_table($result, 1)], ['name', 'varchar', 'numeric', 3, 'php_t']);
});
check('pgsql.error_fields', function () {
    $c = pg();
    pg_send_query($c, 'INSERT INTO php_t (id) VALUES (9)');
    $result = pg_get_result($c);
    equal(array_map(fn ($f) => pg_result_error_field($result, $f), [PGSQL_DIAG_SQLSTATE, PGSQL_DIAG_COLUMN_NAME, PGSQL_DIAG_TABLE_NAME]), ['23502', 'name', 'php_t']);
});
check('pgsql.async_and_cancel', function () {
    $c = pg();
    pg_send_query($c, 'SELECT pg_sleep(20)');
    usleep(300_000);
    equal(pg_cancel_query($c), true);
    equal(pg_fetch_result(pg_query($c, 'SELECT 1'), 0, 0), '1');
});
check('pgsql.copy', function () {
    $c = pg();
    pg_query($c, 'DROP TABLE IF EXISTS php_c');
    pg_query($c, 'CREATE TABLE php_c (a integer, b text)');
    equal(pg_copy_from($c, 'php_c', ["1\tx\n", "2\ty\n"]), true);
    $rows = pg_copy_to($c, 'php_c');
    sort($rows);
    equal($rows, ["1\tx\n", "2\ty\n"]);
});
echo "# done\n";
