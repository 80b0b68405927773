-- UPDATE … FROM, DELETE … USING, correlated subqueries, rows of values, WITH before a change.
CREATE TABLE t (id int, name text, n int);
CREATE TABLE s (id int, v int, tag text);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', NULL), (NULL, 'none', 0);
INSERT INTO s VALUES (1, 100, 'a'), (2, 200, 'b'), (9, 900, 'z'), (NULL, 5, 'n');
UPDATE t SET n = s.v FROM s WHERE s.id = t.id;
SELECT * FROM t ORDER BY id;
UPDATE t SET n = t.n + x.v, name = tag FROM s AS x WHERE x.id = t.id AND x.v > 100 RETURNING t.id, t.n, x.v, x.tag;
UPDATE t SET n = 1 FROM s JOIN s AS s2 ON s.id = s2.id WHERE s.id = t.id AND s2.tag = 'a' RETURNING t.*, s.tag, s2.v;
UPDATE t SET n = 1 FROM s LEFT JOIN s s2 USING (id) WHERE s.id = t.id AND s2.tag = 'a' RETURNING *;
UPDATE t SET n = q.m FROM (SELECT max(v) AS m FROM s) AS q WHERE t.id = 3 RETURNING *;
UPDATE t SET n = v.column2 FROM (VALUES (1, 11), (2, 22)) AS v WHERE v.column1 = t.id;
SELECT * FROM t ORDER BY id;
UPDATE t SET n = g FROM generate_series(3, 3) AS g WHERE g = t.id RETURNING *;
UPDATE t SET n = 0 FROM s WHERE s.id = t.id AND false RETURNING *;
-- A row is changed once, whatever number of rows matches it.
INSERT INTO s VALUES (1, 101, 'a'), (1, 102, 'a');
UPDATE t SET n = s.v FROM s WHERE s.id = t.id AND t.id = 1;
SELECT id, n IN (100, 101, 102) FROM t WHERE id = 1;
UPDATE t SET n = -1 FROM s;
SELECT * FROM t ORDER BY id;
DELETE FROM t USING s WHERE s.id = t.id AND s.tag = 'a' AND t.id = 1 RETURNING t.id;
SELECT * FROM t ORDER BY id;
DELETE FROM t USING s, s AS s2 WHERE s.id = t.id AND s2.id = s.id AND s2.v = 200 RETURNING t.*, s.*, s2.v;
DELETE FROM t USING s WHERE s.id IS NULL AND t.id IS NULL RETURNING t.*, s.tag;
INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2), (4, 'four', 4);
-- Correlated subqueries.
UPDATE t SET n = (SELECT max(v) FROM s WHERE s.id = t.id);
SELECT * FROM t ORDER BY id;
UPDATE t SET name = (SELECT tag FROM s WHERE s.id = t.id);
UPDATE t SET name = 'has' WHERE EXISTS (SELECT 1 FROM s WHERE s.id = t.id);
UPDATE t SET name = name || (SELECT count(*) FROM t AS x WHERE x.id <= t.id) WHERE id IN (SELECT id FROM s WHERE v < t.n + 1) RETURNING id, name;
UPDATE t SET n = coalesce(n, 0) + (SELECT count(*) FROM s);
DELETE FROM t WHERE n > (SELECT avg(x.n) FROM t x WHERE x.id <> t.id) RETURNING id;
DELETE FROM t WHERE NOT EXISTS (SELECT FROM s WHERE s.id = t.id);
SELECT * FROM t ORDER BY id;
-- Rows of values.
INSERT INTO t VALUES (5, 'five', 5), (6, 'six', 6);
UPDATE t SET (name, n) = ('tuple', n + 1) WHERE id = 5 RETURNING *;
UPDATE t SET (n, name) = ROW(n * 2, name || '!') WHERE id = 5 RETURNING *;
UPDATE t SET (name, n) = (SELECT tag, v FROM s WHERE s.id = t.id + 4 LIMIT 1) WHERE id = 5 RETURNING id, name, n > 99;
UPDATE t SET (name, n) = (SELECT tag, v FROM s WHERE s.id = t.id) WHERE id = 6 RETURNING *;
UPDATE t SET (n, name) = (SELECT min(v), max(tag) FROM s GROUP BY id HAVING id = 9) WHERE id = 6 RETURNING *;
UPDATE t SET (n) = (7) WHERE id = 6 RETURNING n;
UPDATE t SET (n, name) = (DEFAULT, 'd') WHERE id = 6 RETURNING *;
UPDATE t SET (n, name) = (1, 'x', 2);
UPDATE t SET (n, name) = (SELECT 1);
UPDATE t SET n = 1, n = 2;
UPDATE t SET (n, name) = (1, 'x'), n = 3;
UPDATE t SET nothing = 1;
UPDATE t SET t.n = 1;
UPDATE t SET n = s.v FROM s WHERE nothing = 1;
UPDATE t SET n = id FROM s WHERE s.id = t.id;
UPDATE t SET n = 1 FROM t WHERE true;
DELETE FROM t USING t WHERE true;
DELETE FROM t USING nothing WHERE true;
DELETE FROM t USING t AS x WHERE x.id = t.id AND x.id = 6 RETURNING x.*, t.id;
-- WITH before a change.
WITH q AS (SELECT 5 AS id, 'cte' AS name) UPDATE t SET name = q.name FROM q WHERE q.id = t.id RETURNING *;
WITH q AS (SELECT 5 AS id), r AS (SELECT id + 1 AS id FROM q) INSERT INTO t (id) SELECT id FROM (SELECT id FROM r UNION ALL SELECT id + 2 FROM q) u ORDER BY id RETURNING id;
WITH q AS (SELECT 7 AS id) DELETE FROM t USING q AS x WHERE x.id = t.id RETURNING t.id;
WITH RECURSIVE q (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM q WHERE id < 6) DELETE FROM t WHERE id IN (SELECT id FROM q) AND n IS NULL RETURNING id;
WITH t AS (SELECT 1 AS id) UPDATE t SET n = (SELECT count(*) FROM t);
SELECT id, name FROM t ORDER BY id, name;
-- Functions whose value changes are evaluated once a row.
CREATE TABLE r (a int, b double precision);
INSERT INTO r SELECT g, 2 FROM generate_series(1, 100) g;
UPDATE r SET b = random() WHERE random() >= 0;
SELECT count(*), bool_and(b < 1) FROM r;
DELETE FROM r WHERE random() > 2;
DELETE FROM r WHERE random() < 2;
SELECT count(*) FROM r;
-- Nothing to do.
CREATE TABLE empty (a int);
UPDATE empty SET a = 1 FROM s RETURNING *;
DELETE FROM empty USING s RETURNING *;
UPDATE t SET n = 1 FROM empty RETURNING *;
