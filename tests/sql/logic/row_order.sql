-- Rows that pass through a statement keep the order of their source, as long as nothing asks for another one.
SELECT md5(string_agg(g::text, ',')) FROM generate_series(1, 50000) g;
SELECT array_agg(g) = (SELECT array_agg(x ORDER BY x) FROM generate_series(1, 30000) x) FROM generate_series(1, 30000) g;
SELECT count(*) FROM (SELECT g, lag(g) OVER () AS before FROM generate_series(1, 30000) g) s WHERE before >= g;
CREATE TABLE row_order (a int);
INSERT INTO row_order VALUES (1);
INSERT INTO row_order VALUES (2);
INSERT INTO row_order SELECT generate_series(3, 20000);
INSERT INTO row_order VALUES (20001);
SELECT md5(string_agg(a::text, ',')) FROM row_order;
SELECT md5(string_agg((a * 2)::text, ',')) FROM row_order WHERE a % 3 = 0;
SELECT a FROM row_order LIMIT 3;
SELECT a FROM row_order OFFSET 19999;
DROP TABLE row_order;
-- One after the other.
SELECT 'b' AS t UNION ALL SELECT 'a' UNION ALL SELECT 'c';
SELECT nspname FROM pg_namespace WHERE nspname = 'pg_catalog' UNION ALL SELECT 'a' UNION ALL SELECT relname FROM pg_class WHERE oid = 1259;
