-- Each line is a statement sent to PostgreSQL 15 and to Lakegate; the outcomes' SQLSTATEs must be equal (00000: it succeeds).
-- Where Lakegate answers otherwise by design, `--= CODE reason` says so.
SELECT 1/0
SELECT 1.0/0
SELECT 1::float8/0
SELECT 5%0
SELECT 2147483647::int4 + 1
SELECT 9223372036854775807 + 1
SELECT 32767::int2 + 1::int2
SELECT 3000000000::int4
SELECT 99999999999::numeric::int4
SELECT (-2147483648)::int4 / -1
SELECT 1000::numeric(5,2)
SELECT 1e308::float8 * 10
SELECT 1e39::float8::float4
SELECT abs((-9223372036854775808)::int8)
SELECT -((-2147483648)::int4)
SELECT sqrt(-1)
SELECT power(0::float8, -1)
SELECT power(-8::float8, 0.5)
SELECT ln(0::float8)
SELECT ln(-1::numeric)
SELECT log(0::numeric)
SELECT 'abc'::int
SELECT ''::int
SELECT '1.5'::int
SELECT 'x'::float8
SELECT 'x'::numeric
SELECT 'zz'::uuid
SELECT 'maybe'::bool
SELECT '{"a"'::json
SELECT '{"a"'::jsonb
SELECT '{1,2'::int4[]
SELECT '\u0000'::text
SELECT E'\\xzz'::bytea
SELECT '2024-02-30'::date
SELECT '2024-13-01'::date
SELECT 'nonsense'::date
SELECT 'nonsense'::timestamp
SELECT '25:00'::time
SELECT timestamp '294277-01-01'
SELECT make_date(2024, 13, 1)
SELECT '2024-01-01 00:00+99'::timestamptz
SELECT '2024-01-01 23:59:60'::timestamp
SELECT 'x'::interval
SELECT now() AT TIME ZONE 'Mars/Phobos'
SET TimeZone = 'Mars/Phobos'
SELECT extract(foo from now())
SELECT date_trunc('foo', now())
SELECT * FROM generate_series(1, 5, 0)
SELECT chr(0)
SELECT repeat('x', 2000000000)
SELECT lpad('x', 2000000000)
SELECT 'a' ~ '('
SELECT regexp_replace('a', '[', 'b')
SELECT 1 LIMIT -1
SELECT 1 OFFSET -1
SELECT (SELECT 1 UNION ALL SELECT 2)
SELECT (SELECT 1, 2)
SELECT
SELEC 1
SELECT 'unterminated
SELECT /* unterminated
SELECT 1 +
SELECT FROM WHERE --= 42P01 the parser takes WHERE for a name here
SELECT (1
SELECT 1 1
SELECT * FROM no_such_table
SELECT * FROM no_such_schema.t
SELECT no_such_column
SELECT no_such_function(1)
SELECT 1 + 'x'::text
SELECT 'a'::text + 1
SELECT 1 = 'x'::text
SELECT length(1)
SELECT true + 1
SELECT a FROM (VALUES (1)) t(a), (VALUES (1)) u(a)
SELECT * FROM (VALUES (1)) t, (VALUES (1)) t
SELECT x, count(*) FROM (VALUES (1)) t(x)
SELECT x FROM (VALUES (1)) t(x) GROUP BY y
SELECT count(count(*)) FROM (VALUES (1)) t(x)
SELECT 1 FROM (VALUES (1)) t(x) WHERE count(*) > 1
SELECT 1 FROM (VALUES (1)) t(x) WHERE row_number() OVER () = 1
SELECT 1 UNION SELECT 1, 2
SELECT 1 UNION SELECT 'x'::text
SELECT t.x FROM (VALUES (1)) t(y)
SELECT u.x FROM (VALUES (1)) t(x)
SELECT 1 ORDER BY 2
SELECT 1 GROUP BY 5
SELECT DISTINCT x FROM (VALUES (1, 2)) t(x, y) ORDER BY y
VALUES (1), (1, 2)
SELECT * FROM '/etc/passwd'
SELECT * FROM "/etc/passwd"
SELECT CASE WHEN 1 THEN 2 END
SELECT 1 WHERE 5
SELECT 1 WHERE 'x'
SELECT ARRAY[1, 'x']
SELECT 1 IN (SELECT 1, 2)
SELECT 'a'::no_such_type
SELECT CAST(1 AS no_such_type)
SELECT 1::date
SELECT true::date
SELECT now()::int4
WITH a AS (SELECT 1), a AS (SELECT 2) SELECT * FROM a
SELECT * FROM a.b.c.d
SELECT $1
SET no_such_setting = 1
SHOW no_such_setting
SET statement_timeout = 'x'
SET DateStyle = 'nonsense'
SET client_encoding = 'nonsense'
RESET no_such_setting
COMMIT
ROLLBACK
SAVEPOINT s
ROLLBACK TO s
RELEASE s
DEALLOCATE no_such_statement
EXECUTE no_such_statement
FETCH no_such_cursor
CLOSE no_such_cursor
DROP TABLE no_such_table
DROP TABLE IF EXISTS no_such_table
DROP SCHEMA no_such_schema
DROP ROLE no_such_role
DROP VIEW no_such_view
CREATE TABLE pg_catalog.t (a int)
CREATE TABLE no_such_schema.t (a int)
CREATE TABLE dup_column (a int, a int)
CREATE TABLE bad_type (a no_such_type)
CREATE SCHEMA public
CREATE ROLE admin
CREATE DATABASE main
GRANT SELECT ON no_such_table TO admin
GRANT no_such_role TO admin
SET ROLE no_such_role
ALTER TABLE no_such_table ADD COLUMN a int
TRUNCATE no_such_table
INSERT INTO no_such_table VALUES (1)
UPDATE no_such_table SET a = 1
DELETE FROM no_such_table
COPY no_such_table TO STDOUT
SELECT pg_cancel_backend('x')
SELECT current_setting('no.such.setting')
SELECT current_setting('no.such.setting', true)
SELECT set_config('no_such', '1', false)
SELECT 'no_such_table'::regclass
SELECT 'no_such_type'::regtype
SELECT 1; SELECT 1/0; SELECT 2
EXPLAIN SELECT * FROM no_such_table
PREPARE p AS SELECT no_such_column
PREPARE q (no_such_type) AS SELECT $1
DECLARE c CURSOR FOR SELECT 1
LISTEN ok_channel
NOTIFY ok_channel, 'x'
UNLISTEN *
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED
SELECT 'äöü' COLLATE "C"
SELECT 'x' COLLATE "no_such_collation"
SELECT U&'\0041'
SELECT $tag$text$tag$
SELECT 'a' 'b'
SELECT 1 AS "quoted ""name"""
SELECT /* nested /* comment */ */ 1
SELECT width_bucket(1.0, 0, 10, 0)
SELECT substring('abc', 1, -1)
SELECT decode('zz', 'hex')
SELECT encode('\x00', 'no_such_format')
SELECT to_timestamp('x', 'YYYY')
SELECT to_number('x', '9')
SELECT nth_value(1, 0) OVER ()
SELECT ntile(0) OVER ()
SELECT percentile_cont(2) WITHIN GROUP (ORDER BY x) FROM (VALUES (1)) t(x)
SELECT json_array_elements('{}')
SELECT jsonb_each('[]')
INSERT INTO no_such_table VALUES (1) RETURNING *
INSERT INTO no_such_table VALUES (1) ON CONFLICT DO NOTHING
UPDATE no_such_table SET a = 1 FROM pg_class
DELETE FROM no_such_table USING pg_class
MERGE INTO no_such_table USING pg_class ON true WHEN MATCHED THEN DELETE
MERGE INTO no_such_table USING pg_class ON true WHEN MATCHED THEN SELECT
MERGE INTO no_such_table USING pg_class WHEN MATCHED THEN DELETE
INSERT INTO no_such_table VALUES (1) ON CONFLICT DO
INSERT INTO no_such_table VALUES (1) ON CONFLICT (a) DO UPDATE
WITH d AS (DELETE FROM no_such_table RETURNING *) SELECT * FROM d
PREPARE TRANSACTION 'x'
COMMIT PREPARED 'x'
