-- Changes in WITH, and changes of several tables in one statement.
CREATE TABLE t (id int, v text);
CREATE TABLE archive (id int, v text, n int);
INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, NULL);
WITH i AS (INSERT INTO t VALUES (5, 'five') RETURNING id, v) SELECT i.*, (SELECT count(*) FROM t) FROM i;
WITH d AS (DELETE FROM t WHERE id = 5 RETURNING *) SELECT count(*), max(v) FROM d;
WITH u AS (UPDATE t SET v = upper(v) WHERE id < 3 RETURNING id AS k, v) SELECT t.v, u.v FROM t JOIN u ON u.k = t.id ORDER BY k;
WITH q AS (SELECT 2 AS id), u (a, b) AS (UPDATE t SET v = 'q' FROM q WHERE q.id = t.id RETURNING t.*), r AS (SELECT a + 1 AS a FROM u) SELECT u.*, r.a, q.id FROM u, r, q;
WITH u AS (UPDATE t SET v = 'none' WHERE false RETURNING *) SELECT * FROM u;
WITH u AS (UPDATE t SET v = 'silent' WHERE id = 4) SELECT 1 AS done;
SELECT * FROM t ORDER BY id;
WITH upd AS (UPDATE t SET v = 'up' WHERE id = 9 RETURNING *) INSERT INTO t SELECT 9, 'new' WHERE NOT EXISTS (SELECT FROM upd);
WITH upd AS (UPDATE t SET v = 'up' WHERE id = 9 RETURNING *) INSERT INTO t SELECT 9, 'new' WHERE NOT EXISTS (SELECT FROM upd);
SELECT * FROM t ORDER BY id;
-- All parts see the tables as they were.
WITH i AS (INSERT INTO t VALUES (10, 'ten')), d AS (DELETE FROM t WHERE id = 9 RETURNING id) SELECT count(*), (SELECT id FROM d) FROM t;
SELECT count(*) FROM t;
-- Rows move from table to table.
WITH d AS (DELETE FROM t WHERE id < 3 RETURNING *) INSERT INTO archive SELECT id, v, 1 FROM d;
WITH d AS (DELETE FROM t WHERE id = 3 RETURNING *), a AS (INSERT INTO archive SELECT id, v, 2 FROM d RETURNING n) SELECT sum(n) FROM a;
WITH d AS (DELETE FROM t WHERE id = 4 RETURNING *) INSERT INTO archive SELECT id, v, 3 FROM d RETURNING id, n;
SELECT * FROM t ORDER BY id;
SELECT * FROM archive ORDER BY id;
WITH a AS (UPDATE archive SET n = n * 10 RETURNING id, n) UPDATE t SET v = a.n::text FROM a WHERE a.id + 8 = t.id + 0 * a.n AND a.id = 2 RETURNING t.*, a.n;
WITH a AS (INSERT INTO archive VALUES (50, 'x', 0) RETURNING id) DELETE FROM t USING a WHERE t.id = a.id - 40;
SELECT count(*) FROM t;
-- Errors: nothing is done.
WITH d AS (DELETE FROM archive WHERE id = 1 RETURNING *) INSERT INTO t SELECT id / 0, v FROM d;
WITH d AS (DELETE FROM archive WHERE id = 1 RETURNING *) SELECT 1 / (id - 1) FROM d;
WITH d AS (DELETE FROM archive WHERE id = 1) SELECT * FROM d;
WITH d AS (DELETE FROM archive WHERE id = 1 RETURNING nothing) SELECT * FROM d;
WITH d (a, b, c, e) AS (DELETE FROM archive WHERE id = 1 RETURNING *) SELECT * FROM d;
SELECT * FROM (WITH d AS (DELETE FROM archive RETURNING *) SELECT * FROM d) x;
CREATE VIEW seen AS WITH d AS (DELETE FROM archive RETURNING *) SELECT * FROM d;
SELECT count(*) FROM archive;
-- In a transaction, prepared, with a savepoint.
BEGIN;
WITH d AS (DELETE FROM archive WHERE id = 1 RETURNING *) INSERT INTO t SELECT id, v FROM d RETURNING *;
SAVEPOINT s;
WITH d AS (DELETE FROM archive RETURNING *) SELECT count(*) FROM d;
ROLLBACK TO s;
SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM archive);
COMMIT;
SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM archive);
PREPARE p AS WITH d AS (DELETE FROM archive WHERE id = $1 RETURNING *) INSERT INTO t SELECT id + $2, v || $3 FROM d RETURNING *;
EXECUTE p (2, 100, '!');
EXECUTE p (2, 100, '!');
-- TRUNCATE of several tables.
TRUNCATE t, archive;
SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM archive);
INSERT INTO t VALUES (1, 'a');
INSERT INTO archive VALUES (1, 'a', 1);
BEGIN;
TRUNCATE TABLE t, archive;
SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM archive);
ROLLBACK;
SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM archive);
TRUNCATE t, nothing;
SELECT count(*) FROM t;
