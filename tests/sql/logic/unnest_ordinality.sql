-- unnest of several arrays WITH ORDINALITY.
SELECT * FROM unnest(ARRAY['a', 'b', 'c'], ARRAY[1, 2]) WITH ORDINALITY;
SELECT u.k, u.v, u.n FROM unnest(ARRAY[10, 20], ARRAY['x', 'y', 'z']) WITH ORDINALITY AS u (k, v, n) ORDER BY n DESC;
SELECT * FROM unnest(NULL::int[], ARRAY[1]) WITH ORDINALITY AS u (a, b, n);
SELECT * FROM unnest(NULL::int[], '{}'::text[]) WITH ORDINALITY AS u (a, b, n);
CREATE TABLE t (id int PRIMARY KEY, a int[], b text[]);
INSERT INTO t VALUES (1, '{1,2}', '{x}'), (2, '{3}', '{y,z}');
SELECT t.id, u.* FROM t, unnest(t.a, t.b) WITH ORDINALITY AS u (k, v, n) ORDER BY 1, 4;
SELECT array_agg(attname ORDER BY arridx) FROM (SELECT * FROM pg_index i, unnest(i.indkey, i.indoption) WITH ORDINALITY koi(key, option, arridx)) x LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.key WHERE x.indrelid = 't'::regclass;
DROP TABLE t;
