-- INSERT … ON CONFLICT.
CREATE TABLE t (id int PRIMARY KEY, name text, n int DEFAULT 7, UNIQUE (name));
INSERT INTO t VALUES (1, 'one', 1) ON CONFLICT DO NOTHING;
INSERT INTO t VALUES (1, 'uno', 1), (2, 'two', 2), (2, 'zwei', 2), (3, 'two', 3), (4, NULL, 4), (5, NULL, 5) ON CONFLICT DO NOTHING RETURNING *;
INSERT INTO t VALUES (1, 'uno', 1), (6, 'six', 6) ON CONFLICT (id) DO NOTHING;
INSERT INTO t (id, name) VALUES (1, 'uno'), (7, 'seven') ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = t.n + excluded.n RETURNING *;
INSERT INTO t AS x VALUES (2, 'deux', 22) ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET n = x.n + 1 RETURNING x.*;
INSERT INTO t VALUES (8, 'six', 8) ON CONFLICT (name) DO UPDATE SET n = excluded.n RETURNING *;
INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2) ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE t.id = 2 RETURNING *;
INSERT INTO t VALUES (1, 'x', 1) ON CONFLICT (id) DO UPDATE SET name = DEFAULT, n = DEFAULT RETURNING *;
INSERT INTO t VALUES (2, 'z', 1) ON CONFLICT (id) DO UPDATE SET (name, n) = (excluded.name || t.name, (SELECT max(n) FROM t)) RETURNING *;
INSERT INTO t VALUES (2, 'z', 1) ON CONFLICT (id) DO UPDATE SET (name, n) = (SELECT 'sub' || excluded.id, t.n + 1) RETURNING *;
INSERT INTO t VALUES (2, 'z', 1) ON CONFLICT (id) DO UPDATE SET n = 0 WHERE t.n > 1000 OR NULL RETURNING *;
INSERT INTO t SELECT g, 'g' || g, g FROM generate_series(5, 9) g ON CONFLICT (id) DO UPDATE SET n = excluded.n * 10;
SELECT * FROM t ORDER BY id;
INSERT INTO t (id, name) SELECT id, 'w' || id FROM t WHERE id < 3 ORDER BY id DESC ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id, name;
INSERT INTO t SELECT 1 WHERE false ON CONFLICT (id) DO UPDATE SET n = 1 RETURNING *;
-- A row is changed once.
INSERT INTO t VALUES (1, 'x'), (1, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
INSERT INTO t VALUES (50, 'x'), (50, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
INSERT INTO t VALUES (50, 'x'), (50, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE false;
INSERT INTO t VALUES (1, 'x'), (1, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE false;
INSERT INTO t VALUES (1, 'x'), (1, 'last') ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE excluded.name = 'last' RETURNING *;
SELECT * FROM t WHERE id IN (1, 50);
-- The first of several new ones stays.
CREATE TABLE d (k int UNIQUE, v int);
INSERT INTO d SELECT k, v FROM (VALUES (1, 10), (1, 30), (2, 5), (1, 20), (NULL, 1), (NULL, 2)) x (k, v) ORDER BY v DESC ON CONFLICT (k) DO NOTHING RETURNING *;
INSERT INTO d VALUES (NULL, 3), (2, 6) ON CONFLICT (k) DO UPDATE SET v = excluded.v RETURNING *;
SELECT * FROM d ORDER BY k, v;
-- Which constraint decides.
INSERT INTO t VALUES (1, 'x') ON CONFLICT (n) DO NOTHING;
INSERT INTO t VALUES (1, 'x') ON CONFLICT (id, name) DO NOTHING;
INSERT INTO t VALUES (1, 'x') ON CONFLICT (nothing) DO NOTHING;
INSERT INTO t VALUES (1, 'x') ON CONFLICT ON CONSTRAINT nothing DO NOTHING;
INSERT INTO t VALUES (1, 'x') ON CONFLICT DO UPDATE SET n = 1;
INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET n = n + 1;
INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET nothing = 1;
INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET n = 'x';
INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET n = excluded.nothing;
INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET n = 1 RETURNING excluded.n;
INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET n = 1 / 0;
INSERT INTO t VALUES (60, 'sixty') ON CONFLICT (id) DO UPDATE SET n = 1 / (excluded.id - 60) RETURNING id;
CREATE TABLE keyless (a int);
INSERT INTO keyless VALUES (1), (1) ON CONFLICT DO NOTHING;
INSERT INTO keyless VALUES (1) ON CONFLICT (a) DO NOTHING;
SELECT count(*) FROM keyless;
-- Several columns, constraints, parts of a table.
CREATE TABLE c (a int, b text, v int NOT NULL CHECK (v > 0), PRIMARY KEY (b, a));
INSERT INTO c VALUES (1, 'x', 1), (1, 'y', 2) ON CONFLICT (a, b) DO UPDATE SET v = 9;
INSERT INTO c VALUES (1, 'x', 5), (2, 'x', 6) ON CONFLICT (a, b) DO UPDATE SET v = c.v + excluded.v RETURNING *;
INSERT INTO c VALUES (1, 'x', 0) ON CONFLICT (a, b) DO UPDATE SET v = 9;
INSERT INTO c VALUES (1, 'x', NULL) ON CONFLICT DO NOTHING;
INSERT INTO c VALUES (1, 'x', 1) ON CONFLICT (a, b) DO UPDATE SET v = -1;
INSERT INTO c VALUES (1, 'x', 1) ON CONFLICT (a, b) DO UPDATE SET v = NULL;
SELECT * FROM c ORDER BY a, b;
-- In a transaction.
BEGIN;
INSERT INTO c VALUES (3, 'z', 1) ON CONFLICT (a, b) DO UPDATE SET v = c.v + 1;
INSERT INTO c VALUES (3, 'z', 1) ON CONFLICT (a, b) DO UPDATE SET v = c.v + 1 RETURNING v;
SAVEPOINT s;
INSERT INTO c VALUES (3, 'z', 1) ON CONFLICT (a, b) DO UPDATE SET v = c.v + 1 RETURNING v;
ROLLBACK TO s;
INSERT INTO c VALUES (3, 'z', 1) ON CONFLICT (a, b) DO UPDATE SET v = c.v + 1 RETURNING v;
COMMIT;
SELECT * FROM c ORDER BY a, b;
PREPARE up AS INSERT INTO c VALUES ($1, $2, $3) ON CONFLICT (a, b) DO UPDATE SET v = excluded.v + $4 WHERE c.a < $5 RETURNING v;
EXECUTE up (3, 'z', 10, 5, 100);
EXECUTE up (4, 'z', 10, 5, 100);
EXECUTE up (3, 'z', 10, 5, 0);
