'use strict';
const { assert, check, fails, server } = require('tap.cjs');

module.exports = async () => {
  const knex = require('knex')({ client: 'pg', connection: server(), pool: { min: 0, max: 3 }, searchPath: ['knex_s', 'public'] });
  await check('knex.schema', async () => {
    await knex.raw('DROP SCHEMA IF EXISTS knex_s CASCADE');
    await knex.schema.createSchema('knex_s');
    await knex.schema.createTable('users', (t) => {
      t.integer('id').notNullable().primary();
      t.string('name', 50).notNullable();
      t.decimal('balance', 12, 2).defaultTo(0);
      t.boolean('active').defaultTo(true);
      t.json('extra');
      t.timestamp('created', { useTz: true }).defaultTo(knex.fn.now());
    });
    assert.equal(await knex.schema.hasTable('users'), true);
    assert.equal(await knex.schema.hasTable('nothing'), false);
    assert.equal(await knex.schema.hasColumn('users', 'balance'), true);
  });
  await check('knex.column_info', async () => {
    const info = await knex('users').columnInfo();
    assert.deepEqual(info.name, { type: 'character varying', maxLength: 50, nullable: false, defaultValue: null });
    assert.deepEqual([info.balance.type, info.balance.nullable, info.balance.defaultValue], ['numeric', true, "'0'::numeric"]);
  });
  await check('knex.insert', async () => {
    await knex('users').insert({ id: 1, name: 'ann', extra: JSON.stringify({ a: 1 }) });
    await knex.batchInsert('users', Array.from({ length: 250 }, (_, i) => ({ id: i + 10, name: `n${i}`, balance: i })), 100);
    assert.equal(Number((await knex('users').count('* as n'))[0].n), 251);
    const [ann] = await knex('users').where({ id: 1 });
    assert.deepEqual([ann.name, ann.balance, ann.active, ann.extra], ['ann', '0.00', true, { a: 1 }]);
    assert.ok(ann.created instanceof Date && Math.abs(Date.now() - ann.created) < 600_000);
  });
  await check('knex.returning', async () => {
    assert.deepEqual(await knex('users').insert({ id: 2, name: 'bob' }).returning(['id', 'name']), [{ id: 2, name: 'bob' }]);
  });
  await check('knex.upsert', async () => {
    await knex('users').insert({ id: 1, name: 'anna' }).onConflict('id').merge(['name']);
    assert.equal((await knex('users').where({ id: 1 }).first()).name, 'anna');
  });
  await check('knex.query', async () => {
    const rows = await knex('users as u').join('users as v', 'v.id', knex.raw('u.id + 1')).where('u.balance', '>', 100).whereNotNull('u.name')
      .groupBy('u.active').select('u.active').sum({ s: 'v.balance' }).orderBy('u.active').limit(3);
    assert.deepEqual(rows, [{ active: true, s: String(Array.from({ length: 148 }, (_, i) => i + 102).reduce((a, b) => a + b, 0)) + '.00' }]);
    assert.equal((await knex('users').whereIn('id', [10, 11]).orWhere('name', 'like', 'n24_').pluck('id')).length, 12);
    assert.equal((await knex.with('w', knex('users').select('id').whereBetween('id', [10, 19])).from('w').count('* as n').first()).n, '10');
  });
  await check('knex.update_delete', async () => {
    assert.equal(await knex('users').where('id', '>', 250).update({ active: false }), 9);
    assert.equal(await knex('users').where({ active: false }).del(), 9);
    assert.equal(await knex('users').where({ id: 10 }).increment('balance', 5), 1);
  });
  await check('knex.transaction', async () => {
    await assert.rejects(knex.transaction(async (trx) => {
      await trx('users').del();
      throw new Error('back');
    }), /back/);
    await knex.transaction(async (trx) => {
      await trx('users').where({ id: 11 }).del();
      await trx.transaction(async (inner) => {
        await inner('users').del();
        throw new Error('inner');
      }).catch(() => {});
    });
    assert.equal((await knex('users').where({ id: 11 })).length, 0);
    assert.ok(Number((await knex('users').count('* as n'))[0].n) > 200);
  });
  await check('knex.errors', async () => {
    await fails('42P01', knex('nothing'));
    await fails('42703', knex('users').select('nothing'));
    await fails('23502', knex('users').insert({ id: 5, name: null }));
  });
  await check('knex.stream', async () => {
    let sum = 0;
    for await (const row of knex.select(knex.raw('i')).fromRaw('generate_series(1, 5000) AS g(i)').stream()) sum += row.i;
    assert.equal(sum, 12502500);
  });
  await check('knex.timeout_cancels', async () => {
    await assert.rejects(knex.raw('SELECT pg_sleep(20)').timeout(500, { cancel: true }), /timeout/i);
    assert.equal((await knex.raw('SELECT 1 AS a')).rows[0].a, 1);
  });
  await check('knex.alter', async () => {
    await knex.schema.alterTable('users', (t) => {
      t.integer('age');
      t.renameColumn('extra', 'more');
    });
    assert.deepEqual(Object.keys(await knex('users').columnInfo()).sort(), ['active', 'age', 'balance', 'created', 'id', 'more', 'name']);
    await knex.schema.alterTable('users', (t) => t.dropColumn('age'));
    await knex.schema.renameTable('users', 'people');
    assert.equal(await knex.schema.hasTable('people'), true);
  });
  await check('knex.increments', async () => {
    await knex.schema.createTable('counted', (t) => {
      t.increments('id');
      t.text('v');
    });
    assert.deepEqual(await knex('counted').insert([{ v: 'a' }, { v: 'b' }]).returning('id'), [{ id: 1 }, { id: 2 }]);
  });
  await check('knex.foreign_key_and_index', async () => {
    await knex.schema.createTable('parents', (t) => { t.integer('id').primary(); });
    await knex.schema.createTable('children', (t) => {
      t.integer('parent_id').references('id').inTable('parents').onDelete('CASCADE');
      t.index(['parent_id'], 'children_parent');
    });
  });
  await check('knex.migrations', async () => {
    const source = {
      getMigrations: async () => ['001_first'],
      getMigrationName: (name) => name,
      getMigration: async () => ({
        up: (db) => db.schema.createTable('migrated', (t) => { t.text('a'); }),
        down: (db) => db.schema.dropTable('migrated'),
      }),
    };
    await knex.migrate.latest({ migrationSource: source });
    assert.equal(await knex.schema.hasTable('migrated'), true);
    assert.equal((await knex.migrate.list({ migrationSource: source }))[0].length, 1);
    await knex.migrate.rollback({ migrationSource: source });
    assert.equal(await knex.schema.hasTable('migrated'), false);
  });
  await knex.destroy();
};
