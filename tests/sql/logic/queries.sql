-- Queries over tables.
CREATE TABLE emp (id int, name text, dept int, boss int, pay numeric(10,2), since date);
INSERT INTO emp VALUES (1, 'Ann', 10, NULL, 5000.00, '2015-03-01'), (2, 'Bob', 10, 1, 3000.50, '2018-07-15'), (3, 'Cid', 20, 1, 3500.25, '2019-01-31'), (4, 'Dee', 20, 3, 2800.00, '2020-02-29'), (5, 'Eve', NULL, 3, NULL, NULL), (6, 'Bob', 30, 2, 2800.00, '2021-12-31');
CREATE TABLE dept (id int, title text);
INSERT INTO dept VALUES (10, 'Sales'), (20, 'Tech'), (40, 'Empty');
SELECT e.name, d.title FROM emp e JOIN dept d ON e.dept = d.id ORDER BY e.id;
SELECT e.name, d.title FROM emp e LEFT JOIN dept d ON e.dept = d.id ORDER BY e.id;
SELECT e.name, d.title FROM emp e RIGHT JOIN dept d ON e.dept = d.id ORDER BY e.id, d.id;
SELECT e.name, d.title FROM emp e FULL JOIN dept d ON e.dept = d.id ORDER BY e.id, d.id;
SELECT count(*) FROM emp CROSS JOIN dept;
SELECT * FROM dept NATURAL JOIN (SELECT 10 AS id, 'x' AS extra) n;
SELECT id, title, name FROM dept JOIN (SELECT dept AS id, name FROM emp) e USING (id) ORDER BY name, id;
SELECT dept, count(*), avg(pay), max(since) FROM emp GROUP BY dept ORDER BY dept;
SELECT dept, count(*) FROM emp GROUP BY dept HAVING count(*) > 1 ORDER BY 1;
SELECT dept, name, sum(pay) FROM emp GROUP BY GROUPING SETS ((dept, name), (dept), ()) ORDER BY dept, name, sum(pay);
SELECT dept, sum(pay) FROM emp GROUP BY ROLLUP (dept) ORDER BY dept, sum(pay);
SELECT DISTINCT name FROM emp ORDER BY name;
SELECT DISTINCT ON (dept) dept, name FROM emp ORDER BY dept, pay DESC NULLS LAST;
SELECT name, pay, rank() OVER (ORDER BY pay DESC NULLS LAST), sum(pay) OVER (PARTITION BY dept ORDER BY id) FROM emp ORDER BY id;
SELECT name, lead(name) OVER w, first_value(name) OVER w, ntile(3) OVER w FROM emp WINDOW w AS (ORDER BY id) ORDER BY id;
SELECT id, sum(pay) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM emp ORDER BY id;
SELECT name FROM emp WHERE pay > (SELECT avg(pay) FROM emp) ORDER BY name;
SELECT name FROM emp e WHERE EXISTS (SELECT 1 FROM emp b WHERE b.boss = e.id) ORDER BY id;
SELECT name FROM emp WHERE dept IN (SELECT id FROM dept) ORDER BY id;
SELECT name FROM emp WHERE dept NOT IN (SELECT id FROM dept) ORDER BY id;
SELECT title FROM dept d WHERE NOT EXISTS (SELECT 1 FROM emp WHERE dept = d.id);
SELECT name, (SELECT title FROM dept WHERE id = dept) AS title FROM emp ORDER BY id;
SELECT name FROM emp WHERE pay >= ALL (SELECT pay FROM emp WHERE pay IS NOT NULL);
SELECT name FROM emp WHERE pay = ANY (ARRAY[2800, 5000]) ORDER BY id;
WITH RECURSIVE chain AS (SELECT id, name, 0 AS depth FROM emp WHERE boss IS NULL UNION ALL SELECT e.id, e.name, depth + 1 FROM emp e JOIN chain c ON e.boss = c.id) SELECT name, depth FROM chain ORDER BY depth, id;
WITH rich AS (SELECT * FROM emp WHERE pay > 3000), poor AS (SELECT * FROM emp WHERE pay <= 3000) SELECT (SELECT count(*) FROM rich), (SELECT count(*) FROM poor);
SELECT name FROM emp WHERE dept = 10 UNION SELECT title FROM dept ORDER BY 1;
SELECT dept FROM emp INTERSECT SELECT id FROM dept ORDER BY 1;
SELECT id FROM dept EXCEPT SELECT dept FROM emp ORDER BY 1;
SELECT name FROM emp UNION ALL SELECT name FROM emp WHERE id = 1 ORDER BY name LIMIT 3 OFFSET 1;
SELECT name FROM emp ORDER BY pay NULLS FIRST, name DESC LIMIT 3;
SELECT name FROM emp ORDER BY since DESC FETCH FIRST 2 ROWS ONLY;
SELECT name FROM emp ORDER BY lower(name), id DESC;
SELECT e.* FROM emp e WHERE (dept, boss) = (20, 1);
SELECT name, CASE WHEN pay > 3000 THEN 'high' WHEN pay IS NULL THEN 'none' ELSE 'low' END AS class FROM emp ORDER BY id;
SELECT d.title, e.name FROM dept d, LATERAL (SELECT name FROM emp WHERE dept = d.id ORDER BY pay LIMIT 1) e ORDER BY 1;
SELECT count(*) FILTER (WHERE pay > 3000), count(DISTINCT name), string_agg(name, ',' ORDER BY id) FROM emp;
SELECT array_agg(name ORDER BY id) FROM emp WHERE dept = 20;
SELECT extract(year FROM since) AS y, count(*) FROM emp WHERE since IS NOT NULL GROUP BY 1 ORDER BY 1;
SELECT date_trunc('year', since)::date, since + interval '1 month', age(timestamp '2024-01-01', since) FROM emp WHERE id < 4 ORDER BY id;
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v (n, t) ORDER BY n DESC;
SELECT e.name AS "Name with space", e.name AS "UPPER" FROM emp e WHERE id = 1;
SELECT emp.name FROM emp AS e;
SELECT name FROM emp, dept WHERE emp.id = 1 AND id = 2;
SELECT g, g * g FROM generate_series(1, 3) AS g;
SELECT generate_series(1, 3) AS g;
SELECT unnest(ARRAY['x', 'y']) AS u;
SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b', 'c']) AS u (a, b);
SELECT x, ordinality FROM unnest(ARRAY['p', 'q']) WITH ORDINALITY AS u (x, ordinality);
SELECT 1 AS one WHERE false;
SELECT FROM emp LIMIT 2;
TABLE dept;
SELECT name FROM emp WHERE name LIKE 'B%' AND id BETWEEN 2 AND 6 ORDER BY id;
SELECT sum(pay)::int, avg(id), stddev(id), max(name) FROM emp;
SELECT coalesce(dept, -1) AS d, bool_or(pay IS NULL) FROM emp GROUP BY coalesce(dept, -1) ORDER BY d;
SELECT name FROM emp WHERE pay IS NULL OR NOT (pay > 3000) ORDER BY id;
SELECT min(id), max(id) FROM emp WHERE false;
SELECT dept FROM emp WHERE false GROUP BY dept;
DROP TABLE emp, dept;

