-- Each line is the select list of a SELECT, sent to PostgreSQL 15 and to Lakegate; bytes must be equal.
SET TimeZone = 'UTC'
-- bool
true AS a, false AS b, NULL::bool AS c
't'::bool AS a, 'off'::bool AS b, 1 = 1 AS c
-- int2, int4, int8
(-32768)::int2 AS a, 32767::int2 AS b, 0::int2 AS c
(-2147483648)::int4 AS a, 2147483647::int4 AS b, NULL::int4 AS c
(-9223372036854775808)::int8 AS a, 9223372036854775807::int8 AS b
1 AS a, 2147483648 AS b, 9223372036854775808 AS c
7 / 2 AS a, -7 / 2 AS b, 7 % 3 AS c, -7 % 3 AS d
1 + 2 AS a, 1::int2 + 1::int2 AS b, 1::int8 * 3 AS c
-- float4, float8
1.5::float4 AS a, 0.1::float4 AS b, 3.4028235e38::float4 AS c, 1e-45::float4 AS d
'NaN'::float4 AS a, 'Infinity'::float4 AS b, '-Infinity'::float4 AS c, '-0'::float4 AS d
1.5::float8 AS a, 0.1::float8 AS b, 1.7976931348623157e308::float8 AS c, 5e-324::float8 AS d
'NaN'::float8 AS a, 'Infinity'::float8 AS b, '-Infinity'::float8 AS c, '-0'::float8 AS d
1e15::float8 AS a, 1e16::float8 AS b, 123456789012345678::float8 AS c, 1e-5::float8 AS d, 0.0001::float8 AS e
1e21::float8 AS a, 100000::float4 AS b, 1e6::float4 AS c, 1234567.8::float4 AS d, 12345678.9::float8 AS e
0.1::float8 + 0.2::float8 AS a, 1::float8 / 3 AS b, sqrt(2::float8) AS c
-- numeric
1.5 AS a, 0.10 AS b, -0.001 AS c, 100 AS d
12345678901234567890.123456789 AS a, 0.0000000001 AS b
1.50::numeric(10,2) AS a, (-999.99)::numeric(5,2) AS b, 0::numeric(10,4) AS c
99999999999999999999999999999999999999::numeric(38,0) AS a
0.00000000000000000000000000000000000001::numeric(38,38) AS a
10000::numeric(10,0) AS a, 100000000::numeric(12,0) AS b, 0.0001::numeric(10,4) AS c, 12345.6789::numeric(12,4) AS d
1.1 + 2.22 AS a, 1.1 * 2.2 AS b, 5 - 2.5 AS c
'1.5'::numeric(10,3) AS a, NULL::numeric(4,1) AS b
round(2.5) AS a, round(-2.5) AS b, round(1.005, 2) AS c, trunc(1.999, 1) AS d
sum(x) AS a FROM (VALUES (1::int4), (2), (3)) t(x)
sum(x) AS a, avg(x) AS b, min(x) AS c, max(x) AS d FROM (VALUES (1.50::numeric(10,2)), (2.25), (3.00)) t(x)
avg(x) AS a FROM (VALUES (1::int4), (2), (4)) t(x)
sum(x) AS a FROM (VALUES (9223372036854775807::int8), (1)) t(x)
avg(x) AS a, sum(x) AS b FROM (VALUES (1.5::float8), (2.5)) t(x)
count(*) AS a, count(x) AS b FROM (VALUES (1), (NULL)) t(x)
--~ a quotient of columns has 16 digits after the point, PostgreSQL's as many as make 16 significant ones
1 / 3.0 AS a, 10.0 / 4 AS b, 2::numeric(10,2) / 3 AS c
-- text, varchar, char, name
'plain' AS a, ''::text AS b, 'with ''quotes'' and \ and "double"'::text AS c
'äöü €  漢字 🦆'::text AS a, E'tab\there\nand there' AS b
'abc'::varchar(10) AS a, 'abcdef'::varchar(3) AS b, 'x'::varchar AS c
'ab'::char(5) AS a, 'abcdef'::char(3) AS b, 'x'::char AS c, ''::char(2) AS d
'ab '::char(5) = 'ab'::char(5) AS a, length('ab '::char(5)) AS b, 'ab'::char(4) || 'x' AS c
'pg_catalog'::name AS a
'a' || 'b' AS a, 'n' || 1 AS b, 1.50 || '' AS c, true || '' AS d
upper('straße') AS a, lower('ÄB') AS b, length('漢字') AS c, octet_length('漢字') AS d
concat('a', NULL, 1, true) AS a, concat_ws('-', 'a', NULL, 'b') AS b
substring('abcdef' from 2 for 3) AS a, substr('abcdef', 0, 3) AS b, "left"('abc', -1) AS c, "right"('abc', 2) AS d
position('c' in 'abc') AS a, strpos('abc', 'z') AS b, replace('aXbX', 'X', '--') AS c, reverse('abc') AS d
trim('  x ') AS a, ltrim('xxa', 'x') AS b, rtrim('axx', 'x') AS c, btrim('xax', 'x') AS d
lpad('7', 3, '0') AS a, rpad('ab', 4, 'xy') AS b, repeat('ab', 3) AS c
split_part('a,b,c', ',', 2) AS a, split_part('a,b,c', ',', -1) AS b, initcap('hello WORLD') AS c
md5('x') AS a, ascii('a') AS b, chr(8364) AS c, to_hex(255) AS d
'abc' LIKE 'a%' AS a, 'abc' ILIKE 'A_C' AS b, 'a_c' LIKE 'a\_c' AS c, 'abc' NOT LIKE '%z%' AS d
'abc' ~ '^a.c$' AS a, 'ABC' ~* 'abc' AS b, 'abc' !~ 'z' AS c, 'abc' SIMILAR TO 'a(b|x)c' AS d
regexp_replace('foobarbaz', 'b..', 'X', 'g') AS a, regexp_replace('abc', '(b)', '[\1]') AS b
regexp_matches('foobar', '(o+)(b)') AS a
quote_literal('it''s') AS a, quote_ident('Mixed') AS b
format('%s-%I-%L', 'a', 'B c', 'it''s') AS a
-- bytea
'\x00ff10'::bytea AS a, ''::bytea AS b, NULL::bytea AS c
encode('\x00ff'::bytea, 'hex') AS a, decode('AAE=', 'base64') AS b, length('\x001122'::bytea) AS c
-- date
'2024-02-29'::date AS a, '0001-01-01'::date AS b, '9999-12-31'::date AS c, '1969-12-31'::date AS d
'2024-01-31'::date + 1 AS a, '2024-03-01'::date - '2024-02-01'::date AS b
'2024-01-31'::date + interval '1 month' AS a, '2024-03-31'::date - interval '1 month' AS b
'infinity'::date AS a, '-infinity'::date AS b
'10000-01-01'::date AS a, '0044-03-15 BC'::date AS b
-- time
'00:00:00'::time AS a, '23:59:59.999999'::time AS b, '12:34:56.5'::time AS c, '24:00:00'::time AS d
-- timestamp
'2024-02-29 12:34:56'::timestamp AS a, '2024-02-29 12:34:56.789'::timestamp AS b, '1999-12-31 23:59:59.999999'::timestamp AS c
'0001-01-01 00:00:00'::timestamp AS a, '9999-12-31 23:59:59'::timestamp AS b, '1969-12-31 23:59:59.5'::timestamp AS c
'infinity'::timestamp AS a, '-infinity'::timestamp AS b
'2024-01-01'::timestamp - '2023-12-25 06:00'::timestamp AS a, '2024-01-01'::timestamp + interval '1 day 2 hours' AS b
-- timestamptz
'2024-02-29 12:34:56+00'::timestamptz AS a, '2024-07-01 12:00:00+05:30'::timestamptz AS b
'infinity'::timestamptz AS a, '-infinity'::timestamptz AS b
'2024-01-01 00:00+00'::timestamptz AT TIME ZONE 'America/New_York' AS a, '2024-07-01 00:00'::timestamp AT TIME ZONE 'Europe/Berlin' AS b
extract(epoch from '2024-01-01 00:00:00.25+00'::timestamptz) AS a, extract(dow from '2024-02-29'::date) AS b
extract(year from '2024-02-29'::date) AS a, extract(second from '12:34:56.789'::time) AS b, date_part('month', '2024-02-29'::date) AS c
date_trunc('month', '2024-02-29 12:34:56'::timestamp) AS a, date_trunc('hour', '2024-02-29 12:34:56+00'::timestamptz) AS b
date_trunc('week', '2024-02-29'::timestamp) AS a, date_trunc('quarter', '2024-02-29'::timestamp) AS b
to_char('2024-02-29 15:04:05'::timestamp, 'YYYY-MM-DD HH24:MI:SS') AS a, to_char('2024-02-29'::date, 'FMMonth DD, YYYY Dy') AS b
to_char(1234567.891, 'FM9,999,999.00') AS a, to_char(42, '0000') AS b, to_char(-1.5, '9.9') AS c
to_date('2024-02-29', 'YYYY-MM-DD') AS a, to_timestamp('29.02.2024 12:30', 'DD.MM.YYYY HH24:MI') AS b
make_date(2024, 2, 29) AS a, make_timestamp(2024, 2, 29, 1, 2, 3.5) AS b, to_timestamp(0) AS c
age('2024-03-01'::timestamp, '2023-01-15'::timestamp) AS a
-- interval
interval '1 year 2 months 3 days 04:05:06.789' AS a, interval '-1 day' AS b, interval '0' AS c
interval '1 month -1 day' AS a, interval '36 hours' AS b, interval '1.5 hours' AS c, interval '-00:00:01' AS d
interval '1 day' * 2.5 AS a, interval '1 hour' / 3 AS b, interval '1 mon' + interval '2 days' AS c
make_interval(days => 3, hours => 4) AS a, justify_hours(interval '27 hours') AS b
-- uuid
'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid AS a, NULL::uuid AS b, '{a0eebc999c0b4ef8bb6d6bb9bd380a11}'::uuid AS c
-- json, jsonb
'{"b": 1,  "a": [1, 2, null]}'::json AS a, '{"b": 1,  "a": [1, 2, null], "b": 3}'::jsonb AS b
'"x"'::jsonb AS a, '1.50'::jsonb AS b, 'null'::jsonb AS c, '[]'::jsonb AS d, '{"k":"\u00e4"}'::jsonb AS e
'{"a": {"b": [10, 20]}}'::jsonb -> 'a' -> 'b' -> 1 AS a, '{"a": "x"}'::jsonb ->> 'a' AS b, '{"a": {"b": 1}}'::json #>> '{a,b}' AS c
'{"a": 1}'::jsonb @> '{"a": 1}'::jsonb AS a, '{"a": 1}'::jsonb ? 'a' AS b, jsonb_typeof('[1]'::jsonb) AS c
jsonb_build_object('a', 1, 'b', 'x') AS a, json_build_array(1, 'x', NULL) AS b, to_jsonb('x'::text) AS c
-- arrays
ARRAY[1, 2, NULL] AS a, '{}'::int4[] AS b, NULL::int4[] AS c
ARRAY['a', 'b,c', 'd"e', '', NULL, 'null', 'back\slash', ' x'] AS a
--~ numerics of one array have one scale
ARRAY[1.5, 2.25] AS a, ARRAY[1.5::float8, 'NaN'] AS b, ARRAY[true, false] AS c
ARRAY['2024-02-29'::date] AS a, ARRAY['2024-02-29 12:00:00'::timestamp] AS b, ARRAY['2024-02-29 12:00:00+00'::timestamptz] AS c
ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid] AS a, ARRAY['\x01'::bytea] AS b, ARRAY[interval '1 day'] AS c
ARRAY[[1, 2], [3, 4]] AS a
'{1,2,3}'::int8[] AS a, '{a,"b c"}'::text[] AS b, '{1.50,2}'::numeric(10,2)[] AS c
(ARRAY[10, 20, 30])[2] AS a, array_length(ARRAY[1, 2], 1) AS b, cardinality(ARRAY[1, 2, 3]) AS c, array_position(ARRAY['a', 'b'], 'b') AS d
array_to_string(ARRAY['a', NULL, 'b'], ',', '*') AS a, string_to_array('a,b', ',') AS b, array_append(ARRAY[1], 2) AS c
array_agg(x ORDER BY x DESC) AS a, string_agg(x::text, ',' ORDER BY x) AS b FROM (VALUES (1), (3), (2)) t(x)
2 = ANY(ARRAY[1, 2]) AS a, 3 = ALL('{3,3}'::int4[]) AS b, ARRAY[1, 2] || 3 AS c, ARRAY[1, 2] @> ARRAY[2] AS d
-- record
--~ an untyped literal in a record is text, not unknown
ROW(1, 'a', NULL) AS a, ROW('x y', 'q"q', '') AS b
-- nulls, case, coalesce
NULL AS a, NULL::text AS b, coalesce(NULL, 1) AS c, nullif(1, 1) AS d
--~ numerics of one column have one scale
CASE WHEN true THEN 1 ELSE 2.5 END AS a, CASE 1 WHEN 2 THEN 'x' END AS b, greatest(1, NULL, 3) AS c, least('b', 'a') AS d
1 IS DISTINCT FROM NULL AS a, NULL IS NOT DISTINCT FROM NULL AS b, 1 BETWEEN 0 AND 2 AS c, (NULL AND false) IS NULL AS d
x AS a FROM (VALUES (2), (NULL), (1)) t(x) ORDER BY x
x AS a FROM (VALUES (2), (NULL), (1)) t(x) ORDER BY x DESC
x AS a FROM (VALUES ('b'), ('B'), ('a'), ('ä'), ('Z')) t(x) ORDER BY x
x AS a FROM (VALUES ('NaN'::float8), ('Infinity'), (1), (NULL)) t(x) ORDER BY x
--~ groups of 0 and -0 show 0
x AS a, count(*) AS b FROM (VALUES ('NaN'::float8), ('NaN'), (-0.0::float8), (0.0)) t(x) GROUP BY x ORDER BY x
-- names of columns
1, 'x', now() IS NOT NULL
sum(1), count(*), max('x'::text)
lower('A'), 'a'::varchar, CASE WHEN true THEN 1 END, coalesce(1, 2), ARRAY[1]
-- math
abs(-5) AS a, ceil(1.2) AS b, floor(-1.2) AS c, sign(-3) AS d, mod(7, 3) AS e
power(2, 10) AS a, 2 ^ 3 AS b, exp(0::float8) AS c, ln(1::float8) AS d, log(100) AS e
5 & 3 AS a, 5 | 3 AS b, 5 # 3 AS c, ~5 AS d, 1 << 4 AS e, 256 >> 4 AS f
2.5::int4 AS a, 3.5::int4 AS b, (-2.5)::int4 AS c, 2.5::float8::int4 AS d, '12'::int4 AS e, true::int4 AS f
1::bool AS a, 'yes'::bool AS b, 1::text AS c, 1.50::text AS d, true::text AS e, 1.5::float8::text AS f
-- generate_series and windows
g AS a FROM generate_series(1, 10, 3) g
g AS a FROM generate_series('2024-01-01'::timestamp, '2024-01-03', interval '1 day') g
row_number() OVER (ORDER BY x) AS a, rank() OVER (ORDER BY x) AS b, lag(x) OVER (ORDER BY x) AS c, sum(x) OVER (ORDER BY x) AS d FROM (VALUES (1), (1), (3)) t(x) ORDER BY 1
percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS a FROM (VALUES (1), (2), (10)) t(x)
bool_and(x) AS a, bool_or(x) AS b, every(x) AS c FROM (VALUES (true), (false)) t(x)
stddev(x) AS a, variance(x) AS b, stddev_pop(x) AS c FROM (VALUES (1.0::float8), (2), (4)) t(x)
-- session settings change text only
SET TimeZone = 'Europe/Berlin'
'2024-07-01 12:00:00+00'::timestamptz AS a, '2024-01-01 12:00:00+00'::timestamptz AS b, '1900-01-01 00:00:00+00'::timestamptz AS c
'2024-07-01 12:00'::timestamptz AS a, ARRAY['2024-07-01 12:00'::timestamptz] AS b
'2024-03-31 02:30'::timestamptz AS a, '2024-10-27 02:30'::timestamptz AS b
date_trunc('day', '2024-07-01 23:30:00+00'::timestamptz) AS a, ('2024-07-01 23:30:00+00'::timestamptz)::date AS b, '2024-07-01'::date::timestamptz AS c
to_char('2024-07-01 12:00:00+00'::timestamptz, 'HH24:MI TZH') AS a, extract(hour from '2024-07-01 12:00:00+00'::timestamptz) AS b
SET TimeZone = 'Asia/Kolkata'
'2024-07-01 12:00:00+00'::timestamptz AS a
SET TimeZone = '-03:30'
'2024-07-01 12:00:00+00'::timestamptz AS a
SET TimeZone = 'UTC'
SET DateStyle = 'German'
'2024-02-29'::date AS a, '2024-02-29 12:34:56.7'::timestamp AS b, '2024-02-29 12:34:56+00'::timestamptz AS c
SET DateStyle = 'SQL, DMY'
'2024-02-29'::date AS a, '2024-02-29 12:34:56.7'::timestamp AS b, '2024-02-29 12:34:56+00'::timestamptz AS c
SET DateStyle = 'Postgres, MDY'
'2024-02-29'::date AS a, '2024-02-29 12:34:56.7'::timestamp AS b, '2024-02-29 12:34:56+00'::timestamptz AS c
SET DateStyle = 'ISO, MDY'
SET IntervalStyle = 'iso_8601'
interval '1 year 2 months 3 days 04:05:06.789' AS a, interval '-1 day' AS b, interval '0' AS c
SET IntervalStyle = 'sql_standard'
interval '1 year 2 months' AS a, interval '3 days 04:05:06' AS b, interval '1 year 2 months 3 days 04:05:06.789' AS c
SET IntervalStyle = 'postgres_verbose'
interval '1 year 2 months 3 days 04:05:06.789' AS a, interval '-1 day' AS b, interval '0' AS c
SET IntervalStyle = 'postgres'
SET bytea_output = 'escape'
'\x00ff41'::bytea AS a, 'a\\b'::bytea AS b
SET bytea_output = 'hex'
SET extra_float_digits = 0
0.1::float8 + 0.2::float8 AS a, 0.1::float4 AS b, 1e15::float8 AS c
SET extra_float_digits = 1
