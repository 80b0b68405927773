'use strict';
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { assert, check, fails, server } = require('tap.cjs');
const { Pool } = require('pg');
const { drizzle } = require('drizzle-orm/node-postgres');
const { and, asc, count, eq, gt, inArray, sql, sum } = require('drizzle-orm');
const { boolean, integer, jsonb, numeric, pgTable, text, timestamp, varchar } = require('drizzle-orm/pg-core');

const users = pgTable('dz_users', {
  id: integer('id').primaryKey(),
  name: varchar('name', { length: 50 }).notNull(),
  balance: numeric('balance', { precision: 12, scale: 2 }),
  extra: jsonb('extra'),
  active: boolean('active').default(true),
  seen: timestamp('seen', { withTimezone: true }),
});
const orders = pgTable('dz_orders', { id: integer('id'), userId: integer('user_id'), what: text('what') });

module.exports = async () => {
  const pool = new Pool(server());
  const db = drizzle(pool);
  await check('drizzle.insert_select', async () => {
    await db.execute(sql`DROP TABLE IF EXISTS dz_users`);
    await db.execute(sql`DROP TABLE IF EXISTS dz_orders`);
    await db.execute(sql`CREATE TABLE dz_users (id integer PRIMARY KEY, name varchar(50) NOT NULL, balance numeric(12,2), extra jsonb, active boolean DEFAULT true, seen timestamptz)`);
    await db.execute(sql`CREATE TABLE dz_orders (id integer, user_id integer, what text)`);
    await db.insert(users).values([{ id: 1, name: 'ann', balance: '1.50', extra: { a: [1] }, seen: new Date('2024-02-29T01:02:03.004Z') }, { id: 2, name: 'bob' }]);
    await db.insert(orders).values([{ id: 1, userId: 1, what: 'x' }, { id: 2, userId: 1, what: 'y' }]);
    assert.deepEqual(await db.select().from(users).where(eq(users.id, 1)), [{ id: 1, name: 'ann', balance: '1.50', extra: { a: [1] }, active: true, seen: new Date('2024-02-29T01:02:03.004Z') }]);
  });
  await check('drizzle.join_group', async () => {
    const rows = await db.select({ name: users.name, n: count(orders.id), s: sum(orders.id) }).from(users).leftJoin(orders, eq(orders.userId, users.id)).groupBy(users.name).orderBy(asc(users.name));
    assert.deepEqual(rows, [{ name: 'ann', n: 2, s: '3' }, { name: 'bob', n: 0, s: null }]);
  });
  await check('drizzle.prepared', async () => {
    const prepared = db.select({ name: users.name }).from(users).where(and(eq(users.id, sql.placeholder('id')), gt(users.id, 0))).prepare('dz_by_id');
    for (const [id, name] of [[1, 'ann'], [2, 'bob'], [1, 'ann']]) assert.deepEqual(await prepared.execute({ id }), [{ name }]);
  });
  await check('drizzle.update_delete', async () => {
    assert.equal((await db.update(users).set({ name: 'x' }).where(inArray(users.id, [1, 2]))).rowCount, 2);
    assert.equal((await db.delete(orders).where(eq(orders.id, 2))).rowCount, 1);
  });
  await check('drizzle.returning', async () => {
    assert.deepEqual(await db.insert(users).values({ id: 3, name: 'r' }).returning({ id: users.id }), [{ id: 3 }]);
    assert.deepEqual(await db.update(users).set({ name: 'rr' }).where(eq(users.id, 3)).returning({ name: users.name }), [{ name: 'rr' }]);
    assert.deepEqual(await db.delete(users).where(eq(users.id, 3)).returning({ id: users.id }), [{ id: 3 }]);
  });
  await check('drizzle.on_conflict', async () => {
    await db.insert(users).values({ id: 1, name: 'again' }).onConflictDoUpdate({ target: users.id, set: { name: 'again' } });
    await db.insert(users).values({ id: 1, name: 'never' }).onConflictDoNothing();
    assert.deepEqual(await db.select({ name: users.name }).from(users).where(eq(users.id, 1)), [{ name: 'again' }]);
  });
  await check('drizzle.transaction', async () => {
    await assert.rejects(db.transaction(async (tx) => {
      await tx.delete(users);
      tx.rollback();
    }));
    await db.transaction(async (tx) => {
      await tx.transaction(async (inner) => {
        await inner.delete(users);
        inner.rollback();
      }).catch(() => {});
    }, { isolationLevel: 'repeatable read' });
    assert.equal((await db.select({ n: count() }).from(users))[0].n, 2);
  });
  await check('drizzle.errors', () => fails('42P01', db.execute(sql`SELECT * FROM nothing_there`)));
  await check('drizzle.relational_query', async () => {
    const { relations } = require('drizzle-orm');
    const schema = { users, orders, userRelations: relations(users, ({ many }) => ({ orders: many(orders) })), orderRelations: relations(orders, ({ one }) => ({ user: one(users, { fields: [orders.userId], references: [users.id] }) })) };
    const found = await drizzle(pool, { schema }).query.users.findMany({ columns: { id: true }, with: { orders: { columns: { what: true } } }, orderBy: asc(users.id) });
    assert.deepEqual(found, [{ id: 1, orders: [{ what: 'x' }] }, { id: 2, orders: [] }]);
  });
  await check('drizzle.kit_pull', async () => {
    const folder = path.join(process.env.CONFORMANCE_SCRATCH, 'drizzle');
    fs.mkdirSync(folder, { recursive: true });
    const { ssl, ...credentials } = server();
    const config = { dialect: 'postgresql', out: './out', tablesFilter: ['dz_*'], dbCredentials: { ...credentials, ssl: { ca: ssl.ca, rejectUnauthorized: true } } };
    fs.writeFileSync(path.join(folder, 'drizzle.config.json'), JSON.stringify(config));
    const kit = path.join(process.env.CONFORMANCE_MODULES, 'node_modules', 'drizzle-kit', 'bin.cjs');
    // The bundler inside finds its packages from the working folder.
    fs.rmSync(path.join(folder, 'node_modules'), { force: true });
    fs.symlinkSync(path.join(process.env.CONFORMANCE_MODULES, 'node_modules'), path.join(folder, 'node_modules'));
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [kit, 'pull', '--config', 'drizzle.config.json'], { cwd: folder, timeout: 50_000 })
      .catch((error) => { throw new Error(`drizzle-kit: ${(error.stderr || error.stdout || error.message).slice(-300)}`); });
    const file = path.join(folder, 'out', 'schema.ts');
    assert.ok(fs.existsSync(file), `no schema.ts: ${stdout.slice(-300)} ${stderr.slice(-300)}`);
    const schema = fs.readFileSync(file, 'utf8');
    for (const part of ['pgTable("dz_users"', 'id: integer().primaryKey().notNull()', 'name: varchar({ length: 50 }).notNull()', 'balance: numeric({ precision: 12, scale:  2 })', 'active: boolean().default(true)', 'withTimezone: true', 'pgTable("dz_orders"', 'userId: integer("user_id")']) {
      assert.ok(schema.includes(part), `no ${part} in ${schema.slice(0, 900)}`);
    }
  });
  await pool.end();
};
