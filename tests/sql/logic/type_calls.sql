-- A call of a type's name is a cast.
SELECT date('2020-01-31'), text(5), int4('7'), int8(2.5), float8('1.5'), bool('t'), bpchar('a ') = 'a', name('n'), date(timestamp '2020-02-29 23:00');
SELECT date(NULL), pg_catalog.date('2020-01-01'), regclass('pg_class'), timestamptz('2020-01-01 00:00+00') = timestamptz '2020-01-01 00:00+00';
SELECT date(d) AS day, count(*) FROM (VALUES (timestamp '2020-01-01 10:00'), ('2020-01-01 11:00'), ('2020-01-02 00:00')) v (d) GROUP BY date(d) ORDER BY 1;
SELECT bpchar(t.typtype) = 'b'::bpchar FROM pg_type t WHERE t.oid = 23;
SELECT date('x');
SELECT date('2020-01-01', 'x');
SELECT int4('x');
SELECT no_such('x');
SELECT json('{"a": 1}') ->> 'a', uuid('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
