'use strict';
require('reflect-metadata');
const { assert, check, fails, server } = require('tap.cjs');
const { DataSource, EntitySchema, In, LessThan, Like } = require('typeorm');

const Person = new EntitySchema({
  name: 'Person',
  tableName: 'to_people',
  columns: {
    id: { type: 'int', primary: true },
    name: { type: 'varchar', length: 50 },
    balance: { type: 'numeric', precision: 12, scale: 2, nullable: true },
    extra: { type: 'jsonb', nullable: true },
    seen: { type: 'timestamptz', nullable: true },
  },
});

module.exports = async () => {
  const { host, port, user: username, password, database, ssl } = server();
  const source = new DataSource({ type: 'postgres', host, port, username, password, database, ssl, entities: [Person], synchronize: false });
  await check('typeorm.initialize', () => source.initialize());
  if (!source.isInitialized) return;
  const people = source.getRepository(Person);
  await check('typeorm.synchronize', async () => {
    await source.query('DROP TABLE IF EXISTS to_people');
    await source.synchronize();
    // A second time must find nothing to do: what the catalogs say is what the entities say.
    const log = await source.driver.createSchemaBuilder().log();
    assert.deepEqual(log.upQueries.map((query) => query.query), []);
  });
  await check('typeorm.insert', async () => {
    await people.insert({ id: 1, name: 'ann', balance: '1.50', extra: { a: [1] }, seen: new Date('2024-02-29T01:02:03.004Z') });
    await people.insert(Array.from({ length: 100 }, (_, i) => ({ id: i + 10, name: `n${i}`, balance: String(i) })));
    assert.deepEqual(await people.findOneBy({ id: 1 }), { id: 1, name: 'ann', balance: '1.50', extra: { a: [1] }, seen: new Date('2024-02-29T01:02:03.004Z') });
  });
  await check('typeorm.save', async () => {
    const ann = await people.findOneByOrFail({ id: 1 });
    ann.name = 'anna';
    await people.save(ann);
    await people.save([{ id: 2, name: 'bob' }, { id: 1, name: 'annika' }]);
    assert.equal((await people.findOneBy({ id: 1 })).name, 'annika');
  });
  await check('typeorm.find', async () => {
    assert.equal(await people.countBy({ name: Like('n1%') }), 11);
    const [rows, count] = await people.findAndCount({ where: [{ id: In([10, 11]) }, { id: LessThan(10) }], order: { id: 'DESC' }, take: 2 });
    assert.deepEqual([rows.map((row) => row.id), count >= 3], [[11, 10], true]);
    const sum = await people.createQueryBuilder('p').select('SUM(p.balance)', 's').where('p.id BETWEEN :a AND :b', { a: 11, b: 12 }).getRawOne();
    assert.equal(sum.s, '3.00');
  });
  await check('typeorm.update_delete', async () => {
    assert.equal((await people.update({ id: LessThan(3) }, { name: 'x' })).affected, 2);
    assert.equal((await people.delete({ id: In([50, 51]) })).affected, 2);
  });
  await check('typeorm.upsert', async () => {
    await people.upsert([{ id: 60, name: 'up' }, { id: 1000, name: 'new' }], ['id']);
    assert.equal(await people.countBy({ name: In(['up', 'new']) }), 2);
  });
  await check('typeorm.transaction', async () => {
    const before = await people.count();
    await assert.rejects(source.transaction(async (manager) => {
      await manager.delete(Person, { id: LessThan(1000) });
      throw new Error('back');
    }), /back/);
    assert.equal(await people.count(), before);
    await source.transaction('SERIALIZABLE', (manager) => manager.delete(Person, { id: 70 }));
    assert.equal(await people.count(), before - 1);
  });
  await check('typeorm.errors', async () => {
    const error = await fails('42P01', source.query('SELECT * FROM nothing_there'));
    assert.ok(error);
    await fails('23502', source.query('INSERT INTO to_people (id) VALUES (1)'));
  });
  await check('typeorm.introspect', async () => {
    const runner = source.createQueryRunner();
    try {
      const table = await runner.getTable('to_people');
      assert.deepEqual(table.columns.map((c) => [c.name, c.type, c.isNullable, c.isPrimary]), [
        ['id', 'integer', false, true], ['name', 'character varying', false, false], ['balance', 'numeric', true, false],
        ['extra', 'jsonb', true, false], ['seen', 'timestamp with time zone', true, false]]);
      assert.equal(await runner.hasTable('to_people'), true);
      assert.equal(await runner.hasColumn('to_people', 'balance'), true);
    } finally {
      await runner.release();
    }
  });
  await check('typeorm.alter', async () => {
    const { TableColumn } = require('typeorm');
    const runner = source.createQueryRunner();
    try {
      await runner.addColumn('to_people', new TableColumn({ name: 'age', type: 'int', isNullable: true }));
      await runner.renameColumn('to_people', 'age', 'years');
      assert.equal(await runner.hasColumn('to_people', 'years'), true);
      await runner.dropColumn('to_people', 'years');
    } finally {
      await runner.release();
    }
  });
  await check('typeorm.generated_and_relations', async () => {
    const Author = new EntitySchema({ name: 'Author', tableName: 'to_authors', columns: { id: { type: 'int', primary: true, generated: 'increment' }, name: { type: 'text' } }, relations: { books: { type: 'one-to-many', target: 'Book', inverseSide: 'author' } } });
    const Book = new EntitySchema({ name: 'Book', tableName: 'to_books', columns: { id: { type: 'uuid', primary: true, generated: 'uuid' }, title: { type: 'text' } }, relations: { author: { type: 'many-to-one', target: 'Author', joinColumn: { name: 'author_id' }, inverseSide: 'books' } } });
    const own = new DataSource({ type: 'postgres', host, port, username, password, database, ssl, entities: [Author, Book], synchronize: false, uuidExtension: 'pgcrypto', installExtensions: false });
    await own.initialize();
    try {
      await own.query('DROP TABLE IF EXISTS to_books');
      await own.query('DROP TABLE IF EXISTS to_authors');
      await own.synchronize();
      const author = await own.getRepository(Author).save({ name: 'a' });
      await own.getRepository(Book).save([{ title: 'one', author }, { title: 'two', author }]);
      const found = await own.getRepository(Author).findOne({ where: { id: author.id }, relations: { books: true } });
      assert.equal(found.books.length, 2);
    } finally {
      await own.destroy();
    }
  });
  await check('typeorm.stream', async () => {
    const runner = source.createQueryRunner();
    try {
      let rows = 0;
      for await (const row of await runner.stream('SELECT generate_series(1, 3000) AS i')) rows += row.i > 0 ? 1 : 0;
      assert.equal(rows, 3000);
    } finally {
      await runner.release();
    }
  });
  await source.destroy();
};
