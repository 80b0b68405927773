-- Types that Arrow does not tell apart survive CASE, aggregates and recursion: drivers choose their codec by them.
SELECT pg_typeof(CASE WHEN true THEN '00000000-0000-0000-0000-00000000000a'::uuid ELSE NULL END)::text, pg_typeof(CASE WHEN true THEN '1'::jsonb END)::text,
    pg_typeof(CASE 1 WHEN 1 THEN 1::oid ELSE 2::oid END)::text, pg_typeof(CASE WHEN true THEN 'x'::name END)::text, pg_typeof(CASE WHEN true THEN 1 ELSE 2.5 END)::text,
    pg_typeof(CASE WHEN true THEN 'x'::name ELSE 'y'::text END)::text;
SELECT pg_typeof(array_agg(a))::text, pg_typeof(array_agg(b))::text, pg_typeof(array_agg(c))::text, pg_typeof(array_agg(d))::text, pg_typeof(array_agg(a ORDER BY d))::text,
    pg_typeof(array_agg(DISTINCT c))::text FROM (VALUES (1::oid, '1'::jsonb, '00000000-0000-0000-0000-00000000000a'::uuid, 1.50::numeric(5,2))) t(a, b, c, d);
SELECT a, pg_typeof(CASE WHEN a = 1 THEN (SELECT array_agg(x::oid ORDER BY x) FROM (VALUES (1), (2)) v(x) WHERE x >= a) ELSE NULL END)::text FROM (VALUES (1)) t(a);
WITH RECURSIVE u(b, d) AS (
    SELECT (CASE WHEN a = 1 THEN (SELECT array_agg(x ORDER BY x) FROM (VALUES (1), (2)) v(x) WHERE x >= a) ELSE NULL END), 0 FROM (VALUES (1)) t(a)
    UNION ALL SELECT b, d + 1 FROM u WHERE d < 2) SELECT b, d FROM u ORDER BY d;
SELECT count(*), min(k::text) FROM (SELECT CASE WHEN a > 1 THEN '00000000-0000-0000-0000-00000000000a'::uuid ELSE NULL END AS k FROM (VALUES (1), (2)) t(a)) x;
SELECT k, count(*) FROM (SELECT CASE WHEN a > 1 THEN '{"a": 1}'::jsonb ELSE NULL END AS k FROM (VALUES (1), (2)) t(a)) x GROUP BY k ORDER BY 2, 1;
SELECT array_agg(CASE WHEN a > 1 THEN a::oid END ORDER BY a) FROM (VALUES (1), (2)) t(a);
SELECT a, array_agg(b) OVER (ORDER BY a) FROM (VALUES (1, 5::oid), (2, 6)) t(a, b) ORDER BY a;
WITH RECURSIVE u(k, d) AS (SELECT CASE WHEN a = 1 THEN '00000000-0000-0000-0000-00000000000a'::uuid END, 0 FROM (VALUES (1)) t(a)
    UNION ALL SELECT CASE WHEN d > 5 THEN NULL ELSE k END, d + 1 FROM u WHERE d < 2) SELECT k::text, d FROM u ORDER BY d;
