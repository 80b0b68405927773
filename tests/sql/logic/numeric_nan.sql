-- Numeric NaN and infinity are refused on every path, and nothing of them is stored; the edges of floats that become text.
--= error 0A000 ; ready I
SELECT 'NaN'::numeric;
--= error 0A000 ; ready I
SELECT 'Infinity'::numeric, '-inf'::numeric;
--= error 0A000 ; ready I
SELECT 'NaN'::float8::numeric;
--= error 0A000 ; ready I
SELECT 'NaN'::numeric(5,2);
--= error 0A000 ; ready I
SELECT 'Infinity'::numeric(5,2);
--= error 0A000 ; ready I
SELECT 'NaN'::numeric = 'NaN'::numeric;
--= error 0A000 ; ready I
SELECT 'NaN'::numeric > 1;
--= error 0A000 ; ready I
SELECT 'NaN'::numeric + 1;
--= error 0A000 ; ready I
SELECT 'NaN'::numeric::float8;
--= error 0A000 ; ready I
SELECT 'NaN'::numeric::text;
SELECT 'NaN'::numeric::int;
--= error 0A000 ; ready I
SELECT 'Infinity'::float8::numeric;
CREATE TABLE n (x numeric, y numeric(10,2));
--= error 0A000 ; ready I
INSERT INTO n VALUES ('NaN', 1);
--= error 0A000 ; ready I
INSERT INTO n VALUES (1, 'NaN');
--= error 0A000 ; ready I
SELECT count(*) FROM n WHERE x = 'NaN';
--= sum:1700 ; ∅ ; SELECT 1 ; ready I
SELECT sum(x) FROM n;
--= error 0A000 ; ready I
INSERT INTO n SELECT 'NaN'::float8, 2;
--= error 0A000 ; ready I
UPDATE n SET x = 'NaN';
--= error 0A000 ; ready I
SELECT to_char('NaN'::numeric, '999.99');
--= error 0A000 ; ready I
SELECT to_char('NaN'::float8, '999.99'), to_char('Infinity'::float8, '9.9');
--= error 0A000 ; ready I
SELECT abs('NaN'::numeric), round('NaN'::numeric), sign('NaN'::numeric);
SELECT greatest('NaN'::float8, 1), least('NaN'::float8, 1), 'NaN'::float8 = 'NaN'::float8;
SELECT x FROM (VALUES ('NaN'::float8), (1), ('-Infinity'), (NULL), ('Infinity')) v(x) ORDER BY x;
SELECT max(x), min(x), count(DISTINCT x) FROM (VALUES ('NaN'::float8), ('NaN'), (1)) v(x);
SELECT to_jsonb('NaN'::float8), to_json('Infinity'::float8);
