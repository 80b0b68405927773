// Named checks, one TAP line each; assertions are node's own.
'use strict';
const assert = require('node:assert/strict');

const CHECK_MS_MAX = 60_000;

function oneLine(error) {
  const parts = [];
  for (let cause = error; cause; cause = cause.cause ?? cause.parent ?? cause.driverError) {
    if (parts.length > 4) break;
    parts.push(`${cause.code ? `${cause.code} ` : ''}${cause.message ?? cause}`);
  }
  const at = /\(?([\w.-]+\.cjs:\d+):\d+\)?/.exec((error?.stack ?? '').split('\n').filter((line) => /^\s+at .*\.cjs/.test(line) && !/node_modules|tap\.cjs/.test(line))[0] ?? '');
  return [...new Set(parts)].join(' <- ').replace(/\s+/g, ' ') + (at ? ` (${at[1]})` : '');
}

async function check(name, body) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${CHECK_MS_MAX} ms`)), CHECK_MS_MAX);
  });
  try {
    await Promise.race([body(), late]);
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`not ok ${name}: ${oneLine(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

// The promise must be rejected with this SQLSTATE; the error is returned. Wrappers keep it in `cause`, `parent` or `driverError`.
async function fails(sqlstate, promise) {
  let error;
  try {
    await (typeof promise === 'function' ? promise() : promise);
  } catch (thrown) {
    error = thrown;
  }
  if (!error) throw new Error(`expected SQLSTATE ${sqlstate}, no error came`);
  for (let cause = error; cause; cause = cause.cause ?? cause.parent ?? cause.driverError) {
    if (cause.code === sqlstate || cause.sqlState === sqlstate) return cause;
  }
  throw new Error(`expected SQLSTATE ${sqlstate}`, { cause: error });
}

// How the frame says to reach the server, in the words that most drivers of node share.
function server() {
  const { PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLROOTCERT } = process.env;
  const ssl = { ca: require('node:fs').readFileSync(PGSSLROOTCERT, 'utf8'), rejectUnauthorized: true };
  // node-postgres takes what it is not told from PGSSLMODE, and that would undo `ssl`.
  delete process.env.PGSSLMODE;
  return { host: PGHOST, port: Number(PGPORT), user: PGUSER, password: PGPASSWORD, database: PGDATABASE, ssl };
}

function done() {
  console.log('# done');
  // A driver that leaks a connection must not keep the suite alive.
  process.exit(0);
}

module.exports = { assert, check, done, fails, server };
