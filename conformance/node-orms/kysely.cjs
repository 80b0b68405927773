'use strict';
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { assert, check, fails, server } = require('tap.cjs');
const { Pool } = require('pg');
const Cursor = require('pg-cursor');
const { Kysely, PostgresDialect, sql } = require('kysely');

module.exports = async () => {
  const db = new Kysely({ dialect: new PostgresDialect({ pool: new Pool(server()), cursor: Cursor }) });
  await check('kysely.schema', async () => {
    await db.schema.dropTable('ky_users').ifExists().execute();
    await db.schema.createTable('ky_users').addColumn('id', 'integer', (c) => c.primaryKey()).addColumn('name', 'varchar(50)', (c) => c.notNull())
      .addColumn('balance', 'numeric(12, 2)', (c) => c.defaultTo(0)).addColumn('extra', 'jsonb').execute();
    await db.schema.alterTable('ky_users').addColumn('age', 'integer').execute();
  });
  await check('kysely.insert_select', async () => {
    await db.insertInto('ky_users').values([{ id: 1, name: 'ann', extra: JSON.stringify({ a: 1 }) }, { id: 2, name: 'bob', balance: '2.5' }]).execute();
    assert.deepEqual(await db.selectFrom('ky_users').selectAll().where('id', '=', 1).execute(), [{ id: 1, name: 'ann', balance: '0.00', extra: { a: 1 }, age: null }]);
    const rows = await db.selectFrom('ky_users as u').leftJoin('ky_users as v', (join) => join.onRef('v.id', '=', 'u.id').on('v.balance', '>', 1)).select(['u.name', sql`coalesce(v.balance, -1)`.as('b')]).orderBy('u.id').execute();
    assert.deepEqual(rows.map((row) => [row.name, Number(row.b)]), [['ann', -1], ['bob', 2.5]]);
  });
  await check('kysely.returning', async () => {
    assert.deepEqual(await db.insertInto('ky_users').values({ id: 3, name: 'r' }).returning(['id', 'name']).executeTakeFirst(), { id: 3, name: 'r' });
  });
  await check('kysely.update_delete', async () => {
    assert.equal((await db.updateTable('ky_users').set({ name: 'x' }).where('id', '<', 3).executeTakeFirst()).numUpdatedRows, 2n);
    assert.equal((await db.deleteFrom('ky_users').where('id', '=', 2).executeTakeFirst()).numDeletedRows, 1n);
  });
  await check('kysely.on_conflict', async () => {
    await db.insertInto('ky_users').values({ id: 1, name: 'c' }).onConflict((oc) => oc.column('id').doUpdateSet((eb) => ({ name: eb.ref('excluded.name') }))).execute();
    assert.equal((await db.selectFrom('ky_users').select('name').where('id', '=', 1).executeTakeFirst()).name, 'c');
  });
  await check('kysely.transaction', async () => {
    await assert.rejects(db.transaction().execute(async (trx) => {
      await trx.deleteFrom('ky_users').execute();
      throw new Error('back');
    }), /back/);
    const trx = await db.startTransaction().setIsolationLevel('serializable').execute();
    await trx.deleteFrom('ky_users').where('id', '=', 3).execute();
    await trx.commit().execute();
    assert.equal((await db.selectFrom('ky_users').select('id').execute()).length, 1);
  });
  await check('kysely.stream', async () => {
    let sum = 0;
    for await (const row of db.selectFrom(sql`generate_series(1, 1000)`.as('g')).select(sql`g`.as('i')).stream(100)) sum += row.i;
    assert.equal(sum, 500500);
  });
  await check('kysely.errors', () => fails('42703', db.selectFrom('ky_users').select('nothing').execute()));
  await check('kysely.introspection', async () => {
    const tables = await db.introspection.getTables();
    const users = tables.find((table) => table.name === 'ky_users');
    assert.deepEqual(users.columns.map((c) => [c.name, c.dataType, c.isNullable, c.hasDefaultValue]), [
      ['id', 'int4', false, false], ['name', 'varchar', false, false], ['balance', 'numeric', true, true], ['extra', 'jsonb', true, false], ['age', 'int4', true, false]]);
    assert.ok((await db.introspection.getSchemas()).some((schema) => schema.name === 'public'));
  });
  await check('kysely.codegen', async () => {
    const { host, port, user, password, database } = server();
    const out = path.join(process.env.CONFORMANCE_SCRATCH, 'db.d.ts');
    const url = `postgresql://${user}:${password}@${host}:${port}/${database}?sslmode=verify-full&sslrootcert=${encodeURIComponent(process.env.PGSSLROOTCERT)}`;
    const bin = path.join(process.env.CONFORMANCE_MODULES, 'node_modules', 'kysely-codegen', 'dist', 'cli', 'bin.js');
    await promisify(execFile)(process.execPath, [bin, '--dialect', 'postgres', '--url', url, '--out-file', out, '--include-pattern', 'public.ky_*'], { timeout: 50_000 })
      .catch((error) => { throw new Error(`kysely-codegen: ${(error.stderr || error.stdout || error.message).slice(-300)}`); });
    const code = fs.readFileSync(out, 'utf8');
    for (const part of ['interface KyUsers', 'id: number', 'name: string', 'balance: Generated<Numeric | null>', 'extra: Json | null']) assert.ok(code.includes(part), `no ${part} in ${code.slice(-500)}`);
  });
  await db.destroy();
};
