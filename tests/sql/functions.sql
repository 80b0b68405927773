-- Functions that BI tools and dbt use. Each line is the select list of a SELECT, sent to PostgreSQL 15 and to Lakegate; bytes must be equal.
SET TimeZone = 'UTC'
-- strings
left('abcdef', 2) AS a, left('abcdef', -2) AS b, right('abcdef', 2) AS c, right('abcdef', -2) AS d, left('äöü', 1) AS e
lpad('hi', 5) AS a, lpad('hi', 5, 'xy') AS b, lpad('hello', 2) AS c, rpad('hi', 5, 'xy') AS d, rpad('hi', 5) || '|' AS e, lpad('hi', 5, '') AS f
initcap('hi THOMAS o''neil x-y') AS a, initcap('été ÉTÉ') AS b
translate('12345', '143', 'ax') AS a, translate('abc', '', 'x') AS b
split_part('abc~@~def~@~ghi', '~@~', 2) AS a, split_part('a,b,c', ',', 5) AS b, split_part('a,b,c', ',', -2) AS c, split_part('abc', '', 1) AS d
strpos('high', 'ig') AS a, strpos('abc', '') AS b, strpos('äbc', 'c') AS c
repeat('Pg', 4) AS a, repeat('x', 0) AS b, repeat('x', -1) AS c
reverse('abcde') AS a, reverse('äöü') AS b
overlay('Txxxxas' placing 'hom' from 2 for 4) AS a, overlay('Txxxxas' placing 'hom' from 2) AS b
btrim('xyxtrimyyx', 'xyz') AS a, trim(both 'xyz' from 'yxTomxx') AS b, trim(leading 'x' from 'xxTomx') AS c, trim(trailing 'x' from 'xTomxx') AS d, trim(' a ') AS e
concat('abcde', 2, NULL, 22) AS a, concat_ws(',', 'abcde', 2, NULL, 22) AS b, concat(NULL) AS c, concat_ws(NULL, 'a', 'b') AS d
concat(true, 1.50, '2024-01-01'::date, ARRAY[1,2]) AS a
format('Hello %s, %1$s', 'World') AS a, format('%I = %L', 'my col', 'it''s') AS b, format('%-10s|', 'foo') AS c, format('%10s|', 'foo') AS d, format('%%') AS e, format('%L', NULL) AS f
quote_ident('Foo bar') AS a, quote_ident('select') AS b, quote_literal('O''Reilly') AS c, quote_literal(42.5) AS d, quote_nullable(NULL) AS e, quote_literal(E'a\\b') AS f
md5('abc') AS a, md5('\x00'::bytea) AS b
encode('\x1234ff'::bytea, 'hex') AS a, encode('\x1234ff'::bytea, 'base64') AS b, encode('\x1234ff00'::bytea, 'escape') AS c
decode('1234ff', 'hex') AS a, decode('EjT/', 'base64') AS b, decode('a\000b', 'escape') AS c
regexp_replace('Thomas', '.[mN]a.', 'M') AS a, regexp_replace('abc', 'B', 'x', 'i') AS b, regexp_replace('aaa', 'a', 'b', 'g') AS c, regexp_replace('foobar', '(o+)', '<\1>\&', 'g') AS d
regexp_replace('Thomas', '.', 'X', 3) AS a, regexp_replace('Thomas', '.', 'X', 3, 2) AS b, regexp_replace('A PostgreSQL function', 'a|e|i|o|u', 'X', 1, 0, 'i') AS c
regexp_match('foobarbequebaz', '(bar)(beque)') AS a, regexp_match('foobar', 'x') AS b, regexp_match('foobar', 'o+') AS c, (regexp_match('id=42', 'id=(\d+)'))[1] AS d
regexp_matches('foobarbequebaz', 'ba.', 'g') AS a
regexp_split_to_array('hello world  foo', '\s+') AS a, regexp_split_to_array('abc', '') AS b, regexp_split_to_array('a,b,', ',') AS c
regexp_split_to_table('hello world', '\s+') AS a
regexp_count('123456789012', '\d\d\d', 2) AS a, regexp_count('abcabc', 'b') AS b
regexp_instr('ABCDEF', 'c(.)(..)', 1, 1, 0, 'i') AS a, regexp_instr('abcabc', 'c', 1, 2) AS b
regexp_substr('ABCDEF', 'c(.)(..)', 1, 1, 'i') AS a, regexp_substr('ABCDEF', 'c(.)(..)', 1, 1, 'i', 2) AS b
regexp_like('Hello World', 'world$', 'i') AS a, regexp_like('abc', '^b') AS b
string_to_array('xx~~yy~~zz', '~~', 'yy') AS a, string_to_array('abc', NULL) AS b, string_to_array('', ',') AS c, string_to_array('a,b,', ',') AS d
string_to_table('a,b,c', ',') AS a
array_to_string(ARRAY[1, 2, 3, NULL, 5], ',', '*') AS a, array_to_string(ARRAY[1, NULL, 2], ',') AS b, array_to_string(ARRAY[true, false], '/') AS c
to_hex(2147483647) AS a, to_hex(-1) AS b, to_hex(9223372036854775807) AS c
chr(65) AS a, ascii('x') AS b, ascii('é') AS c, ascii('') AS d
starts_with('alphabet', 'alph') AS a, 'alphabet' ^@ 'alph' AS b
sha224('abc'::bytea) AS a, sha256('abc'::bytea) AS b, sha384('abc'::bytea) AS c, sha512('abc'::bytea) AS d
length('jose') AS a, char_length('josé') AS b, character_length('josé') AS c, octet_length('josé') AS d, bit_length('jose') AS e, length('\xff00'::bytea) AS f
--~ lower of a dotted capital I: the C library's table against Unicode's
upper('straße é') AS a, lower('ÉÀ ẞ') AS b, upper('ŉ ǰ') AS c, lower('İ') AS d
substring('Thomas' from 2 for 3) AS a, substring('Thomas' from '...$') AS b, substr('alphabet', 3) AS d, substr('alphabet', 3, 2) AS e, substring('foobar', 'o(.)b') AS f, substring('abc' for 2) AS g
substring('abc', -1, 3) AS a, substr('abc', 0) AS b, substring('\x010203'::bytea from 2 for 1) AS c
position('om' in 'Thomas') AS a, position('\x02'::bytea in '\x0102'::bytea) AS b
replace('abcdefabcdef', 'cd', 'XX') AS a, replace('abc', '', 'x') AS b
unistr('d\0061t\+000061') AS a
parse_ident('"SomeSchema".someTable') AS a
'abc' || NULL AS a, 'a' || 1 || true AS b, '%d' LIKE '\%d' AS c, 'abc' LIKE '_b_' AS d, 'aBc' ILIKE 'AB%' AS e
'abc' SIMILAR TO '%(b|d)%' AS a, 'abc' ~ '^(b|c)' AS b, 'a.c' LIKE 'a#.c' ESCAPE '#' AS c, 'x' NOT ILIKE 'X' AS d
get_byte('\x1234567890'::bytea, 4) AS a, set_byte('\x1234567890'::bytea, 4, 64) AS b, get_bit('\x1234567890'::bytea, 30) AS c, set_bit('\x1234567890'::bytea, 30, 0) AS d
convert_from('\xc3a9'::bytea, 'UTF8') AS a, convert_to('é', 'UTF8') AS b, convert_to('é', 'LATIN1') AS c
num_nulls(1, NULL, 2) AS a, num_nonnulls(1, NULL, 2) AS b
string_agg(x, ', ' ORDER BY x DESC) AS a FROM (VALUES ('a'), ('c'), ('b')) t(x)
string_agg(DISTINCT x, ',') AS a FROM (VALUES ('a'), ('b'), ('a')) t(x)
string_agg(x, ',') AS a FROM (VALUES (NULL), ('b')) t(x)
-- numbers
round(42.4382, 2) AS a, round(1234.56, -1) AS b, round(42.5) AS c, round(-42.5) AS d, round(2.5::float8) AS e, round(5) AS f
trunc(42.8) AS a, trunc(42.4382, 2) AS b, trunc(-42.8) AS c, trunc(2.7::float8) AS d, trunc(1234.5, -2) AS e
ceil(-42.8) AS a, ceiling(95.3) AS b, floor(-42.8) AS c, ceil(1.5::float8) AS d, floor(7) AS e
power(9, 3) AS a, 2 ^ 10 AS c, power(2, -1) AS e, power(2::float8, 0.5) AS f
sqrt(2) AS a, cbrt(8.0) AS d, |/ 25.0 AS e, ||/ 64.0 AS f
ln(2::float8) AS b, log(100::float8) AS c, log10(1000::float8) AS e, exp(1::float8) AS g
mod(9, 4) AS a, mod(-9, 4) AS b, mod(9.5, 4) AS c, 9 % 4 AS d, div(9, 4) AS e, div(-9, 4) AS f
gcd(1071, 462) AS a, lcm(1071, 462) AS b, gcd(0, 0) AS c, factorial(5) AS d, gcd(1.5, 1.0) AS e
width_bucket(5.35, 0.024, 10.06, 5) AS a, width_bucket(5.35::float8, 0.024, 10.06, 5) AS b, width_bucket(now(), ARRAY['2000-01-01', '2010-01-01']::timestamptz[]) AS c, width_bucket(3, ARRAY[1, 3, 5]) AS d
abs(-17.4) AS a, abs(-5::int8) AS b, abs(-1.5::float4) AS c, sign(-8.4) AS d, sign(3) AS e, @ -5 AS f
sin(1) AS a, cos(1) AS b, tan(1) AS c, cot(0.5) AS d, asin(1) AS e, acos(0.5) AS f, atan(1) AS g, atan2(1, 2) AS h
sind(30) AS a, cosd(60) AS b, tand(45) AS c, cotd(45) AS d, asind(0.5) AS e, acosd(0.5) AS f, atand(1) AS g, atan2d(1, 1) AS h
sinh(1) AS a, cosh(0) AS b, tanh(1) AS c, asinh(1) AS d, acosh(1) AS e, atanh(0.5) AS f
degrees(0.5) AS a, radians(45.0) AS b, pi() AS c
scale(8.4100) AS a, min_scale(8.4100) AS b
random() BETWEEN 0 AND 1 AS a
greatest(1, 2.5, NULL) AS a, least('b'::text, 'a') AS b, greatest(NULL, NULL) AS c
1.0 / 3 AS a, 2.0 / 3.0 AS b, 1 / 3.0 AS c, 100.0 / 7 AS d, 1000000.0 / 3 AS e, 0.001 / 3 AS f, 12345678901234.0 / 7 AS g
10 / 4 AS a, -10 / 4 AS b, 10 / 4::float8 AS c, 5 / 2::numeric AS d
1.5 + 1 AS a, 1.5 - 2.25 AS b, 1.5 * 1.50 AS c, 7.5 % 2 AS d, -(-5) AS e, +3 AS f
17::numeric(5,2) AS a, 3.14159::numeric(4,2) AS b, 12345::text::int8 AS c, '1e3'::float8::int AS d, '  12 '::int AS e
to_char(1234.5, '9,999.99') AS a, to_char(0.5, 'FM0.00') AS b, to_char(-12, 'S99') AS c, to_char(12, 'RN') AS d, to_char(1234567, '9G999G999') AS e, to_char(0.1234, '990.99%') AS f
to_char(12.345::float8, '99.9') AS a, to_char(1, '000') AS b, to_char(485, '999th') AS c, to_char(-485, '999PR') AS d, to_char(1234.5678, '9.99EEEE') AS e
to_number('12,454.8-', '99G999D9S') AS a, to_number('$1,234.5', 'L9,999.9') AS b
-- dates and times
date_trunc('microseconds', '2024-05-17 13:45:59.123456'::timestamp) AS a, date_trunc('milliseconds', '2024-05-17 13:45:59.123456'::timestamp) AS b, date_trunc('second', '2024-05-17 13:45:59.123456'::timestamp) AS c, date_trunc('minute', '2024-05-17 13:45:59'::timestamp) AS d
date_trunc('hour', '2024-05-17 13:45:59'::timestamp) AS a, date_trunc('day', '2024-05-17 13:45:59'::timestamp) AS b, date_trunc('week', '2024-05-17 13:45:59'::timestamp) AS c, date_trunc('month', '2024-05-17 13:45:59'::timestamp) AS d, date_trunc('quarter', '2024-05-17 13:45:59'::timestamp) AS e
date_trunc('year', '2024-05-17 13:45:59'::timestamp) AS a, date_trunc('decade', '2024-05-17 13:45:59'::timestamp) AS b, date_trunc('century', '2024-05-17 13:45:59'::timestamp) AS c, date_trunc('millennium', '2024-05-17 13:45:59'::timestamp) AS d
date_trunc('day', '2024-05-17 02:00:00+00'::timestamptz, 'America/New_York') AS a, date_trunc('month', '2024-05-17'::date) AS b, date_trunc('hour', interval '2 days 03:04:05') AS c
date_part('year', '2024-05-17'::date) AS a, date_part('dow', '2024-05-17'::timestamp) AS b, date_part('doy', '2024-05-17'::date) AS c, date_part('week', '2024-05-17'::date) AS d, date_part('quarter', '2024-05-17'::date) AS e, date_part('epoch', '2024-05-17 01:02:03.5'::timestamp) AS f
extract(isodow from '2024-05-19'::date) AS a, extract(isoyear from '2024-12-30'::date) AS b, extract(century from '2024-05-17'::date) AS c, extract(decade from '2024-05-17'::date) AS d, extract(millennium from '2024-05-17'::date) AS e, extract(julian from '2024-05-17'::date) AS f
extract(second from '2024-05-17 13:45:59.25'::timestamp) AS a, extract(milliseconds from '2024-05-17 13:45:59.25'::timestamp) AS b, extract(microseconds from '2024-05-17 13:45:59.25'::timestamp) AS c, extract(epoch from interval '1 day 02:00:00.5') AS d, extract(epoch from '2024-05-17'::date) AS e
extract(timezone from '2024-05-17 13:45:59+00'::timestamptz) AS a, extract(timezone_hour from '2024-05-17 13:45:59+00'::timestamptz) AS b, extract(hour from '13:45:59'::time) AS c, extract(day from interval '40 days 5 hours') AS d, extract(month from interval '14 months') AS e
age('2024-05-17'::timestamp, '1957-06-13'::timestamp) AS a, age('2024-03-31'::date, '2024-02-29'::date) AS b, age('2024-01-01 00:00+00'::timestamptz, '2023-12-31 12:00+00'::timestamptz) AS c
to_timestamp(1284352323) AS a, to_timestamp(1284352323.5) AS b, to_timestamp('05 Dec 2000', 'DD Mon YYYY') AS c, to_timestamp('2024-05-17 13:45:59.123', 'YYYY-MM-DD HH24:MI:SS.MS') AS d
to_date('05 Dec 2000', 'DD Mon YYYY') AS a, to_date('20240517', 'YYYYMMDD') AS b, to_date('2024-138', 'YYYY-DDD') AS c, to_date('17/5/24', 'DD/MM/YY') AS d
make_date(2013, 7, 15) AS a, make_time(8, 15, 23.5) AS b, make_timestamp(2013, 7, 15, 8, 15, 23.5) AS c, make_timestamptz(2013, 7, 15, 8, 15, 23.5) AS d, make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'Europe/Berlin') AS e
make_interval(1, 2, 3, 4, 5, 6, 7.5) AS a, make_interval(days => 10) AS b, make_interval(hours => 1, mins => 30) AS c, make_interval(1, 2, secs => 0.5) AS d, make_interval() AS e, make_interval(years := 2) AS f
make_date(year => 2024, month => 5, day => 17) AS a, make_time(hour => 1, min => 2, sec => 3) AS b
date_bin('15 minutes', '2020-02-11 15:44:17'::timestamp, '2001-01-01'::timestamp) AS a, date_bin('1 hour', '2020-02-11 15:44:17+00'::timestamptz, '2001-01-01 00:02:30+00'::timestamptz) AS b
justify_days(interval '35 days') AS a, justify_hours(interval '27 hours') AS b, justify_interval(interval '1 mon -1 hour') AS c
isfinite('2024-05-17'::date) AS a, isfinite('infinity'::timestamp) AS b, isfinite(interval '4 hours') AS c
--~ a statement of one message starts with its transaction here
clock_timestamp() >= now() AS a, statement_timestamp() = now() AS b, now() = transaction_timestamp() AS c, current_date = now()::date AS d, localtimestamp = now()::timestamp AS e
'2024-05-17 12:00'::timestamp AT TIME ZONE 'America/New_York' AS a, '2024-05-17 12:00+00'::timestamptz AT TIME ZONE 'Asia/Tokyo' AS b, timezone('UTC', '2024-05-17 12:00'::timestamp) AS c, '2024-05-17 12:00+00'::timestamptz AT TIME ZONE interval '2 hours' AS d
'2024-05-17'::date + 7 AS a, '2024-05-17'::date - 7 AS b, '2024-05-17'::date - '2024-05-01'::date AS c, '2024-05-17'::date + time '03:00' AS d, '2024-05-17 12:00'::timestamp - '2024-05-16 10:00'::timestamp AS e
interval '1 day' * 3 AS a, 2.5 * interval '1 hour' AS b, interval '1 hour' / 2 AS c, -interval '1 day' AS d, interval '1 day' + interval '2 hours' AS e, time '05:00' + interval '3 hours' AS f, time '05:00' - time '03:00' AS g
'2024-01-31'::date + interval '1 month' AS a, '2024-02-29'::timestamp + interval '1 year' AS b, '2024-05-17 00:00+00'::timestamptz - interval '1 month' AS c
('2024-01-01'::date, '2024-02-01'::date) OVERLAPS ('2024-01-15'::date, '2024-03-01'::date) AS a, ('2024-01-01'::date, interval '10 days') OVERLAPS ('2024-01-15'::date, interval '1 day') AS b
to_char('2024-05-17 13:05:09.123456'::timestamp, 'YYYY-MM-DD"T"HH24:MI:SS.US') AS a, to_char('2024-05-17'::date, 'Day, DD Month YYYY') AS b, to_char('2024-05-17'::timestamp, 'IYYY-IW ID Q WW DDD J') AS c, to_char('2024-05-17 13:05'::timestamp, 'HH12:MI AM, Mon FMDDth') AS d
to_char(interval '15 hours 2 minutes 12 seconds', 'HH24:MI:SS') AS a, to_char('2024-05-17'::timestamp, 'yyyy-mm CC Y,YYY RM') AS b
interval '1 year' > interval '364 days' AS a, interval '1 month' = interval '30 days' AS b, interval '24 hours' = interval '1 day' AS c
'2024-05-17'::date::text AS a, '2024-05-17 10:00'::timestamp::date AS b, '2024-05-17 10:00:01.5'::timestamp::time AS c, interval '90 minutes'::text AS d, '10:30'::time::interval AS e
date '2024-05-17' BETWEEN date '2024-01-01' AND date '2024-12-31' AS a, timestamp '2024-05-17 00:00' = date '2024-05-17' AS b
date_part('day', '2024-05-17'::timestamp - '2024-05-01'::timestamp) AS a, extract(epoch from ('2024-05-17 12:00'::timestamp - '2024-05-17 11:00'::timestamp)) / 60 AS b
-- json
'[1,2,3]'::json -> 2 AS a, '{"a":1,"b":2}'::json ->> 'b' AS b, '[1,2,3]'::jsonb ->> -1 AS c, '{"a":{"b":["foo","bar"]}}'::json #> '{a,b,1}' AS d, '{"a":{"b":["foo","bar"]}}'::jsonb #>> '{a,b,1}' AS e
'{"a":1,"b":2}'::jsonb @> '{"b":2}'::jsonb AS a, '{"b":2}'::jsonb <@ '{"a":1,"b":2}'::jsonb AS b, '{"a":1}'::jsonb ? 'a' AS c, '{"a":1}'::jsonb ?| array['b','a'] AS d, '{"a":1}'::jsonb ?& array['a','b'] AS e
'{"a":1}'::jsonb || '{"b":2}'::jsonb AS a, '[1,2]'::jsonb || '3'::jsonb AS b, '{"a":1,"b":2}'::jsonb - 'a' AS c, '["a","b"]'::jsonb - 1 AS d, '{"a":1,"b":2}'::jsonb - '{a,b}'::text[] AS e, '{"a":{"b":1}}'::jsonb #- '{a,b}' AS f
json_build_object('foo', 1, 2, 'bar') AS a, jsonb_build_object('d', '2024-05-17'::date, 'n', NULL, 'arr', ARRAY[1,2]) AS b, json_build_array(1, 2, 'foo', 4.50, true) AS c, jsonb_build_array() AS d
to_json('Fred said "Hi."'::text) AS a, to_jsonb(42.50) AS b, to_jsonb(ARRAY[1,2]) AS c, to_json('2024-05-17 10:00'::timestamp) AS d, to_jsonb(ROW(1, 'x')) AS e
row_to_json(ROW(1, 'foo')) AS a
array_to_json(ARRAY[1, 2]) AS a, json_object('{a,1,b,2}') AS b, json_object('{a,b}', '{1,2}') AS c, jsonb_object('{a,1}') AS d
jsonb_set('[{"f1":1,"f2":null},2]'::jsonb, '{0,f1}', '[2,3]', false) AS a, jsonb_set('{"a":1}'::jsonb, '{b}', '2') AS b, jsonb_insert('{"a":[0,1]}'::jsonb, '{a,1}', '"n"') AS c, jsonb_set_lax('{"a":1}'::jsonb, '{a}', NULL) AS d
jsonb_pretty('[{"f1":1,"f2":null}, 2]'::jsonb) AS a, jsonb_typeof('-123.4'::jsonb) AS b, json_typeof('[1]'::json) AS c, json_strip_nulls('{"a":1,"b":null}'::json) AS d
jsonb_array_elements('[1,true,[2,false]]'::jsonb) AS a, json_array_elements('[1,"a"]'::json) AS b
jsonb_array_elements_text('["foo","bar",null]'::jsonb) AS a
key AS a, value AS b FROM jsonb_each('{"a":"foo","b":[1]}'::jsonb) ORDER BY 1
key AS a, value AS b FROM json_each_text('{"a":"foo","b":"bar"}'::json)
jsonb_object_keys('{"f1":"abc","f2":{"f3":"a"}}'::jsonb) AS a
jsonb_array_length('[1,2,3]'::jsonb) AS a, json_array_length('[]'::json) AS b, jsonb_extract_path_text('{"a":{"b":"c"}}'::jsonb, 'a', 'b') AS c, json_extract_path('{"a":[1]}'::json, 'a', '0') AS d
json_agg(x ORDER BY x) AS a, jsonb_agg(x ORDER BY x DESC) AS b FROM (VALUES (1), (2)) t(x)
json_object_agg(k, v) AS a, jsonb_object_agg(k, v) AS b FROM (VALUES ('a', 1), ('b', 2)) t(k, v)
('{"a":1.5}'::jsonb ->> 'a')::numeric AS a, ('{"a":"2024-05-17"}'::jsonb ->> 'a')::date AS b, ('5'::jsonb)::int AS c, ('true'::jsonb)::bool AS d
'{"b":1,"a":2}'::jsonb = '{"a":2,"b":1}'::jsonb AS a, '[1]'::jsonb < '[2]'::jsonb AS b, '{"a": null}'::jsonb -> 'a' IS NULL AS c, '{"a": null}'::jsonb ->> 'a' IS NULL AS d
-- arrays
array_append(ARRAY[1,2], 3) AS a, array_prepend(1, ARRAY[2,3]) AS b, array_cat(ARRAY[1,2], ARRAY[3]) AS c, ARRAY[1,2] || ARRAY[3] AS d, 0 || ARRAY[1] AS e
array_length(ARRAY[1,2,3], 1) AS a, array_upper(ARRAY[1,8], 1) AS b, array_lower(ARRAY[1], 1) AS c, array_ndims(ARRAY[[1,2],[3,4]]) AS d, array_dims(ARRAY[[1,2],[3,4]]) AS e, cardinality(ARRAY[[1,2],[3,4]]) AS f, array_length('{}'::int[], 1) AS g
array_position(ARRAY['sun','mon','tue'], 'mon') AS a, array_positions(ARRAY['A','A','B'], 'A') AS b, array_remove(ARRAY[1,2,3,2], 2) AS c, array_replace(ARRAY[1,2,5,4], 5, 3) AS d, array_fill(7, ARRAY[3]) AS e, trim_array(ARRAY[1,2,3], 1) AS f
ARRAY[1,2,3] @> ARRAY[2] AS a, ARRAY[2] <@ ARRAY[1,2] AS b, ARRAY[1,4] && ARRAY[4,5] AS c, ARRAY[1,2] = ARRAY[1,2] AS d, ARRAY[1,2] < ARRAY[1,3] AS e, 2 = ANY(ARRAY[1,2]) AS f, 2 <> ALL(ARRAY[1,3]) AS g
unnest(ARRAY[1,2]) AS a, unnest(ARRAY['x','y']) AS b
a AS a, b AS b FROM unnest(ARRAY[1,2], ARRAY['x','y','z']) AS t(a, b)
x AS a, n AS b FROM unnest(ARRAY['a','b']) WITH ORDINALITY AS t(x, n)
(ARRAY[1,2,3,4])[2:3] AS a, (ARRAY['a','b'])[1] AS b, (ARRAY[[1,2],[3,4]])[2][1] AS c, (ARRAY[1])[5] AS d
ARRAY(SELECT g FROM generate_series(1, 3) g) AS a
array_agg(x ORDER BY x DESC) AS a, array_agg(DISTINCT x) AS b FROM (VALUES (1), (3), (1)) t(x)
array_agg(x) FILTER (WHERE x > 1) AS a FROM (VALUES (1), (3)) t(x)
-- aggregates
bool_and(x > 0) AS a, bool_or(x > 2) AS b, every(x > 1) AS c, bit_and(x) AS d, bit_or(x) AS e, bit_xor(x) AS f FROM (VALUES (1), (2), (3)) t(x)
count(DISTINCT x) AS a, count(*) FILTER (WHERE x > 1) AS b, sum(x) FILTER (WHERE x > 5) AS c, count(x) AS d FROM (VALUES (1), (2), (2), (NULL)) t(x)
sum(DISTINCT x) AS a, avg(DISTINCT x) AS b, max(x) AS c, min(x) AS d FROM (VALUES (1), (2), (2)) t(x)
avg(x) AS b FROM (VALUES (1.5::float4), (2.5)) t(x)
sum(x) AS a, avg(x) AS b FROM (VALUES (interval '1 hour'), (interval '2 hours')) t(x)
sum(x) AS a, avg(x) AS b FROM (VALUES (1::int2), (2::int2)) t(x)
sum(x) AS a, avg(x) AS b FROM (VALUES (1.10), (2.2), (3)) t(x)
percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS a, percentile_disc(0.5) WITHIN GROUP (ORDER BY x) AS b, mode() WITHIN GROUP (ORDER BY x) AS c FROM (VALUES (1), (2), (2), (10)) t(x)
percentile_cont(0.25) WITHIN GROUP (ORDER BY x DESC) AS a, percentile_cont(0.9) WITHIN GROUP (ORDER BY x) AS b FROM (VALUES (1.5::float8), (2), (4)) t(x)
percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY x) AS a FROM (VALUES (1), (2), (3), (4)) t(x)
percentile_disc(0.5) WITHIN GROUP (ORDER BY x) AS a, mode() WITHIN GROUP (ORDER BY x) AS b FROM (VALUES ('a'), ('b'), ('b')) t(x)
percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS a FROM (VALUES (interval '1 hour'), (interval '2 hours')) t(x)
stddev(x) AS a, stddev_pop(x) AS b, stddev_samp(x) AS c, variance(x) AS d, var_pop(x) AS e, var_samp(x) AS f FROM (VALUES (1), (2), (3), (4), (5), (6)) t(x)
stddev(x) AS a, stddev_pop(x) AS b, variance(x) AS c, var_pop(x) AS d FROM (VALUES (1.1), (2.22), (3.333), (100)) t(x)
stddev(x) AS a, stddev_pop(x) AS b, variance(x) AS c, var_pop(x) AS d FROM (VALUES (1.1::float8), (2.22), (3.333), (100), (7e5)) t(x)
stddev(x) AS a, variance(x) AS c FROM (VALUES (5)) t(x)
round(stddev(x), 6) AS a, round(variance(x), 6) AS b FROM generate_series(1::int8, 1000) t(x)
corr(y, x) AS a, covar_pop(y, x) AS b, covar_samp(y, x) AS c, regr_slope(y, x) AS d, regr_intercept(y, x) AS e, regr_r2(y, x) AS f, regr_count(y, x) AS g FROM (VALUES (1, 1.5), (2, 3.1), (3, 4.4), (4, NULL), (5, 9.9)) t(x, y)
regr_avgx(y, x) AS a, regr_avgy(y, x) AS b, regr_sxx(y, x) AS c, regr_syy(y, x) AS d, regr_sxy(y, x) AS e FROM (VALUES (1, 1.5), (2, 3.1), (3, 4.4)) t(x, y)
x AS a, count(*) AS b, grouping(x) AS c FROM (VALUES ('a'), ('b'), ('a')) t(x) GROUP BY ROLLUP (x) ORDER BY x NULLS LAST
max(x) AS a, min(x) AS b FROM (VALUES ('2024-01-01'::date), ('2024-05-17')) t(x)
max(x) AS a, min(x) AS b FROM (VALUES (ARRAY[1,2]), (ARRAY[1,3])) t(x)
max(x) AS a, min(x) AS b FROM (VALUES (interval '1 month'), (interval '29 days')) t(x)
avg(x) AS a, sum(x) AS b, count(x) AS c, max(x) AS d, array_agg(x) AS e, string_agg(x::text, ',') AS f FROM (VALUES (1)) t(x) WHERE false
-- windows
x AS a, row_number() OVER (ORDER BY x) AS b, rank() OVER (ORDER BY x) AS c, dense_rank() OVER (ORDER BY x) AS d, percent_rank() OVER (ORDER BY x) AS e, cume_dist() OVER (ORDER BY x) AS f, ntile(2) OVER (ORDER BY x) AS g FROM (VALUES (1), (2), (2), (3)) t(x) ORDER BY 1, 2
x AS a, lag(x) OVER w AS b, lead(x) OVER w AS c, lag(x, 2, 0) OVER w AS d, first_value(x) OVER w AS e, last_value(x) OVER w AS f, nth_value(x, 2) OVER w AS g FROM (VALUES (1), (2), (4)) t(x) WINDOW w AS (ORDER BY x) ORDER BY 1
x AS a, sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS b, count(*) OVER () AS d, max(x) OVER (PARTITION BY x % 2) AS e FROM (VALUES (1), (2), (4)) t(x) ORDER BY 1
x AS a, sum(x) OVER (ORDER BY x RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS b, sum(x) FILTER (WHERE x > 1) OVER (ORDER BY x) AS c FROM (VALUES (1), (2), (4)) t(x) ORDER BY 1
x AS a, last_value(x) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS b, array_agg(x) OVER (ORDER BY x) AS c, string_agg(x::text, '-') OVER (ORDER BY x) AS e FROM (VALUES (1), (2), (4)) t(x) ORDER BY 1
x AS a, sum(x) OVER (ORDER BY x GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) AS b FROM (VALUES (1), (2), (2), (4)) t(x) ORDER BY 1, 2
sum(sum(x)) OVER (ORDER BY x) AS a FROM (VALUES (1), (2)) t(x) GROUP BY x ORDER BY 1
-- sets
g AS a FROM generate_series(1, 3) g
g AS a FROM generate_series(3, 1, -1) g
g AS a FROM generate_series(1.00, 2.00, 0.25) g
g AS a FROM generate_series('2024-01-30'::date, '2024-03-30'::date, interval '1 month') g
generate_series(1, 3) AS a, generate_subscripts(ARRAY[7,8,9], 1) AS b
g AS a, n AS b FROM generate_series(5, 6) WITH ORDINALITY AS t(g, n)
-- conditionals and casts
coalesce(NULL, 1, 2) AS a, nullif(1, 1) AS b, nullif('a', 'b') AS c, coalesce(NULL, 'x') AS d
CASE WHEN 1 > 2 THEN 'a' WHEN 2 > 1 THEN 'b' END AS a, CASE 3 WHEN 3 THEN 1.5 ELSE 2 END AS b
1 IN (1, 2) AS a, 3 NOT IN (1, 2) AS b, NULL IN (1) AS c, 1 IN (2, NULL) AS d, (1, 2) IN ((1, 2), (3, 4)) AS e, (1, 2) = (1, 2) AS f, (1, 2) < (1, 3) AS g
true AND NULL AS a, false AND NULL AS b, NOT true AS c, NULL IS NULL AS d, true IS NOT FALSE AS e, NULL IS UNKNOWN AS f, 1 IS NOT DISTINCT FROM 1 AS g
CAST('42' AS int) AS a, '3.7'::numeric::int AS b, 3.5::int AS c, 'true'::boolean AS d, 0::boolean AS e, 't'::bool::text AS f, 65::"char" AS g, 'abc'::varchar(2) AS h, 'abc'::char(5) AS i
'{"a":1}'::text::jsonb AS a, 1.5::float8::numeric AS b, 1e20::float8::numeric AS c, 0.1::float4::float8 AS d, 123456789::float4 AS e, '12.345'::numeric(5,2) AS f
1 = 1.0 AS a, 'a' < 'B' AS b, 'abc' > 'abd' AS c, 'a' = 'a ' AS d, 1 != 2 AS e
-- system information
current_database() IS NOT NULL AS a, current_schema() AS b, current_user IS NOT NULL AS c, session_user = current_user AS d, current_catalog IS NOT NULL AS e, getdatabaseencoding() AS f, pg_client_encoding() AS g
current_setting('server_encoding') AS a, current_setting('nope.nope', true) AS b, current_setting('TimeZone') AS c
pg_size_pretty(1536::int8) AS a, pg_size_pretty(123456789::numeric) AS b, pg_size_bytes('1 GB') AS c, pg_size_bytes('1.5kB') AS d, pg_size_bytes('42') AS e
format_type(23, NULL) AS a, format_type(1700, 655366) AS b, format_type(1043, 14) AS c, to_regtype('int4')::text AS d, to_regclass('pg_class')::text AS e, 'pg_class'::regclass::text AS f
pg_sleep(0) AS a
pg_advisory_unlock_all() AS a
has_schema_privilege('public', 'usage') AS a, has_table_privilege('pg_class', 'select') AS b, pg_table_is_visible('pg_class'::regclass) AS c, pg_get_userbyid(0) AS d
--~ a one-byte type's literal cannot be bound as binary in PostgreSQL
acldefault('c', 10) AS a, cardinality(acldefault('r', 10)) AS b, cardinality(acldefault('f', 10)) AS c
count(*) >= 0 AS a FROM pg_available_extensions()
count(*) > 10 AS a FROM pg_show_all_settings()
set_config('application_name', 'x', false) AS a
txid_current() > 0 AS a, pg_current_xact_id() IS NOT NULL AS b, pg_backend_pid() > 0 AS c, inet_server_port() IS NOT NULL AS d
-- one column under several casts
regexp_count('aaa', 'a*') AS a, regexp_replace('abc', 'b*', 'X', 'g') AS b, regexp_replace('abc', 'b*', 'X', 1, 3) AS c
sum(x::float8) AS a, sum(x) AS b, count(DISTINCT x::int) AS c, count(DISTINCT x) AS d FROM (VALUES (1.5), (2.4), (2.5)) t(x)
x::date AS a, x AS b, count(*) AS c FROM (VALUES ('2024-01-01 01:00'::timestamp), ('2024-01-01 02:00')) t(x) GROUP BY x::date, x ORDER BY 2
lag(x::text) OVER (ORDER BY x) AS a, lag(x) OVER (ORDER BY x) AS b FROM (VALUES (2), (10)) t(x) ORDER BY 2
percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FILTER (WHERE x > 1) AS a FROM (VALUES (1), (2), (10)) t(x)
variance(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS a FROM (VALUES (1.5::float8), (2.5), (5)) t(x)
-- errors: the SQLSTATE must be equal
1e308::float8 * 10 AS a
1e308::float8 + 1e308::float8 AS a
1e-300::float8 * 1e-300::float8 AS a
1e-300::float8 / 1e300::float8 AS a
3e38::float4 * 10::float4 AS a
1e40::float8::float4 AS a
1e-50::float8::float4 AS a
power(10::float8, 400) AS a
power(10::float8, -400) AS a
exp(1000::float8) AS a
exp(-1000::float8) AS a
'1e400'::float8 AS a
'1e-400'::float8 AS a
1::float8 / 0 AS a
1 / 0 AS a
1.5 % 0 AS a
2147483647 + 1 AS a
-(-32768)::int2 AS a
9223372036854775807 * 2 AS a
abs((-2147483648)::int4) AS a
1e10::float8::int4 AS a
'abc'::int AS a
40000::int2 AS a
sqrt(-1) AS a
ln(0) AS a
log(-1) AS a
power(0, -1) AS a
power(-8::float8, 0.5) AS a
g FROM generate_series(1, 5, 0) g
generate_series(1, 5, 0) AS a
g FROM generate_series(1.0, 5.0, 0.0) g
width_bucket(1.0, 0, 10, 0) AS a
width_bucket(1.0::float8, 0, 0, 5) AS a
substring('abc', 1, -1) AS a
substr('abc', 2, -1) AS a
left('abc', NULL) AS a, repeat(NULL, 3) AS b
ntile(0) OVER () AS a
nth_value(1, 0) OVER () AS a
percentile_cont(2) WITHIN GROUP (ORDER BY x) AS a FROM (VALUES (1)) t(x)
percentile_disc(-1) WITHIN GROUP (ORDER BY x) AS a FROM (VALUES (1)) t(x)
key FROM jsonb_each('[]'::jsonb)
key FROM json_each_text('1'::json)
jsonb_object_keys('[]'::jsonb) AS a
jsonb_array_elements('{}'::jsonb) AS a
jsonb_array_length('{}'::jsonb) AS a
split_part('a', ',', 0) AS a
chr(0) AS a
chr(-1) AS a
decode('zz', 'hex') AS a
encode('\x00'::bytea, 'nope') AS a
convert_from('\xff'::bytea, 'UTF8') AS a
to_date('2024-13-01', 'YYYY-MM-DD') AS a
make_date(2024, 2, 30) AS a
make_time(25, 0, 0) AS a
date_trunc('nope', now()) AS a
extract(nope from now()) AS a
now() AT TIME ZONE 'Nowhere/City' AS a
'2024-02-30'::date AS a
'{"a":'::json AS a
regexp_replace('a', '(', 'x') AS a
regexp_match('a', 'a', 'g') AS a
array_fill(1, NULL) AS a
currval('nope') AS a
nextval('nope') AS a
setval('nope', 1) AS a
lastval() AS a
factorial(-1) AS a
nope(1) AS a
lower(1, 2) AS a
pg_size_bytes('x') AS a
set_byte('\x00'::bytea, 5, 1) AS a
