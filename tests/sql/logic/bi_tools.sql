-- What BI tools that cannot be installed here send besides questions to the catalogs (those: tests/introspection/client_queries.sql).
-- Npgsql (Power BI, Excel): a pooled connection is cleaned.
DISCARD ALL;
SET search_path = public;
CLOSE ALL;
UNLISTEN *;
RESET ALL;
-- Metabase.
BEGIN READ ONLY;
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED;
-- The default level is another.
--= transaction_isolation:25 ; repeatable read ; SHOW ; ready T
SHOW TRANSACTION ISOLATION LEVEL;
COMMIT;
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ;
CREATE SCHEMA IF NOT EXISTS bi_tools;
SET search_path = bi_tools, public;
CREATE TABLE orders (id int PRIMARY KEY, name text, amount numeric(10,2), at timestamp);
INSERT INTO orders VALUES (1, 'a', 1.50, '2024-01-01 10:00'), (2, 'b', 2.50, '2024-02-01 11:00'), (3, NULL, NULL, NULL);
SELECT TRUE AS "_" FROM "bi_tools"."orders" WHERE 1 <> 1 LIMIT 0;
SELECT DATE_TRUNC('month', "bi_tools"."orders"."at") AS "at", SUM("bi_tools"."orders"."amount") AS "sum" FROM "bi_tools"."orders" GROUP BY DATE_TRUNC('month', "bi_tools"."orders"."at") ORDER BY DATE_TRUNC('month', "bi_tools"."orders"."at") ASC;
-- Tableau: may it make temporary tables, and cursors of the ODBC driver.
SELECT * INTO TEMPORARY TABLE "#Tableau_3273_B9804D3E-4C89-4181-9CAF-F42161F5FCDE_1_Connect_C" FROM (SELECT 1 AS COL) AS CHECKTEMP LIMIT 1;
DROP TABLE "#Tableau_3273_B9804D3E-4C89-4181-9CAF-F42161F5FCDE_1_Connect_C";
CREATE LOCAL TEMPORARY TABLE "#Tableau_4" ("key" bigint, "value" text) ON COMMIT PRESERVE ROWS;
INSERT INTO "#Tableau_4" VALUES (1, 'x');
SELECT "orders"."name" AS "name", SUM("orders"."amount") AS "sum:amount:ok" FROM "bi_tools"."orders" "orders" INNER JOIN "#Tableau_4" "f" ON (("orders"."id" = "f"."key") OR (("orders"."id" IS NULL) AND ("f"."key" IS NULL))) GROUP BY 1;
DROP TABLE "#Tableau_4";
BEGIN;
declare "SQL_CUR0x7fd83880dc00" cursor with hold for SELECT id, name FROM orders ORDER BY id LIMIT 1000;
fetch 2 in "SQL_CUR0x7fd83880dc00";
COMMIT;
fetch 10000 in "SQL_CUR0x7fd83880dc00";
close "SQL_CUR0x7fd83880dc00";
SET DateStyle = 'ISO';
SET extra_float_digits = 2;
show max_identifier_length;
select oid, typbasetype from pg_type where typname = 'lo';
-- DBeaver, DataGrip: the driver's settings.
SET application_name = 'DBeaver 24.1.0 - Main <bi>';
SHOW search_path;
SELECT current_schema(), session_user = current_user;
-- Grafana's macros.
SELECT extract(epoch from at)::bigint AS "time", amount AS metric FROM orders WHERE at BETWEEN '2024-01-01T00:00:00Z' AND '2024-12-31T00:00:00Z' ORDER BY 1;
SELECT floor(extract(epoch from at) / 86400) * 86400 AS "time", avg(amount)::float8 FROM orders WHERE at IS NOT NULL GROUP BY 1 ORDER BY 1;
SELECT current_setting('server_version_num')::int / 100 AS version;
-- QuickSight, Looker Studio: the first rows, and counts over subqueries.
SELECT COUNT(*) AS c FROM (SELECT * FROM "bi_tools"."orders") AS "DataSet";
SELECT * FROM (SELECT "id", "name", CAST("at" AS date) AS "day" FROM "bi_tools"."orders") AS q ORDER BY "id" OFFSET 1 LIMIT 1;
RESET ALL;
DROP TABLE bi_tools.orders;
DROP SCHEMA bi_tools;
