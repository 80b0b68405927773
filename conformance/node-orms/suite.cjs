'use strict';
const { done } = require('tap.cjs');

async function main() {
  const versions = Object.entries(require('./package.json').dependencies).filter(([name]) => ['sequelize', 'knex', 'typeorm', 'drizzle-orm', 'kysely'].includes(name));
  console.log(`# version ${versions.map(([name, version]) => `${name} ${version}`).join(', ')}`);
  for (const name of ['knex', 'sequelize', 'typeorm', 'drizzle', 'kysely']) await require(`./${name}.cjs`)();
  done();
}

main();
