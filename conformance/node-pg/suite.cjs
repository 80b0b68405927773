'use strict';
const { once } = require('node:events');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const pg = require('pg');
const Cursor = require('pg-cursor');
const QueryStream = require('pg-query-stream');
const copy = require('pg-copy-streams');
const { assert, check, done, fails, server } = require('tap.cjs');

const options = server();
const native = pg.native;
// libpq reads its TLS settings from the environment or the connection string.
const uri = `postgresql://${options.user}:${encodeURIComponent(options.password)}@${options.host}:${options.port}/${options.database}`
  + `?sslmode=verify-full&sslrootcert=${encodeURIComponent(process.env.PGSSLROOTCERT)}`;

async function withClient(make, body) {
  const client = make();
  client.on('error', () => {});
  await client.connect();
  try {
    await body(client);
  } finally {
    await client.end();
  }
}

const SAMPLES = [
  ['bool', 'boolean', true, true],
  ['int2', 'smallint', -32768, -32768],
  ['int4', 'integer', 2147483647, 2147483647],
  ['int8', 'bigint', '9223372036854775807', '9223372036854775807'],
  ['float4', 'real', 1.5, 1.5],
  ['float8', 'double precision', 0.1, 0.1],
  ['numeric', 'numeric(20,4)', '-1234567890123.4500', '-1234567890123.4500'],
  ['text', 'text', 'äöü \' " \\ \n 😀', 'äöü \' " \\ \n 😀'],
  ['varchar', 'varchar(10)', 'abc', 'abc'],
  ['bpchar', 'char(5)', 'ab', 'ab   '],
  ['bytea', 'bytea', Buffer.from([0, 1, 255, 92, 39]), Buffer.from([0, 1, 255, 92, 39])],
  ['date', 'date', '2024-02-29', new Date(2024, 1, 29)],
  ['time', 'time', '13:14:15.123456', '13:14:15.123456'],
  ['timestamp', 'timestamp', new Date(2024, 1, 29, 13, 14, 15, 123), new Date(2024, 1, 29, 13, 14, 15, 123)],
  ['timestamptz', 'timestamptz', new Date('2024-02-29T13:14:15.123Z'), new Date('2024-02-29T13:14:15.123Z')],
  ['uuid', 'uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['jsonb', 'jsonb', { a: [1, 'x', null] }, { a: [1, 'x', null] }],
  ['int_array', 'integer[]', [1, null, 3], [1, null, 3]],
  ['text_array', 'text[]', ['a,b', '"q"', '', null], ['a,b', '"q"', '', null]],
  ['null', 'text', null, null],
];

async function types(prefix, make) {
  for (const [name, type, value, expected] of SAMPLES) {
    // pg-native turns a Buffer into an empty string.
    if (prefix === 'native' && name === 'bytea') continue;
    await check(`${prefix}.types.parameter.${name}`, () => withClient(make, async (client) => {
      const { rows, fields } = await client.query(`SELECT $1::${type} AS v`, [value]);
      assert.deepEqual(rows[0].v, expected);
      assert.equal(fields[0].name, 'v');
    }));
    await check(`${prefix}.types.column.${name}`, () => withClient(make, async (client) => {
      const table = `${prefix}_type_${name}`;
      await client.query(`DROP TABLE IF EXISTS ${table}; CREATE TABLE ${table} (id integer, v ${type})`);
      await client.query(`INSERT INTO ${table} VALUES ($1, $2)`, [1, value]);
      assert.deepEqual((await client.query(`SELECT v FROM ${table} WHERE id = $1`, [1])).rows[0].v, expected);
      await client.query(`DROP TABLE ${table}`);
    }));
  }
}

// What the JavaScript client and libpq's both do.
async function common(prefix, make) {
  await check(`${prefix}.connect`, () => withClient(make, async (client) => {
    assert.equal((await client.query('SELECT current_user AS u')).rows[0].u, options.user);
  }));
  await check(`${prefix}.many_statements_in_one`, () => withClient(make, async (client) => {
    const results = await client.query('SELECT 1 AS a; SELECT 2 AS b, 3 AS c');
    assert.deepEqual(results.map((result) => result.rows[0]), [{ a: 1 }, { b: 2, c: 3 }]);
  }));
  await check(`${prefix}.commands`, () => withClient(make, async (client) => {
    await client.query(`DROP TABLE IF EXISTS ${prefix}_cmd`);
    assert.equal((await client.query(`CREATE TABLE ${prefix}_cmd (a integer)`)).command, 'CREATE');
    const inserted = await client.query(`INSERT INTO ${prefix}_cmd VALUES (1), (2), (3)`);
    assert.deepEqual([inserted.command, inserted.rowCount], ['INSERT', 3]);
    assert.equal((await client.query(`UPDATE ${prefix}_cmd SET a = a + 1 WHERE a > $1`, [1])).rowCount, 2);
    assert.equal((await client.query(`DELETE FROM ${prefix}_cmd`)).rowCount, 3);
    await client.query(`DROP TABLE ${prefix}_cmd`);
  }));
  await check(`${prefix}.returning`, () => withClient(make, async (client) => {
    await client.query(`DROP TABLE IF EXISTS ${prefix}_ret; CREATE TABLE ${prefix}_ret (a integer, b text DEFAULT 'd')`);
    assert.deepEqual((await client.query(`INSERT INTO ${prefix}_ret (a) VALUES ($1), (2) RETURNING *`, [1])).rows, [{ a: 1, b: 'd' }, { a: 2, b: 'd' }]);
    await client.query(`DROP TABLE ${prefix}_ret`);
  }));
  await check(`${prefix}.prepared_by_name`, () => withClient(make, async (client) => {
    for (let i = 0; i < 5; i++) {
      const { rows } = await client.query({ name: 'sum', text: 'SELECT $1::int + $2::int AS s', values: [i, 1] });
      assert.equal(rows[0].s, i + 1);
    }
  }));
  await check(`${prefix}.row_mode_array`, () => withClient(make, async (client) => {
    assert.deepEqual((await client.query({ text: 'SELECT 1 AS a, 2 AS a', rowMode: 'array' })).rows, [[1, 2]]);
  }));
  await check(`${prefix}.transaction`, () => withClient(make, async (client) => withClient(make, async (other) => {
    const count = async (one) => Number((await one.query(`SELECT count(*) AS n FROM ${prefix}_tx`)).rows[0].n);
    await client.query(`DROP TABLE IF EXISTS ${prefix}_tx; CREATE TABLE ${prefix}_tx (a integer)`);
    await client.query('BEGIN');
    await client.query(`INSERT INTO ${prefix}_tx VALUES (1)`);
    assert.deepEqual([await count(client), await count(other)], [1, 0]);
    await client.query('SAVEPOINT p');
    await client.query(`INSERT INTO ${prefix}_tx VALUES (2)`);
    await client.query('ROLLBACK TO SAVEPOINT p');
    await client.query('COMMIT');
    assert.deepEqual([await count(client), await count(other)], [1, 1]);
    await client.query('BEGIN');
    await client.query(`DELETE FROM ${prefix}_tx`);
    await client.query('ROLLBACK');
    assert.equal(await count(other), 1);
    await client.query(`DROP TABLE ${prefix}_tx`);
  })));
  await check(`${prefix}.errors`, () => withClient(make, async (client) => {
    await fails('42601', client.query('SELEC 1'));
    await fails('42703', client.query('SELECT nothing'));
    await fails('22012', client.query('SELECT 1 / $1::int', [0]));
    await fails('22P02', client.query('SELECT $1::int', ['x']));
    await fails('42P01', client.query('SELECT * FROM nothing_there'));
    assert.equal((await client.query('SELECT 1 AS a')).rows[0].a, 1);
  }));
  await check(`${prefix}.error_in_transaction`, () => withClient(make, async (client) => {
    await client.query('BEGIN');
    await fails('22012', client.query('SELECT 1 / 0'));
    await fails('25P02', client.query('SELECT 1'));
    assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
  }));
  await check(`${prefix}.large_result`, () => withClient(make, async (client) => {
    const { rows } = await client.query("SELECT i, repeat('x', 50) AS t FROM generate_series(1, 100000) AS g(i)");
    assert.equal(rows.length, 100000);
    assert.equal(rows.reduce((sum, row) => sum + row.i, 0), 5000050000);
  }));
  await check(`${prefix}.large_parameter`, () => withClient(make, async (client) => {
    const text = 'ä€'.repeat(500_000);
    assert.equal((await client.query('SELECT length($1::text) AS n', [text])).rows[0].n, 1_000_000);
  }));
  await check(`${prefix}.many_parameters`, () => withClient(make, async (client) => {
    const values = Array.from({ length: 5000 }, (_, i) => i);
    const list = values.map((_, i) => `($${i + 1}::int)`).join(', ');
    assert.equal(Number((await client.query(`SELECT sum(a) AS s FROM (VALUES ${list}) AS v(a)`, values)).rows[0].s), 12497500);
  }));
  await types(prefix, make);
}

async function javascriptOnly(make) {
  await check('pg.error_fields', () => withClient(make, async (client) => {
    await client.query('DROP TABLE IF EXISTS err; CREATE TABLE err (a integer, CONSTRAINT small CHECK (a < 10))');
    const violated = await fails('23514', client.query('INSERT INTO err VALUES (10)'));
    assert.deepEqual([violated.severity, violated.schema, violated.table, violated.constraint], ['ERROR', 'public', 'err', 'small']);
    const unknown = await fails('42P01', client.query('SELECT * FROM nothing_there'));
    assert.equal(unknown.position, '15');
    await client.query('DROP TABLE err');
  }));
  await check('pg.notice', () => withClient(make, async (client) => {
    const notice = once(client, 'notice');
    await client.query('DROP TABLE IF EXISTS never_there');
    assert.match((await notice)[0].message, /does not exist, skipping/);
  }));
  await check('pg.field_source', () => withClient(make, async (client) => {
    await client.query('DROP TABLE IF EXISTS src; CREATE TABLE src (a integer, b varchar(7))');
    const { fields } = await client.query('SELECT b, a + 1 AS c FROM src');
    const { oid } = (await client.query("SELECT 'src'::regclass::oid AS oid")).rows[0];
    assert.deepEqual(fields.map((f) => [f.name, f.tableID, f.columnID, f.dataTypeID, f.dataTypeModifier]), [['b', oid, 2, 1043, 11], ['c', 0, 0, 23, -1]]);
    await client.query('DROP TABLE src');
  }));
  await check('pg.binary', () => withClient(() => new pg.Client({ ...options, binary: true }), async (client) => {
    const { rows } = await client.query('SELECT $1::int AS i, $2::text AS t, $3::bool AS b', [7, 'x', true]);
    assert.deepEqual({ ...rows[0] }, { i: 7, t: 'x', b: true });
  }));
  await check('pg.cursor', () => withClient(make, async (client) => {
    const cursor = client.query(new Cursor('SELECT i FROM generate_series(1, $1::int) AS g(i)', [250]));
    const seen = [];
    for (;;) {
      const rows = await cursor.read(100);
      if (rows.length === 0) break;
      seen.push(rows.length);
    }
    assert.deepEqual(seen, [100, 100, 50]);
    await cursor.close();
    const half = client.query(new Cursor('SELECT generate_series(1, 1000) AS i'));
    assert.equal((await half.read(10)).length, 10);
    await half.close();
    assert.equal((await client.query('SELECT 1 AS a')).rows[0].a, 1);
  }));
  await check('pg.cursor_error', () => withClient(make, async (client) => {
    const cursor = client.query(new Cursor('SELECT 1 / (3 - i) AS q FROM generate_series(1, 5) AS g(i)'));
    await fails('22012', async () => {
      for (let i = 0; i < 5; i++) await cursor.read(1);
    });
    await cursor.close().catch(() => {});
    assert.equal((await client.query('SELECT 1 AS a')).rows[0].a, 1);
  }));
  await check('pg.query_stream', () => withClient(make, async (client) => {
    const stream = client.query(new QueryStream("SELECT i, 'row ' || i AS t FROM generate_series(1, 50000) AS g(i)", [], { batchSize: 777 }));
    let expected = 0;
    for await (const row of stream) assert.equal(row.t, `row ${++expected}`);
    assert.equal(expected, 50000);
    const aborted = client.query(new QueryStream('SELECT generate_series(1, 1000000) AS i'));
    for await (const row of aborted) if (row.i === 500) break;
    assert.equal((await client.query('SELECT 1 AS a')).rows[0].a, 1);
  }));
  await check('pg.copy', () => withClient(make, async (client) => {
    await client.query('DROP TABLE IF EXISTS copied; CREATE TABLE copied (a integer, b text)');
    const lines = Array.from({ length: 20000 }, (_, i) => `${i}\t${i % 7 ? `zeile\\t${i}` : '\\N'}\n`);
    await pipeline(Readable.from(lines), client.query(copy.from('COPY copied FROM STDIN')));
    const { rows } = await client.query('SELECT count(*)::int AS n, count(b)::int AS b, sum(a)::int AS s FROM copied');
    assert.deepEqual(rows[0], { n: 20000, b: 17142, s: 199990000 });
    let out = '';
    for await (const chunk of client.query(copy.to('COPY (SELECT * FROM copied WHERE a < 3 ORDER BY a) TO STDOUT (FORMAT csv)'))) out += chunk;
    assert.equal(out, '0,\n1,zeile\t1\n2,zeile\t2\n');
    const bad = Readable.from(['x\ty\n']);
    await fails('22P02', pipeline(bad, client.query(copy.from('COPY copied FROM STDIN'))));
    assert.equal((await client.query('SELECT count(*)::int AS n FROM copied')).rows[0].n, 20000);
    await client.query('DROP TABLE copied');
  }));
  await check('pg.cancel', () => withClient(make, async (client) => withClient(make, async (other) => {
    const running = fails('57014', client.query('SELECT count(*) FROM generate_series(1, 2000000) a, generate_series(1, 2000000) b'));
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal((await other.query('SELECT pg_cancel_backend($1) AS c', [client.processID])).rows[0].c, true);
    await running;
    assert.equal((await client.query('SELECT 1 AS a')).rows[0].a, 1);
  })));
  await check('pg.cancel_request', () => withClient(make, async (client) => {
    const query = new pg.Query('SELECT pg_sleep(20)');
    const failed = once(query, 'error');
    client.query(query);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const canceller = make();
    canceller.cancel(client, query);
    assert.equal((await failed)[0].code, '57014');
  }));
  await check('pg.terminate', () => withClient(make, async (other) => {
    const client = make();
    client.on('error', () => {});
    await client.connect();
    const ended = new Promise((resolve) => client.once('end', resolve));
    await other.query('SELECT pg_terminate_backend($1)', [client.processID]);
    await ended;
  }));
  await check('pg.statement_timeout', () => withClient(() => new pg.Client({ ...options, statement_timeout: 300 }), async (client) => {
    await fails('57014', client.query('SELECT pg_sleep(10)'));
  }));
  await check('pg.startup_options', () => withClient(() => new pg.Client({ ...options, application_name: 'conf', options: '-c search_path=pg_catalog' }), async (client) => {
    assert.equal((await client.query('SHOW application_name')).rows[0].application_name, 'conf');
    assert.equal((await client.query('SHOW search_path')).rows[0].search_path, 'pg_catalog');
  }));
  await check('pg.notify', () => withClient(make, async (client) => withClient(make, async (other) => {
    await client.query('LISTEN news');
    const notified = once(client, 'notification');
    await other.query("SELECT pg_notify('news', 'it is')");
    assert.equal((await notified)[0].payload, 'it is');
  })));
  await check('pg.queued_queries', () => withClient(make, async (client) => {
    const results = await Promise.all(Array.from({ length: 50 }, (_, i) => client.query('SELECT $1::int AS i', [i])));
    assert.deepEqual(results.map((result) => result.rows[0].i), Array.from({ length: 50 }, (_, i) => i));
  }));
  await check('pg.pool', async () => {
    const pool = new pg.Pool({ ...options, max: 5 });
    const results = await Promise.all(Array.from({ length: 100 }, (_, i) => pool.query('SELECT $1::int AS i', [i])));
    assert.equal(results.reduce((sum, result) => sum + result.rows[0].i, 0), 4950);
    await pool.end();
  });
}

async function pgPromise() {
  const pgp = require('pg-promise')();
  const db = pgp({ ...options });
  await check('pg_promise.helpers', async () => {
    await db.none('DROP TABLE IF EXISTS promised; CREATE TABLE promised (a integer, b text)');
    const set = new pgp.helpers.ColumnSet(['a', 'b'], { table: 'promised' });
    await db.none(pgp.helpers.insert(Array.from({ length: 200 }, (_, i) => ({ a: i, b: `it's ${i}` })), set));
    assert.equal(await db.one('SELECT b FROM promised WHERE a = ${a}', { a: 7 }, (row) => row.b), "it's 7");
    assert.equal((await db.manyOrNone('SELECT * FROM promised WHERE a IN ($1:csv)', [[1, 2, 3]])).length, 3);
    await fails('42601', db.none('SELEC'));
  });
  await check('pg_promise.transaction', async () => {
    await assert.rejects(db.tx(async (t) => {
      await t.none('DELETE FROM promised');
      throw new Error('back');
    }), /back/);
    assert.equal(await db.one('SELECT count(*)::int AS n FROM promised', [], (row) => row.n), 200);
    await db.tx({ mode: new pgp.txMode.TransactionMode({ tiLevel: pgp.txMode.isolationLevel.repeatableRead }) }, async (t) => {
      await t.none('DELETE FROM promised WHERE a < 100');
      await t.tx((inner) => inner.none('DELETE FROM promised WHERE a < 150').then(() => Promise.reject(new Error('inner')))).catch(() => {});
    });
    assert.equal(await db.one('SELECT count(*)::int AS n FROM promised', [], (row) => row.n), 100);
    await db.none('DROP TABLE promised');
  });
  await check('pg_promise.batch', async () => {
    const [a, b] = await db.task((t) => t.batch([t.one('SELECT 1 AS a'), t.any('SELECT generate_series(1, 3) AS b')]));
    assert.deepEqual([a.a, b.length], [1, 3]);
  });
}

async function main() {
  console.log(`# version pg ${require('./package.json').dependencies.pg}`);
  const make = () => new pg.Client(options);
  await check('pg.wrong_password', () => fails('28P01', withClient(() => new pg.Client({ ...options, password: 'wrong' }), async () => {})));
  await check('pg.wrong_certificate', async () => {
    const client = new pg.Client({ ...options, ssl: { rejectUnauthorized: true } });
    client.on('error', () => {});
    await assert.rejects(client.connect(), /certificate|self-signed/);
  });
  await common('pg', make);
  await javascriptOnly(make);
  await check('native.wrong_password', () => assert.rejects(withClient(() => new native.Client({ connectionString: uri.replace(/:[^:@]*@/, ':wrong@') }), async () => {}), /password authentication failed/));
  await common('native', () => new native.Client({ connectionString: uri }));
  await pgPromise();
  done();
}

main();
