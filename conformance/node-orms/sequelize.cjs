'use strict';
const { assert, check, fails, server } = require('tap.cjs');
const { Sequelize, DataTypes, Op, QueryTypes } = require('sequelize');

module.exports = async () => {
  const { host, port, user, password, database, ssl } = server();
  const sequelize = new Sequelize(database, user, password, { host, port, dialect: 'postgres', dialectOptions: { ssl }, logging: false });
  const User = sequelize.define('SqUser', {
    id: { type: DataTypes.INTEGER, primaryKey: true },
    name: { type: DataTypes.STRING(50), allowNull: false },
    balance: DataTypes.DECIMAL(12, 2),
    tags: DataTypes.ARRAY(DataTypes.STRING),
    extra: DataTypes.JSONB,
    born: DataTypes.DATEONLY,
  }, { tableName: 'sq_users', timestamps: true });
  await check('sequelize.authenticate', () => sequelize.authenticate());
  await check('sequelize.sync', () => User.sync({ force: true }));
  await check('sequelize.create', async () => {
    const ann = await User.create({ id: 1, name: 'ann', balance: '1.50', tags: ['a', 'b,c'], extra: { k: [1] }, born: '2000-02-29' });
    assert.equal(ann.name, 'ann');
    const [row] = await sequelize.query('SELECT name, tags, extra, born::text FROM sq_users WHERE id = 1', { type: QueryTypes.SELECT });
    assert.deepEqual(row, { name: 'ann', tags: ['a', 'b,c'], extra: { k: [1] }, born: '2000-02-29' });
  });
  await check('sequelize.bulk_create', async () => {
    await User.bulkCreate(Array.from({ length: 100 }, (_, i) => ({ id: i + 10, name: `n${i}`, balance: i })), { returning: false });
    assert.equal(await User.count({ where: { id: { [Op.gte]: 10 } } }), 100);
  });
  await check('sequelize.find', async () => {
    const rows = await User.findAll({ where: { [Op.or]: [{ name: { [Op.iLike]: 'N1_' } }, { balance: { [Op.between]: [95, 96] } }] }, order: [['id', 'DESC']], limit: 5 });
    assert.deepEqual(rows.map((row) => row.id), [106, 105, 29, 28, 27]);
    assert.equal(await User.sum('balance', { where: { id: { [Op.in]: [11, 12] } } }), 3);
    const { count, rows: page } = await User.findAndCountAll({ where: { id: { [Op.gt]: 9 } }, offset: 5, limit: 2, order: ['id'] });
    assert.deepEqual([count, page[0].id], [100, 15]);
  });
  await check('sequelize.raw_replacements_and_bind', async () => {
    assert.deepEqual(await sequelize.query('SELECT :a::int + $$x$$::text::int8 AS s'.replace('$$x$$', "'1'"), { replacements: { a: 2 }, type: QueryTypes.SELECT }), [{ s: '3' }]);
    assert.deepEqual(await sequelize.query('SELECT $1::int + $2::int AS s', { bind: [1, 2], type: QueryTypes.SELECT }), [{ s: 3 }]);
  });
  await check('sequelize.update', async () => {
    const [count] = await User.update({ name: 'changed' }, { where: { id: { [Op.lt]: 20, [Op.gte]: 10 } } });
    assert.equal(count, 10);
    assert.equal(await User.destroy({ where: { name: 'changed' } }), 10);
  });
  await check('sequelize.find_or_create', async () => {
    const [row, created] = await User.findOrCreate({ where: { id: 1 }, defaults: { name: 'other' } });
    assert.deepEqual([row.id, created], [1, false]);
    const [, made] = await User.findOrCreate({ where: { id: 500 }, defaults: { name: 'made' } });
    assert.equal(made, true);
  });
  await check('sequelize.upsert', async () => {
    await User.upsert({ id: 20, name: 'upserted' });
    assert.equal((await User.findByPk(20)).name, 'upserted');
  });
  await check('sequelize.transaction', async () => {
    const before = await User.count();
    await assert.rejects(sequelize.transaction(async (transaction) => {
      await User.destroy({ where: { id: { [Op.gt]: 0 } }, transaction });
      throw new Error('back');
    }), /back/);
    assert.equal(await User.count(), before);
    await sequelize.transaction({ isolationLevel: Sequelize.Transaction.ISOLATION_LEVELS.SERIALIZABLE }, (transaction) => User.destroy({ where: { id: 30 }, transaction }));
    assert.equal(await User.count(), before - 1);
  });
  await check('sequelize.errors', async () => {
    await fails('42P01', sequelize.query('SELECT * FROM nothing_there'));
    await fails('23502', sequelize.query('INSERT INTO sq_users (id) VALUES (999)'));
    const wrong = new Sequelize(database, user, 'wrong', { host, port, dialect: 'postgres', dialectOptions: { ssl }, logging: false });
    await assert.rejects(wrong.authenticate(), (error) => error instanceof Sequelize.AccessDeniedError || error.parent?.code === '28P01');
  });
  await check('sequelize.show_all_tables', async () => {
    const names = await sequelize.getQueryInterface().showAllTables();
    assert.ok(names.includes('sq_users'), String(names));
  });
  await check('sequelize.describe_table', async () => {
    const table = await sequelize.getQueryInterface().describeTable('sq_users');
    assert.deepEqual([table.id.type, table.id.primaryKey, table.id.allowNull], ['INTEGER', true, false]);
    assert.deepEqual([table.name.type, table.name.allowNull, table.name.primaryKey], ['CHARACTER VARYING(50)', false, false]);
    assert.deepEqual([table.createdAt.type, table.balance.type], ['TIMESTAMP WITH TIME ZONE', 'NUMERIC']);
  });
  await check('sequelize.show_index', async () => {
    const indexes = await sequelize.getQueryInterface().showIndex('sq_users');
    assert.deepEqual(indexes.map((index) => [index.primary, index.unique, index.fields.map((field) => field.attribute)]), [[true, true, ['id']]]);
  });
  await check('sequelize.associations', async () => {
    const Author = sequelize.define('SqAuthor', { name: DataTypes.TEXT }, { tableName: 'sq_authors', timestamps: false });
    const Book = sequelize.define('SqBook', { title: DataTypes.TEXT }, { tableName: 'sq_books', timestamps: false });
    Author.hasMany(Book, { foreignKey: 'authorId' });
    Book.belongsTo(Author, { foreignKey: 'authorId' });
    await Book.drop();
    await Author.sync({ force: true });
    await Book.sync({ force: true });
    const author = await Author.create({ name: 'a' });
    await author.createSqBook({ title: 'one' });
    await author.createSqBook({ title: 'two' });
    const [found] = await Author.findAll({ include: Book, order: [[Book, 'id', 'ASC']] });
    assert.deepEqual(found.SqBooks.map((book) => book.title), ['one', 'two']);
  });
  await check('sequelize.drop', () => User.drop());
  await sequelize.close();
};
