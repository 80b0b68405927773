-- What clients ask the catalogs with, piece by piece; whole recordings are compared in tests/introspection.
CREATE TABLE items (id int PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', price numeric(10,2), tags text[]);
INSERT INTO items VALUES (1, 'one', 1.50, '{a,b}'), (2, 'two', 2.25, '{}'), (3, 'three', NULL, NULL);
-- Functions in FROM over the columns of what stands before them.
SELECT id, t FROM items, unnest(tags) AS t ORDER BY 1, 2;
SELECT id, t, n FROM items LEFT JOIN LATERAL unnest(tags) WITH ORDINALITY AS u (t, n) ON true ORDER BY 1, 3;
SELECT id, (SELECT max(t) FROM unnest(tags) AS t WHERE t < 'b') FROM items ORDER BY 1;
SELECT id, ARRAY(SELECT upper(t) FROM unnest(tags) AS t ORDER BY 1 DESC) FROM items ORDER BY 1;
SELECT i.id, s.n FROM items i CROSS JOIN LATERAL generate_series(1, i.id) AS s (n) WHERE i.id < 3 ORDER BY 1, 2;
SELECT (SELECT ARRAY(SELECT j.name FROM items j WHERE j.id < i.id ORDER BY j.id)) AS a FROM items i ORDER BY i.id;
-- Types stay what they are.
SELECT pg_typeof(CASE WHEN true THEN relname ELSE 'x' END), pg_typeof(coalesce(relname, 'x')), pg_typeof(nullif(relkind, 'r')) FROM pg_class WHERE relname = 'pg_class';
SELECT pg_typeof(array_agg(relname)), pg_typeof((array_agg(relname))[1]) FROM pg_class WHERE relname = 'pg_class';
SELECT pg_typeof(u) FROM unnest(ARRAY['a'::name]) AS u;
SELECT CASE WHEN relkind = 'r' THEN oid ELSE 0 END AS o, relname::text FROM pg_class WHERE relname = 'pg_class';
SELECT NULL::text AS a UNION ALL SELECT relname FROM pg_class WHERE relname = 'pg_class' ORDER BY 1;
SELECT 'items'::regclass, 'integer'::regtype, 'pg_catalog'::regnamespace, 'now'::regproc, 'abs(integer)'::regprocedure;
SELECT 'items'::regclass::text, 'pg_class'::regclass::oid, 1259::regclass, 25::oid::regtype, 1397::regproc, 0::regclass;
SELECT ('pg_class'::regclass)::int8 + 1, 'pg_class'::regclass = 1259;
SELECT format_type(1560, NULL), format_type(1560, -1), format_type(1562, 5), format_type(1043, 24), format_type(1700, 655366), format_type(0, NULL);
SELECT 'pg_class'::name, ('pg_class'::name)[0];
-- Order by a column that an alias shadows.
SELECT upper(i.name) AS name FROM items i ORDER BY i.name;
SELECT upper(i.name) AS name, count(*) FROM items i GROUP BY i.name ORDER BY i.name DESC;
SELECT -i.id AS id FROM items i ORDER BY id;
-- DISTINCT ON and ORDER BY with correlated subqueries; NOT IN that is correlated.
SELECT DISTINCT ON (i.name) i.name, (SELECT count(*) FROM items j WHERE j.id < i.id) AS before FROM items i ORDER BY i.name;
SELECT i.id FROM items i ORDER BY (SELECT count(*) FROM items j WHERE j.id > i.id), 1;
SELECT i.id FROM items i WHERE i.id NOT IN (SELECT j.id FROM items j WHERE j.name < i.name) ORDER BY 1;
-- Vectors.
SELECT a.attname FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey) WHERE x.indrelid = 'items'::regclass;
SELECT (information_schema._pg_expandarray(x.indkey)).n, x.indkey[0] AS first FROM pg_index x WHERE x.indrelid = 'items'::regclass;
SELECT s.i, x.indkey[s.i] FROM pg_index x, generate_subscripts(x.indkey, 1) AS s (i) WHERE x.indrelid = 'items'::regclass;
-- Access lists.
SELECT privilege_type, is_grantable, grantee FROM aclexplode('{=r/admin,admin=a*w/admin}'::aclitem[]) ORDER BY 1;
SELECT (aclexplode(acldefault('n', 10))).privilege_type ORDER BY 1;
-- What depends on what.
CREATE VIEW cheap AS SELECT i.id, i.price FROM items i WHERE i.price < 2;
SELECT d.deptype, d.refobjid::regclass, d.refobjsubid FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid WHERE d.classid = 'pg_rewrite'::regclass AND r.ev_class = 'cheap'::regclass ORDER BY 1, 2, 3;
SELECT d.deptype, d.refobjsubid FROM pg_depend d JOIN pg_constraint c ON c.oid = d.objid WHERE d.classid = 'pg_constraint'::regclass AND c.conrelid = 'items'::regclass;
SELECT t.typname, e.typname FROM pg_type t JOIN pg_type e ON e.oid = t.typelem WHERE e.typrelid = 'items'::regclass;
SELECT tableoid::regclass, relname FROM pg_class WHERE relname = 'items' AND relnamespace = current_schema()::regnamespace;
-- Settings.
SELECT name, setting, unit, context, vartype FROM pg_settings WHERE name IN ('shared_buffers', 'seq_page_cost', 'port', 'autovacuum_naptime', 'track_counts') AND name <> 'port' ORDER BY 1;
SHOW shared_buffers;
SELECT current_setting('max_index_keys'), current_setting('autovacuum_naptime'), current_setting('nonsense', true);
SET jit = off;
SHOW jit;
SET jit = maybe;
SET shared_buffers = '1GB';
SET enable_seqscan TO 0;
SHOW enable_seqscan;
RESET enable_seqscan;
-- Relations by keys, and by what is no key of any.
CREATE SCHEMA by_key;
CREATE TABLE by_key.one (id int PRIMARY KEY, other int, CHECK (other > 0));
CREATE TABLE by_key.two (id int PRIMARY KEY, one int REFERENCES by_key.one);
CREATE INDEX two_one ON by_key.two (one);
SELECT relname, relkind, relhastriggers FROM pg_class WHERE oid = 'by_key.one'::regclass;
SELECT relname, relkind FROM pg_class WHERE relnamespace = 'by_key'::regnamespace ORDER BY 1;
SELECT relname, relkind FROM pg_class WHERE relname IN ('two_pkey', 'two_one', 'one', 'nothing') AND relnamespace = 'by_key'::regnamespace ORDER BY 1;
SELECT attname FROM pg_attribute WHERE attrelid = 'by_key.two_one'::regclass ORDER BY attnum;
SELECT attname FROM pg_attribute WHERE attrelid IN ('by_key.one'::regclass, 'by_key.two'::regclass) AND attnum > 0 ORDER BY attrelid, attnum;
SELECT indexrelid::regclass, indrelid::regclass FROM pg_index WHERE indexrelid = 'by_key.two_one'::regclass;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'by_key.two'::regclass ORDER BY indexrelid::regclass::text;
SELECT conname, contype FROM pg_constraint WHERE conrelid = 'by_key.one'::regclass ORDER BY 1;
SELECT conname FROM pg_constraint WHERE connamespace = 'by_key'::regnamespace AND contype = 'f';
SELECT relname FROM pg_class WHERE oid = 0 OR oid = 'by_key.one'::regclass;
SELECT count(*) FROM pg_class WHERE oid = -1;
SELECT column_name FROM information_schema.columns WHERE table_name = 'two' AND table_schema = 'by_key' ORDER BY ordinal_position;
-- The same statement again tells another time, and changes a setting again.
SELECT set_config('by.key', 'a', false);
SELECT set_config('by.key', 'b', false);
SELECT set_config('by.key', 'a', false);
SHOW by.key;
BEGIN;
SELECT now() = transaction_timestamp(), statement_timestamp() >= now();
SELECT now() = transaction_timestamp(), statement_timestamp() >= now();
COMMIT;
SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid() AND query LIKE 'SELECT count%';
DROP SCHEMA by_key CASCADE;
SELECT c.xmin IS NOT NULL, pg_typeof(c.xmin), xmin::text::bigint > 2 FROM pg_class c WHERE c.oid = 1259;
