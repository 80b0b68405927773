'use strict';
const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const postgres = require('postgres');
const { assert, check, done, fails, server } = require('tap.cjs');

const target = server();

function connect(options = {}) {
  return postgres({ ...target, max: 2, onnotice: () => {}, connection: { application_name: 'conformance' }, ...options });
}

async function withSql(options, body) {
  const sql = connect(options);
  try {
    await body(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

const SAMPLES = [
  ['bool', 'boolean', true],
  ['int2', 'smallint', -32768],
  ['int4', 'integer', 2147483647],
  ['int8', 'bigint', '9223372036854775807'],
  ['float4', 'real', 1.5],
  ['float8', 'double precision', 0.1],
  ['numeric', 'numeric(20,4)', '-1234567890123.4500'],
  ['text', 'text', 'äöü \' " \\ \n 😀'],
  ['varchar', 'varchar(10)', 'abc'],
  ['bytea', 'bytea', Buffer.from([0, 1, 255, 92, 39])],
  ['date', 'date', new Date('2024-02-29T00:00:00.000Z')],
  ['time', 'time', '13:14:15.123456'],
  ['timestamptz', 'timestamptz', new Date('2024-02-29T13:14:15.123Z')],
  ['uuid', 'uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['jsonb', 'jsonb', { a: [1, 'x', null] }],
  ['int_array', 'integer[]', [1, 2, 3]],
  ['text_array', 'text[]', ['a,b', '"q"', '', 'null']],
  ['null', 'text', null],
];

async function run(prefix, options) {
  const one = (name, body) => check(`${prefix}.${name}`, () => withSql(options, body));
  await one('select', async (sql) => {
    assert.equal((await sql`SELECT current_user AS u`)[0].u, target.user);
    assert.equal((await sql`SELECT ${1}::int + ${2}::int AS s`)[0].s, 3);
  });
  for (const [name, type, value] of SAMPLES) {
    await one(`types.parameter.${name}`, async (sql) => {
      for (let i = 0; i < 2; i++) assert.deepEqual((await sql`SELECT ${value}::${sql.unsafe(type)} AS v`)[0].v, value);
    });
    await one(`types.column.${name}`, async (sql) => {
      const table = sql(`js_type_${name}`);
      await sql`DROP TABLE IF EXISTS ${table}`;
      await sql`CREATE TABLE ${table} (id integer, v ${sql.unsafe(type)})`;
      await sql`INSERT INTO ${table} ${sql([{ id: 1, v: value }, { id: 2, v: null }])}`;
      assert.deepEqual((await sql`SELECT v FROM ${table} WHERE id = ${1}`)[0].v, value);
      await sql`DROP TABLE ${table}`;
    });
  }
  await one('helpers', async (sql) => {
    await sql`DROP TABLE IF EXISTS js_users`;
    await sql`CREATE TABLE js_users (id integer, name text, age integer)`;
    const users = Array.from({ length: 500 }, (_, id) => ({ id, name: `n'${id}`, age: id % 90 }));
    const inserted = await sql`INSERT INTO js_users ${sql(users, 'id', 'name', 'age')}`;
    assert.deepEqual([inserted.command, inserted.count], ['INSERT', 500]);
    const updated = await sql`UPDATE js_users SET ${sql({ name: 'x', age: 1 })} WHERE id = ${5}`;
    assert.equal(updated.count, 1);
    assert.equal((await sql`SELECT name FROM js_users WHERE id IN ${sql([1, 2, 5])} ORDER BY id`).map((row) => row.name).join(), "n'1,n'2,x");
    assert.equal((await sql`SELECT count(*)::int AS n FROM js_users WHERE id = ANY (${[1, 2, 3]}::int[])`)[0].n, 3);
    assert.equal((await sql`SELECT ${sql('id', 'age')} FROM js_users WHERE name = ${'x'}`)[0].age, 1);
  });
  await one('update_from_values', async (sql) => {
    const changes = [[1, 'one'], [2, 'two']];
    const result = await sql`UPDATE js_users SET name = c.name FROM (VALUES ${sql(changes)}) AS c (id, name) WHERE js_users.id = (c.id)::int`;
    assert.equal(result.count, 2);
  });
  await one('returning', async (sql) => {
    assert.deepEqual([...(await sql`INSERT INTO js_users ${sql({ id: 1000, name: 'r', age: 3 })} RETURNING id, name`)].map((row) => ({ ...row })), [{ id: 1000, name: 'r' }]);
  });
  await one('transaction', async (sql) => {
    await sql`DROP TABLE IF EXISTS js_tx`;
    await sql`CREATE TABLE js_tx (a integer)`;
    const count = async () => (await sql`SELECT count(*)::int AS n FROM js_tx`)[0].n;
    await sql.begin(async (tx) => {
      await tx`INSERT INTO js_tx VALUES (1)`;
      assert.equal(await count(), 0);
      await tx.savepoint(async (inner) => {
        await inner`INSERT INTO js_tx VALUES (2)`;
        throw new Error('inner');
      }).catch(() => {});
    });
    assert.equal(await count(), 1);
    await assert.rejects(sql.begin(async (tx) => {
      await tx`DELETE FROM js_tx`;
      throw new Error('back');
    }), /back/);
    assert.equal(await count(), 1);
    const both = await sql.begin('isolation level repeatable read read only', (tx) => [tx`SELECT 1 AS a`, tx`SELECT 2 AS a`]);
    assert.deepEqual(both.map((rows) => rows[0].a), [1, 2]);
    await sql`DROP TABLE js_tx`;
  });
  await one('errors', async (sql) => {
    await fails('42601', sql`SELEC 1`);
    await fails('42703', sql`SELECT nothing`);
    await fails('42P01', sql`SELECT * FROM nothing_there`);
    await fails('22012', sql`SELECT 1 / ${0}::int`);
    assert.equal((await sql`SELECT 1 AS a`)[0].a, 1);
  });
  await one('cursor', async (sql) => {
    const sizes = [];
    await sql`SELECT i FROM generate_series(1, ${250}::int) AS g(i)`.cursor(100, (rows) => { sizes.push(rows.length); });
    assert.deepEqual(sizes, [100, 100, 50]);
    let seen = 0;
    for await (const [row] of sql`SELECT generate_series(1, 1000) AS i`.cursor()) if ((seen = row.i) === 10) break;
    assert.equal(seen, 10);
    assert.equal((await sql`SELECT 1 AS a`)[0].a, 1);
  });
  await one('for_each', async (sql) => {
    let sum = 0;
    await sql`SELECT i FROM generate_series(1, 100000) AS g(i)`.forEach((row) => { sum += row.i; });
    assert.equal(sum, 5000050000);
  });
  await one('copy', async (sql) => {
    await sql`DROP TABLE IF EXISTS js_copy`;
    await sql`CREATE TABLE js_copy (a integer, b text)`;
    const lines = Array.from({ length: 10000 }, (_, i) => `${i}\tzeile ${i}\n`);
    await pipeline(Readable.from(lines), await sql`COPY js_copy FROM STDIN`.writable());
    assert.deepEqual({ ...(await sql`SELECT count(*)::int AS n, sum(a)::int AS s FROM js_copy`)[0] }, { n: 10000, s: 49995000 });
    let out = '';
    for await (const chunk of await sql`COPY (SELECT * FROM js_copy WHERE a < 2 ORDER BY a) TO STDOUT`.readable()) out += chunk;
    assert.equal(out, '0\tzeile 0\n1\tzeile 1\n');
    await sql`DROP TABLE js_copy`;
  });
  await one('cancel', async (sql) => {
    const query = sql`SELECT pg_sleep(20)`;
    setTimeout(() => query.cancel(), 500);
    await fails('57014', query);
  });
  await one('many_statements_in_one', async (sql) => {
    const results = await sql`SELECT 1 AS a; SELECT 2 AS b`.simple();
    assert.deepEqual(results.map((rows) => ({ ...rows[0] })), [{ a: 1 }, { b: 2 }]);
  });
  await one('parallel', async (sql) => {
    const rows = await Promise.all(Array.from({ length: 100 }, (_, i) => sql`SELECT ${i}::int AS i`));
    assert.equal(rows.reduce((sum, [row]) => sum + row.i, 0), 4950);
  });
}

async function main() {
  console.log(`# version postgres.js ${require('./package.json').dependencies.postgres}`);
  await check('wrong_password', () => withSql({ password: 'wrong' }, (sql) => fails('28P01', sql`SELECT 1`)));
  await run('prepared', {});
  await run('unnamed', { prepare: false });
  await check('no_types', () => withSql({ fetch_types: false }, async (sql) => assert.equal((await sql`SELECT ${'x'}::text AS t`)[0].t, 'x')));
  await check('describe', () => withSql({}, async (sql) => {
    await sql`DROP TABLE IF EXISTS js_desc`;
    await sql`CREATE TABLE js_desc (id integer, name text)`;
    const description = await sql`SELECT id, name FROM js_desc WHERE id = ${1} AND name > ${'a'}`.describe();
    assert.deepEqual([description.types, description.columns.map((c) => [c.name, c.type])], [[23, 25], [['id', 23], ['name', 25]]]);
    const oid = (await sql`SELECT 'js_desc'::regclass::oid AS oid`)[0].oid;
    const { columns } = await sql`SELECT name FROM js_desc`;
    assert.deepEqual([columns[0].table, columns[0].number], [oid, 2]);
    await sql`DROP TABLE js_desc`;
  }));
  await check('notices', async () => {
    const notices = [];
    await withSql({ onnotice: (notice) => notices.push(notice) }, (sql) => sql`DROP TABLE IF EXISTS never_there`);
    assert.deepEqual(notices.map((notice) => [notice.severity, notice.code]), [['NOTICE', '00000']]);
  });
  await check('listen', () => withSql({}, async (sql) => {
    let heard;
    const payload = new Promise((resolve) => { heard = resolve; });
    await sql.listen('js_news', heard);
    await sql.notify('js_news', 'it is');
    assert.equal(await payload, 'it is');
  }));
  await check('file_and_unsafe', () => withSql({}, async (sql) => {
    assert.equal((await sql.unsafe('SELECT $1::int AS a', [7]))[0].a, 7);
    assert.equal((await sql.unsafe('SELECT $1::int AS a', [8], { prepare: true }))[0].a, 8);
  }));
  await check('reserve', () => withSql({}, async (sql) => {
    const reserved = await sql.reserve();
    await reserved`SET search_path = pg_catalog`;
    assert.equal((await reserved`SHOW search_path`)[0].search_path, 'pg_catalog');
    reserved.release();
  }));
  done();
}

main();
