-- Mistakes that people make. Each line is a message sent to PostgreSQL 15 and to Lakegate; compared are SQLSTATE, message, detail,
-- hint, position, context and the names of schema, table, column, type and constraint (tests/e2e/errors.rs).
-- Where Lakegate answers otherwise, `--= CODE reason` says so.
-- `--+` before a line: preparation that must succeed on both. ROLLBACK follows each line. Lines of ok statements are not wanted.
--+ CREATE SCHEMA mistakes
--+ CREATE TABLE mistakes.customers (id int NOT NULL, name text NOT NULL, city text, created timestamp, balance numeric(10,2) CHECK (balance >= 0))
--+ CREATE TABLE mistakes.orders (id int NOT NULL, customer_id int, amount numeric(10,2), ordered date, note varchar(5), code char(2), CONSTRAINT positive_amount CHECK (amount > 0))
--+ CREATE VIEW mistakes.rich AS SELECT id, name FROM mistakes.customers WHERE balance > 1000
--+ INSERT INTO mistakes.customers VALUES (1, 'a', 'x', NULL, 1), (2, 'b', NULL, NULL, 2)
--+ INSERT INTO mistakes.orders VALUES (1, 1, 10, '2024-01-01', 'n', 'aa')
--+ SET search_path = mistakes, public
-- Names.
SELECT * FROM customer
SELECT * FROM mistakes.customer
SELECT * FROM nosuch.customers
SELECT nam FROM customers
SELECT c.nam FROM customers c
SELECT customer.name FROM customers
SELECT customers.name FROM customers c
SELECT x.name FROM customers c
SELECT nothing_like_it FROM customers
SELECT id FROM customers, orders
SELECT id FROM customers JOIN orders ON customers.id = orders.customer_id
SELECT o.id FROM customers c JOIN orders o ON c.id = o.custmer_id
SELECT * FROM customers c JOIN orders o USING (customer_id)
SELECT * FROM customers c, customers c
SELECT name FROM customers ORDER BY nme
SELECT name FROM customers WHERE cty = 'x'
SELECT name AS n FROM customers WHERE n = 'x'
SELECT count(*) AS k FROM customers HAVING k > 1 --= 00000 HAVING may name an item of the select list
SELECT "Name" FROM customers
SELECT * FROM "Customers"
SELECT lenght('x')
SELECT upper(1, 2)
SELECT substr()
SELECT coalesce()
SELECT nosuch.f(1) --= 42883 functions are looked for by their last name
SELECT sum('x'::text)
SELECT avg(name) FROM customers
SELECT foo(id) FROM customers
SELECT now(1)
SELECT round('2024-01-01'::date)
SELECT length(1)
SELECT 1::nosuchtype
SELECT CAST(1 AS varchr)
SELECT $1
SELECT 'x' COLLATE "nosuch"
SELECT * FROM nosuch_function(1)
SELECT * FROM generate_series('a', 'b') --= 22P02 the numeric one is taken
WITH w AS (SELECT 1 AS a) SELECT b FROM w
WITH w(a, b) AS (SELECT 1) SELECT * FROM w
SELECT * FROM (SELECT 1 AS a) s WHERE s.b = 1
SELECT (SELECT nope FROM customers)
SELECT 1 FROM customers WHERE EXISTS (SELECT 1 FROM orders WHERE orders.customer = customers.id)
-- Types and operators.
SELECT 1 + 'x'
SELECT 'a' + 'b'
SELECT name + 1 FROM customers
SELECT 1 || 2
SELECT id = name FROM customers
SELECT id FROM customers WHERE name = 1
SELECT id FROM customers WHERE id = 'abc'
SELECT created + 1 FROM customers
SELECT created * 2 FROM customers
SELECT true + 1
SELECT NOT 1
SELECT 1 AND true
SELECT id FROM customers WHERE id
SELECT id FROM customers WHERE 'x'
SELECT CASE WHEN 1 THEN 2 END
SELECT CASE WHEN true THEN 1 ELSE 'x' END
SELECT CASE WHEN true THEN 1 ELSE now() END
SELECT coalesce(1, 'x')
SELECT coalesce(1, now())
SELECT 1 UNION SELECT 'x'
SELECT 1 UNION SELECT now()
SELECT 1, 2 UNION SELECT 1
SELECT id IN ('a') FROM customers
SELECT id IN (SELECT name FROM customers) FROM customers
SELECT id IN (SELECT id, name FROM customers) FROM customers
SELECT (SELECT id, name FROM customers)
SELECT (SELECT id FROM customers)
SELECT ARRAY[1, 'x']
SELECT ARRAY[1, now()]
SELECT true::date
SELECT now()::int
SELECT '{1,2}'::int[] || 'x'
SELECT 1 LIKE 2
SELECT -'x'::text
SELECT name[1] FROM customers
SELECT 5 BETWEEN 'a' AND 'b'
SELECT greatest(1, 'x')
SELECT 1 IS TRUE
SELECT id LIMIT 'x'
SELECT 1 LIMIT 'x'
SELECT 1 LIMIT id
SELECT 1 LIMIT -1
SELECT 1 OFFSET -2
-- Grouping, windows, ordering.
SELECT name, count(*) FROM customers
SELECT name FROM customers GROUP BY city
SELECT city, name FROM customers GROUP BY city
SELECT c.name FROM customers c GROUP BY c.city
SELECT * FROM customers GROUP BY city
SELECT count(*) FROM customers WHERE count(*) > 1
SELECT sum(count(*)) FROM customers
SELECT count(*) FROM customers GROUP BY count(*)
SELECT city FROM customers GROUP BY city HAVING name = 'x'
SELECT city FROM customers GROUP BY city ORDER BY name
SELECT 1 FROM customers JOIN orders ON count(*) > 1
SELECT city FROM customers GROUP BY 2
SELECT city FROM customers ORDER BY 2
SELECT DISTINCT city FROM customers ORDER BY name
SELECT DISTINCT ON (city) city FROM customers ORDER BY name
SELECT row_number() FROM customers
SELECT rank() OVER (ORDER BY id) FROM customers WHERE rank() OVER (ORDER BY id) = 1
SELECT sum(id) OVER w FROM customers
SELECT lower(name) OVER () FROM customers
SELECT sum(rank() OVER ()) FROM customers
SELECT city FROM customers UNION SELECT name FROM customers ORDER BY id
SELECT count(DISTINCT *) FROM customers
SELECT * FROM customers WHERE row_number() OVER () = 1
SELECT percentile_cont(0.5) FROM customers
-- Values.
SELECT 'abc'::int
SELECT ''::int
SELECT '1.5'::int
SELECT '12 3'::bigint
SELECT 'x'::smallint
SELECT 'x'::numeric
SELECT 'x'::float8
SELECT 'x'::real
SELECT 'x'::bool
SELECT 'x'::uuid
SELECT 'x'::json
SELECT '{"a":}'::json
SELECT '{"a":1,}'::jsonb
SELECT 'x'::date
SELECT 'x'::timestamp
SELECT 'x'::timestamptz
SELECT 'x'::time
SELECT 'x'::interval
SELECT '2024-02-30'::date
SELECT '2024-13-01'::date
SELECT '2024-01-01 25:00'::timestamp
SELECT '1,2'::int[]
SELECT '{1,x}'::int[]
SELECT '{1,2'::int[]
SELECT E'\\xzz'::bytea
SELECT 99999999999::int
SELECT '99999999999'::int
SELECT '99999999999999999999'::bigint
SELECT 40000::smallint
SELECT '1e400'::float8
SELECT 2147483647 + 1
SELECT 9223372036854775807 * 2
SELECT 12345.678::numeric(5,2)
SELECT 1 / 0
SELECT 1.0 / 0
SELECT 1::float8 / 0
SELECT 1 % 0
SELECT id / 0 FROM customers
SELECT sqrt(-1)
SELECT ln(0)
SELECT power(0, -1)
SELECT to_date('x', 'YYYY')
SELECT to_number('x', '999')
SELECT chr(0)
SELECT 'a' ~ '('
SELECT substring('abc' FROM 1 FOR -1)
SELECT make_date(2024, 13, 1)
SELECT date_trunc('x', now())
SELECT extract(x FROM now())
SELECT now() AT TIME ZONE 'x'
SELECT (ARRAY[1,2])['x'] --= 42809 a subscript that is a string is a column's name
SELECT generate_series(1, 2, 0)
SELECT repeat('x', 2000000000)
SELECT decode('zz', 'hex')
SELECT convert_from('\xff', 'UTF8')
SELECT json_build_object('a')
SELECT split_part('a', 'b', 0)
SELECT regexp_replace('a', 'b', 'c', 'z')
-- Changes and constraints.
INSERT INTO customers VALUES (1)
INSERT INTO customers (id, name) VALUES (1)
INSERT INTO customers (id) VALUES (1, 'x')
INSERT INTO customers (id, nme) VALUES (1, 'x')
INSERT INTO customers (id, id) VALUES (1, 2)
INSERT INTO customers VALUES (1, 'a', 'b', now(), 1, 2)
INSERT INTO customers (id, name) VALUES ('x', 'y')
INSERT INTO customers (id, name) VALUES (now(), 'y')
INSERT INTO customers (id, name) VALUES (NULL, 'y')
INSERT INTO customers (id, name) VALUES (3, NULL)
INSERT INTO customers (id, name, balance) VALUES (3, 'x', -1)
INSERT INTO customers (id, name, balance) VALUES (3, 'x', 123456789012)
INSERT INTO orders (id, amount) VALUES (1, 0)
INSERT INTO orders (id, note) VALUES (1, 'toolong')
INSERT INTO orders (id, code) VALUES (1, 'abc')
INSERT INTO orders (id, ordered) VALUES (1, 'yesterdayish')
INSERT INTO orders (id) SELECT name FROM customers
INSERT INTO orders (id, amount) SELECT id FROM customers
INSERT INTO nosuch VALUES (1)
INSERT INTO rich VALUES (1, 2, 3)
UPDATE customers SET nme = 'x'
UPDATE customers SET id = 'x'
UPDATE customers SET id = NULL
UPDATE customers SET balance = -5
UPDATE customers SET name = 1, name = 2
UPDATE customers SET name = upper(nme)
UPDATE customers SET name = 'x' WHERE nosuch = 1
UPDATE customers SET id = now()
UPDATE nosuch SET a = 1
UPDATE orders SET note = 'toolong'
DELETE FROM nosuch
DELETE FROM customers WHERE nope = 1
DELETE FROM customers WHERE id = 'x'
TRUNCATE nosuch
-- Tables, views and other objects.
CREATE TABLE customers (a int)
CREATE TABLE nosuch.t (a int)
CREATE TABLE mistake_1 (a int, a int)
CREATE TABLE mistake_2 (a nosuchtype)
CREATE TABLE mistake_3 (a int CHECK (b > 1))
CREATE TABLE mistake_4 (a int CHECK (a)) --= 00000 as before
CREATE TABLE mistake_5 (a int DEFAULT 'x') --= 00000 as before
CREATE TABLE mistake_6 (a int DEFAULT b) --= 00000 as before
CREATE TABLE mistake_7 (a varchar(0))
CREATE TABLE mistake_8 (a numeric(0))
CREATE TABLE mistake_9 (a int PRIMARY KEY, b int PRIMARY KEY)
CREATE TABLE customers AS SELECT 1 AS a
CREATE VIEW rich AS SELECT 1 AS a
CREATE VIEW v1 AS SELECT nope FROM customers
CREATE VIEW v1 AS SELECT 1 AS a, 2 AS a
CREATE OR REPLACE VIEW rich AS SELECT 1 AS other
CREATE SCHEMA mistakes
CREATE DATABASE main
DROP TABLE nosuch
DROP TABLE rich
DROP VIEW customers
DROP VIEW nosuch
DROP SCHEMA nosuch
DROP SCHEMA mistakes
DROP DATABASE nosuch
DROP TABLE customers
ALTER TABLE nosuch ADD COLUMN a int
ALTER TABLE customers ADD COLUMN name text
ALTER TABLE customers RENAME TO orders
ALTER TABLE customers ALTER COLUMN nope SET DEFAULT 1
COMMENT ON TABLE nosuch IS 'x'
COMMENT ON COLUMN customers.nope IS 'x'
CREATE ROLE admin
DROP ROLE nosuch
GRANT SELECT ON nosuch TO admin
GRANT SELECT ON customers TO nosuch
GRANT nosuch TO admin
SET ROLE nosuch
-- Transactions, prepared statements, cursors, settings.
BEGIN; SELECT 1/0; SELECT 1
SAVEPOINT a
ROLLBACK TO a
BEGIN; ROLLBACK TO a
BEGIN; RELEASE a
BEGIN; SAVEPOINT a; SELECT nope; RELEASE a
EXECUTE nosuch
EXECUTE nosuch(1)
PREPARE p1 AS SELECT nope
PREPARE p1 AS SELECT $1::int; PREPARE p1 AS SELECT 1
EXECUTE p1
EXECUTE p1('x')
EXECUTE p1(now())
EXECUTE p1(1, 2)
PREPARE p2(nosuchtype) AS SELECT $1
DEALLOCATE nosuch
DECLARE c1 CURSOR FOR SELECT 1
FETCH nosuch
MOVE nosuch
CLOSE nosuch
BEGIN; DECLARE c1 CURSOR FOR SELECT 1; DECLARE c1 CURSOR FOR SELECT 2
BEGIN; DECLARE c1 NO SCROLL CURSOR FOR SELECT 1; FETCH 1 FROM c1; FETCH BACKWARD 1 FROM c1
SET nosuch = 1
SHOW nosuch
RESET nosuch
SET statement_timeout = 'x'
SET TimeZone = 'x'
SET client_min_messages = 'x'
SET DateStyle = 'x'
SET client_encoding = 'x'
SET server_version = '9'
SET extra_float_digits = 99
SELECT current_setting('nosuch')
SELECT set_config('nosuch', 'x', false)
BEGIN READ ONLY; INSERT INTO customers (id, name) VALUES (1, 'x')
SET TRANSACTION ISOLATION LEVEL nosuch
NOTIFY "" --= 22023 an empty name is found later
-- COPY.
COPY nosuch TO STDOUT
COPY customers (nope) TO STDOUT
COPY rich TO STDOUT
COPY customers TO STDOUT (FORMAT xml)
COPY customers TO STDOUT (nosuch)
COPY customers TO STDOUT (DELIMITER 'ab')
COPY customers TO STDOUT (FORMAT csv, QUOTE 'ab')
COPY customers TO STDOUT (QUOTE 'a')
COPY customers TO STDOUT (FORMAT csv, FORMAT text)
COPY customers TO STDOUT WHERE id = 1
COPY (SELECT nope FROM customers) TO STDOUT
COPY customers FROM STDIN (FORMAT csv, FORCE_QUOTE (id))
COPY nosuch FROM STDIN
COPY customers (id, id) FROM STDIN
-- Syntax.
SELEC 1
SELECT 1 +
SELECT FROM WHERE
SELECT * FORM customers
SELECT * FROM customers WHERE
SELECT * FROM customers WHERE id =
SELECT * FROM customers GROUP city
SELECT * FROM customers ORDER id
SELECT * FROM customers LIMIT
SELECT (1
SELECT 1)
SELECT 'abc
SELECT "abc
SELECT 1,, 2
SELECT , 1
SELECT a b c
SELECT * FROM customers JOIN orders
SELECT * FROM customers c ON c.id = 1
SELECT * FROM (SELECT 1) --= 00000 as PostgreSQL 16
INSERT customers VALUES (1)
INSERT INTO customers VALUE (1)
INSERT INTO customers VALUES 1
UPDATE customers name = 'x'
UPDATE SET a = 1
DELETE customers
CREATE TABLE (a int)
CREATE TABLE t1 a int
CREATE TABLE mistake_10 (a)
CREATE TABLE mistake_11 (a int,)
DROP customers
DROP TABLE
ALTER TABLE customers
SET
BEGIN; COMMIT TRANSACTIONS
GRANT ON customers TO admin
SELECT 1 FROM customers WHERE id IN ()
SELECT CASE END
SELECT CAST(1 AS)
SELECT 1 AS
WITH SELECT 1
SELECT 1 UNION
SELECT $$abc
/* open