-- trim() says of what only if it wants to
SELECT trim(trailing from '  x  ') || '|', trim(leading from '  x  ') || '|', trim(both from '  x  ') || '|', trim(from '  x  ') || '|';
SELECT trim ( trailing  from trim(both 'y' from 'y x y') ) || '|';

-- blanks at the end of char(n) say nothing, unless text is beside it
SELECT 'ab  '::char(5) = 'ab', 'ab  '::char(5) = 'ab  ', 'ab'::char(5) = 'ab  '::varchar, 'ab'::char(5) = 'ab  '::text, 'ab '::varchar = 'ab'::char(2);
SELECT 'ab'::char(5) IN ('x', 'ab   '), 'ab'::char(5) BETWEEN 'ab  ' AND 'ab ', 'b'::char(2) > 'a   ', 'ab'::char(5) = '  ab';

-- all columns of a relation that has no alias
SELECT dept.* FROM dept ORDER BY id;
SELECT public.dept.* FROM public.dept ORDER BY 1;
SELECT Dept.*, emp.name FROM emp JOIN public.dept ON dept.id = emp.dept ORDER BY emp.id LIMIT 2;
SELECT emp.* FROM dept;

-- JSON in arrays and aggregates stays JSON
SELECT json_agg(json_build_array(name)) AS a, jsonb_agg(jsonb_build_object('t', name)) AS b FROM emp WHERE id = 1;
SELECT json_agg('{"k": null}'::json) AS b, json_object_agg('k', '[1]'::json) AS c, to_json(array_agg('{}'::jsonb)) AS d;
-- Two conditions on one column, whose constants have types of their own.
CREATE TABLE twice (id int, v varchar(5), c char(3), t text, d date);
INSERT INTO twice VALUES (1, 'a', 'x', 'b', '2024-01-01'), (2, 'b', 'y', 'c', '2024-01-02');
PREPARE one (int) AS SELECT id FROM twice WHERE id = $1 AND id IN (1);
EXECUTE one (1);
EXECUTE one (2);
PREPARE two (text) AS SELECT id FROM twice WHERE v = $1 AND v = 'a' AND t = 'b';
EXECUTE two ('a');
SELECT id FROM twice WHERE v = 'a'::varchar AND v = 'a';
SELECT id FROM twice WHERE c = 'x'::char(3) AND c = 'x' AND 'x' = c;
SELECT id FROM twice WHERE t = 'b'::varchar(2) AND t = 'b'::text;
SELECT id FROM twice WHERE d = '2024-01-01'::date AND d = '2024-01-01' AND d IN ('2024-01-01');
SELECT a.id FROM twice a JOIN twice b ON a.id = b.id AND a.v = 'a'::varchar AND b.v = 'a' WHERE a.v = 'a';
DELETE FROM twice WHERE v = 'a'::varchar AND v = 'a' AND id = 1;
DEALLOCATE one;
DEALLOCATE two;
DROP TABLE twice;
-- Signs beside operators.
SELECT 5>-1, 1<-1, 2>=-2, 1<>-1, 2*-3, 6/-3, 1=-1, 3<=+3;
CREATE TABLE one_side (t text NOT NULL);
CREATE TABLE other_side (w text);
INSERT INTO one_side VALUES ('a'), ('b');
INSERT INTO other_side VALUES ('b');
SELECT (t)::varchar::text FROM one_side WHERE length(t) > 0 EXCEPT SELECT w FROM other_side;
SELECT t::text FROM one_side EXCEPT SELECT w FROM other_side;
SELECT t::text FROM one_side INTERSECT SELECT w FROM other_side;
DROP TABLE one_side, other_side;
