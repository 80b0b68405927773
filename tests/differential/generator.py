"""Random SELECT statements over a small schema of all types. Every statement is of a seed, so that it can be made again."""

import random

COLUMNS = {
    "i2": "smallint",
    "i4": "integer",
    "i8": "bigint",
    "n": "numeric(12,3)",
    "f8": "double precision",
    "f4": "real",
    "t": "text",
    "v": "varchar(12)",
    "b": "boolean",
    "d": "date",
    "ts": "timestamp",
    "tz": "timestamptz",
    "iv": "interval",
    "tm": "time",
    "u": "uuid",
    "by": "bytea",
    "ai": "integer[]",
    "at": "text[]",
    "j": "jsonb",
}

TABLES = ("t1", "t2", "t3")
# Whose ids are keys.
UNIQUE = ("t1", "t3")

INTEGERS = ("smallint", "integer", "bigint")
NUMBERS = (*INTEGERS, "numeric", "double precision")
TEXTS = ("text",)
ORDERED = (*NUMBERS, "text", "date", "timestamp", "timestamptz", "interval", "time", "uuid", "bytea", "boolean")

LITERALS = {
    "smallint": ["0::smallint", "1::smallint", "-7::smallint", "32767::smallint"],
    "integer": ["0", "1", "-1", "7", "42", "-2147483648", "2147483647", "100"],
    "bigint": ["0::bigint", "9223372036854775807", "-5::bigint", "10000000000"],
    "numeric": ["0.0", "1.5", "-2.25", "123456.789", "0.001", "1e3::numeric"],
    "double precision": ["0::float8", "1.5::float8", "-2.25::float8", "1e10::float8", "'NaN'::float8", "'Infinity'::float8"],
    "text": ["''", "'a'", "'abc'", "'Abc def'", "'ünï'", "'10'", "'%b_'", "'x,y,z'", "' pad '", "E'a\\nb'"],
    "boolean": ["true", "false"],
    "date": ["date '2024-02-29'", "date '1999-12-31'", "date '2000-01-01'", "date '0004-03-01'"],
    "timestamp": ["timestamp '2024-02-29 12:34:56.789'", "timestamp '1969-12-31 23:59:59'", "timestamp '2000-01-01'"],
    "timestamptz": ["timestamptz '2024-03-31 01:30:00+01'", "timestamptz '2000-01-01 00:00:00+00'"],
    "interval": ["interval '1 day'", "interval '-1 mon 2 days'", "interval '01:02:03.5'", "interval '1 year 2 mons'"],
    "time": ["time '12:34:56'", "time '00:00'", "time '23:59:59.999'"],
    "uuid": ["uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "uuid '00000000-0000-0000-0000-000000000000'"],
    "bytea": ["'\\x00ff'::bytea", "''::bytea", "'abc'::bytea"],
    "integer[]": ["'{1,2,3}'::int[]", "'{}'::int[]", "ARRAY[4,NULL,6]", "ARRAY[1]"],
    "text[]": ["'{a,b}'::text[]", "ARRAY['x',NULL,'y z']", "'{}'::text[]"],
    "jsonb": ["'{\"a\":1,\"b\":[true,null]}'::jsonb", "'[1,\"two\",3.5]'::jsonb", "'null'::jsonb", "'\"s\"'::jsonb", "'{}'::jsonb"],
}

# (result, template, argument types); one template is one thing that PostgreSQL knows.
CALLS = [
    ("integer", "({} + {})", ("integer", "integer")),
    ("integer", "({} - {})", ("integer", "integer")),
    ("integer", "({} * {})", ("integer", "smallint")),
    ("integer", "({} / {})", ("integer", "integer")),
    ("integer", "({} % {})", ("integer", "integer")),
    ("bigint", "({} + {})", ("bigint", "integer")),
    ("bigint", "({} / {})", ("bigint", "bigint")),
    ("integer", "({} & {})", ("integer", "integer")),
    ("integer", "({} | {})", ("integer", "integer")),
    ("integer", "({} # {})", ("integer", "integer")),
    ("integer", "(~ {})", ("integer",)),
    ("integer", "({} << ({} & 7))", ("integer", "integer")),
    ("integer", "({} >> ({} & 7))", ("integer", "integer")),
    ("integer", "abs({})", ("integer",)),
    ("integer", "sign({})::int", ("numeric",)),
    ("integer", "mod({}, {})", ("integer", "integer")),
    ("integer", "gcd({}, {})", ("integer", "integer")),
    ("integer", "length({})", ("text",)),
    ("integer", "octet_length({})", ("text",)),
    ("integer", "position({} in {})", ("text", "text")),
    ("integer", "strpos({}, {})", ("text", "text")),
    ("integer", "ascii({})", ("text",)),
    ("integer", "cardinality({})", ("integer[]",)),
    ("integer", "array_length({}, 1)", ("text[]",)),
    ("integer", "({})[1]", ("integer[]",)),
    ("integer", "array_position({}, {})", ("integer[]", "integer")),
    ("integer", "({} - {})", ("date", "date")),
    ("integer", "extract(year from {})::int", ("date",)),
    ("integer", "extract(dow from {})::int", ("timestamp",)),
    ("integer", "extract(week from {})::int", ("date",)),
    ("integer", "extract(epoch from {})::bigint::int % 1000", ("interval",)),
    ("integer", "date_part('doy', {})::int", ("timestamp",)),
    ("integer", "width_bucket({}, 0, 100, 5)", ("numeric",)),
    ("integer", "coalesce({}, {})", ("integer", "integer")),
    ("integer", "nullif({}, {})", ("integer", "integer")),
    ("integer", "greatest({}, {}, {})", ("integer", "integer", "integer")),
    ("integer", "least({}, {})", ("integer", "integer")),
    ("integer", "CASE WHEN {} THEN {} ELSE {} END", ("boolean", "integer", "integer")),
    ("integer", "jsonb_array_length({})", ("jsonb",)),
    ("integer", "({})::int", ("boolean",)),
    ("integer", "({})::int", ("numeric",)),
    ("integer", "({})::int", ("double precision",)),
    ("integer", "({})::int", ("text",)),
    ("integer", "num_nulls({}, {})", ("integer", "text")),
    ("integer", "get_byte({}, 0)", ("bytea",)),
    ("integer", "regexp_count({}, '[a-c]')", ("text",)),
    ("numeric", "({} + {})", ("numeric", "numeric")),
    ("numeric", "({} * {})", ("numeric", "integer")),
    ("numeric", "({} - {})", ("numeric", "numeric")),
    ("numeric", "round({}, 1)", ("numeric",)),
    ("numeric", "round({})", ("numeric",)),
    ("numeric", "trunc({}, 1)", ("numeric",)),
    ("numeric", "ceil({})", ("numeric",)),
    ("numeric", "floor({})", ("numeric",)),
    ("numeric", "abs({})", ("numeric",)),
    ("numeric", "mod({}, {})", ("numeric", "numeric")),
    ("numeric", "div({}, {})", ("numeric", "numeric")),
    ("numeric", "({})::numeric(10,2)", ("double precision",)),
    ("numeric", "({})::numeric(8,1)", ("integer",)),
    ("numeric", "extract(second from {})", ("timestamp",)),
    ("double precision", "({} + {})", ("double precision", "double precision")),
    ("double precision", "({} * {})", ("double precision", "integer")),
    ("double precision", "({} / {})", ("double precision", "double precision")),
    ("double precision", "sqrt(abs({}))", ("double precision",)),
    ("double precision", "round({})", ("double precision",)),
    ("double precision", "floor({})", ("double precision",)),
    ("double precision", "({})::float8", ("integer",)),
    ("double precision", "({})::float8", ("numeric",)),
    ("text", "({} || {})", ("text", "text")),
    ("text", "({} || {})", ("text", "integer")),
    ("text", "upper({})", ("text",)),
    ("text", "lower({})", ("text",)),
    ("text", "initcap({})", ("text",)),
    ("text", "reverse({})", ("text",)),
    ("text", "left({}, {} % 5)", ("text", "integer")),
    ("text", "right({}, {} % 5)", ("text", "integer")),
    ("text", "substr({}, {} % 4, 3)", ("text", "integer")),
    ("text", "substring({} from 2 for 3)", ("text",)),
    ("text", "substring({} from '[a-z]+')", ("text",)),
    ("text", "trim({})", ("text",)),
    ("text", "ltrim({}, 'a ')", ("text",)),
    ("text", "lpad({}, 6, '*')", ("text",)),
    ("text", "rpad({}, 4, 'xy')", ("text",)),
    ("text", "replace({}, 'b', {})", ("text", "text")),
    ("text", "translate({}, 'abc', 'xy')", ("text",)),
    ("text", "split_part({}, ',', {} % 4 + 1)", ("text", "integer")),
    ("text", "regexp_replace({}, '[aeiou]', '_', 'g')", ("text",)),
    ("text", "md5({})", ("text",)),
    ("text", "quote_literal({})", ("text",)),
    ("text", "quote_ident({})", ("text",)),
    ("text", "concat({}, {}, {})", ("text", "integer", "boolean")),
    ("text", "concat_ws('-', {}, {})", ("text", "date")),
    ("text", "format('%s|%L|%5s', {}, {}, {})", ("text", "text", "integer")),
    ("text", "to_char({}, 'YYYY-MM-DD HH24:MI:SS.MS')", ("timestamp",)),
    ("text", "to_char({}, 'Dy DD Mon YY, Q, IW')", ("date",)),
    ("text", "to_char({}, 'FM999,990.00')", ("numeric",)),
    ("text", "to_char({}, '0000S')", ("integer",)),
    ("text", "to_char({}, 'DD HH24:MI')", ("interval",)),
    ("text", "({})::text", ("integer",)),
    ("text", "({})::text", ("numeric",)),
    ("text", "({})::text", ("double precision",)),
    ("text", "({})::text", ("boolean",)),
    ("text", "({})::text", ("date",)),
    ("text", "({})::text", ("timestamp",)),
    ("text", "({})::text", ("interval",)),
    ("text", "({})::text", ("integer[]",)),
    ("text", "({})::text", ("jsonb",)),
    ("text", "({})::varchar(3)", ("text",)),
    ("text", "({})::char(5)::text", ("text",)),
    ("text", "({} ->> 'a')", ("jsonb",)),
    ("text", "({} #>> '{{b,0}}')", ("jsonb",)),
    ("text", "jsonb_typeof({})", ("jsonb",)),
    ("text", "encode({}, 'hex')", ("bytea",)),
    ("text", "encode({}, 'base64')", ("bytea",)),
    ("text", "array_to_string({}, '+', 'nil')", ("text[]",)),
    ("text", "({})[2]", ("text[]",)),
    ("text", "chr(({} & 63) + 33)", ("integer",)),
    ("text", "repeat({}, ({} & 3))", ("text", "integer")),
    ("text", "to_hex({})", ("integer",)),
    ("text", "overlay({} placing 'ZZ' from 2 for 1)", ("text",)),
    ("boolean", "({} = {})", ("integer", "integer")),
    ("boolean", "({} <> {})", ("text", "text")),
    ("boolean", "({} < {})", ("text", "text")),
    ("boolean", "({} < {})", ("numeric", "integer")),
    ("boolean", "({} >= {})", ("date", "timestamp")),
    ("boolean", "({} < {})", ("double precision", "double precision")),
    ("boolean", "({} = {})", ("double precision", "numeric")),
    ("boolean", "({} < {})", ("interval", "interval")),
    ("boolean", "({} = {})", ("integer[]", "integer[]")),
    ("boolean", "({} < {})", ("integer[]", "integer[]")),
    ("boolean", "({} @> {})", ("integer[]", "integer[]")),
    ("boolean", "({} && {})", ("text[]", "text[]")),
    ("boolean", "({} @> {})", ("jsonb", "jsonb")),
    ("boolean", "({} ? 'a')", ("jsonb",)),
    ("boolean", "({} = {})", ("jsonb", "jsonb")),
    ("boolean", "({} LIKE '%b%')", ("text",)),
    ("boolean", "({} ILIKE 'A%')", ("text",)),
    ("boolean", "({} NOT LIKE {})", ("text", "text")),
    ("boolean", "({} ~ '^[a-z]')", ("text",)),
    ("boolean", "({} ~* 'B')", ("text",)),
    ("boolean", "({} SIMILAR TO '(a|x)%')", ("text",)),
    ("boolean", "({} BETWEEN {} AND {})", ("integer", "integer", "integer")),
    ("boolean", "({} NOT BETWEEN {} AND {})", ("text", "text", "text")),
    ("boolean", "({} IN ({}, {}))", ("integer", "integer", "integer")),
    ("boolean", "({} NOT IN ({}, {}))", ("text", "text", "text")),
    ("boolean", "({} IS NULL)", ("text",)),
    ("boolean", "({} IS NOT NULL)", ("numeric",)),
    ("boolean", "({} IS DISTINCT FROM {})", ("integer", "integer")),
    ("boolean", "({} IS NOT DISTINCT FROM {})", ("text", "text")),
    ("boolean", "({} = ANY({}))", ("integer", "integer[]")),
    ("boolean", "({} <> ALL({}))", ("text", "text[]")),
    ("boolean", "({} AND {})", ("boolean", "boolean")),
    ("boolean", "({} OR {})", ("boolean", "boolean")),
    ("boolean", "(NOT {})", ("boolean",)),
    ("boolean", "({} IS TRUE)", ("boolean",)),
    ("boolean", "({} IS NOT FALSE)", ("boolean",)),
    ("boolean", "({} IS UNKNOWN)", ("boolean",)),
    ("boolean", "starts_with({}, 'a')", ("text",)),
    ("boolean", "(({}, {}) < ({}, {}))", ("integer", "text", "integer", "text")),
    ("boolean", "({} OVERLAPS {})", ("pair", "pair")),
    ("date", "({} + {} % 1000)", ("date", "integer")),
    ("date", "({})::date", ("timestamp",)),
    ("date", "({})::date", ("text",)),
    ("date", "make_date(2000 + ({} & 15), ({} & 7) + 1, 3)", ("integer", "integer")),
    ("date", "date_trunc('month', {})::date", ("timestamp",)),
    ("timestamp", "({} + {})", ("timestamp", "interval")),
    ("timestamp", "({} - {})", ("timestamp", "interval")),
    ("timestamp", "({} + {})", ("date", "interval")),
    ("timestamp", "date_trunc('hour', {})", ("timestamp",)),
    ("timestamp", "date_trunc('quarter', {})", ("timestamp",)),
    ("timestamp", "({})::timestamp", ("date",)),
    ("timestamp", "({} AT TIME ZONE 'UTC')", ("timestamptz",)),
    ("timestamp", "date_bin('15 minutes', {}, timestamp '2001-01-01')", ("timestamp",)),
    ("timestamptz", "({} AT TIME ZONE 'Europe/Berlin')", ("timestamp",)),
    ("timestamptz", "({} + {})", ("timestamptz", "interval")),
    ("timestamptz", "date_trunc('day', {})", ("timestamptz",)),
    ("interval", "({} - {})", ("timestamp", "timestamp")),
    ("interval", "({} + {})", ("interval", "interval")),
    ("interval", "({} * 2)", ("interval",)),
    ("interval", "({} / 3)", ("interval",)),
    ("interval", "age({}, {})", ("timestamp", "timestamp")),
    ("interval", "justify_days({})", ("interval",)),
    ("interval", "justify_hours({})", ("interval",)),
    ("interval", "make_interval(days => {} % 100, hours => {} % 50)", ("integer", "integer")),
    ("interval", "(- {})", ("interval",)),
    ("time", "({})::time", ("timestamp",)),
    ("time", "({} + {})", ("time", "interval")),
    ("uuid", "({})::text::uuid", ("uuid",)),
    ("bytea", "({} || {})", ("bytea", "bytea")),
    ("bytea", "substr({}, 1, 2)", ("bytea",)),
    ("bytea", "convert_to({}, 'UTF8')", ("text",)),
    ("integer[]", "({} || {})", ("integer[]", "integer")),
    ("integer[]", "array_append({}, {})", ("integer[]", "integer")),
    ("integer[]", "array_remove({}, {})", ("integer[]", "integer")),
    ("integer[]", "({})[1:2]", ("integer[]",)),
    ("integer[]", "ARRAY[{}, {}]", ("integer", "integer")),
    ("text[]", "string_to_array({}, ',')", ("text",)),
    ("text[]", "regexp_split_to_array({}, '[ ,]')", ("text",)),
    ("text[]", "array_cat({}, {})", ("text[]", "text[]")),
    ("jsonb", "({} -> 'b')", ("jsonb",)),
    ("jsonb", "({} -> 0)", ("jsonb",)),
    ("jsonb", "to_jsonb({})", ("integer[]",)),
    ("jsonb", "to_jsonb({})", ("text",)),
    ("jsonb", "jsonb_build_object('k', {}, 'l', {})", ("integer", "text")),
    ("jsonb", "({} || {})", ("jsonb", "jsonb")),
    ("jsonb", "jsonb_set({}, '{{a}}', '9')", ("jsonb",)),
]

AGGREGATES = [
    ("bigint", "count(*)", ()),
    ("bigint", "count({})", ("text",)),
    ("bigint", "count(DISTINCT {})", ("integer",)),
    ("bigint", "sum({})", ("integer",)),
    ("numeric", "sum({})", ("bigint",)),
    ("numeric", "sum({})", ("numeric",)),
    ("numeric", "round(avg({}), 6)", ("integer",)),
    ("numeric", "round(avg({}), 6)", ("numeric",)),
    ("integer", "min({})", ("integer",)),
    ("integer", "max({})", ("integer",)),
    ("text", "min({})", ("text",)),
    ("text", "max({})", ("text",)),
    ("date", "max({})", ("date",)),
    ("timestamp", "min({})", ("timestamp",)),
    ("interval", "sum({})", ("interval",)),
    ("boolean", "bool_and({})", ("boolean",)),
    ("boolean", "bool_or({})", ("boolean",)),
    ("integer", "bit_or({})", ("integer",)),
    ("text", "string_agg({0}, ',' ORDER BY {0})", ("text",)),
    ("integer[]", "array_agg({0} ORDER BY {0})", ("integer",)),
    ("integer[]", "array_agg(DISTINCT {0} ORDER BY {0})", ("integer",)),
    ("bigint", "count(*) FILTER (WHERE {})", ("boolean",)),
    ("integer", "percentile_disc(0.5) WITHIN GROUP (ORDER BY {})", ("integer",)),
    ("integer", "mode() WITHIN GROUP (ORDER BY {})", ("integer",)),
    ("jsonb", "jsonb_agg({0} ORDER BY {0})", ("integer",)),
]

WINDOWS = [
    ("bigint", "row_number() OVER (PARTITION BY {} ORDER BY {}, {key})", ("boolean", "integer")),
    ("bigint", "rank() OVER (ORDER BY {})", ("text",)),
    ("bigint", "dense_rank() OVER (PARTITION BY {} ORDER BY {})", ("boolean", "date")),
    ("integer", "lag({}) OVER (ORDER BY {key})", ("integer",)),
    ("text", "lead({}, 2, 'none') OVER (ORDER BY {key})", ("text",)),
    ("bigint", "sum({}) OVER (PARTITION BY {} ORDER BY {key})", ("integer", "boolean")),
    ("bigint", "sum({}) OVER (ORDER BY {key} ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)", ("integer",)),
    ("bigint", "count(*) OVER (PARTITION BY {})", ("text",)),
    ("integer", "first_value({}) OVER (PARTITION BY {} ORDER BY {key})", ("integer", "boolean")),
    ("integer", "nth_value({}, 2) OVER (ORDER BY {key})", ("integer",)),
    ("integer", "ntile(3) OVER (ORDER BY {key})", ()),
    ("integer", "max({}) OVER (ORDER BY {key} RANGE BETWEEN 3 PRECEDING AND 1 FOLLOWING)", ("integer",)),
]


def base(data_type):
    """The type of expressions over a column of a type."""
    plain = {"numeric(12,3)": "numeric", "varchar(12)": "text", "real": "double precision"}
    return plain.get(data_type, data_type)


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def statement(self):
        """A query; whether its rows come in an order."""
        kind = self.random.random()
        if kind < 0.45:
            return self.plain()
        if kind < 0.65:
            return self.grouped()
        if kind < 0.75:
            return self.windowed()
        if kind < 0.85:
            return self.together()
        return self.nested()

    def plain(self):
        scope, source = self.source()
        distinct = "DISTINCT " if self.random.random() < 0.15 else ""
        items = [self.expression(self.any_type(), scope, 3) for _ in range(self.random.randint(1, 4))]
        query = f"SELECT {distinct}{', '.join(items)} FROM {source}{self.where(scope)}"
        return self.ordered(query, len(items))

    def grouped(self):
        scope, source = self.source()
        keys = [self.expression(self.random.choice(["boolean", "integer", "text", "date"]), scope, 1) for _ in range(self.random.randint(0, 2))]
        items = list(keys)
        for _ in range(self.random.randint(1, 3)):
            _, template, types = self.random.choice(AGGREGATES)
            items.append(self.filled(template, types, scope, 1))
        query = f"SELECT {', '.join(items)} FROM {source}{self.where(scope)}"
        if keys:
            numbers = ", ".join(str(at + 1) for at in range(len(keys)))
            manner = self.random.random()
            if manner < 0.15 and len(keys) == 2:
                query += f" GROUP BY ROLLUP ({', '.join(keys)})"
            else:
                query += f" GROUP BY {numbers}"
            if self.random.random() < 0.25:
                query += " HAVING count(*) > 1"
        return self.ordered(query, len(items))

    def windowed(self):
        scope = [("a", name, base(data_type)) for name, data_type in COLUMNS.items()]
        items = ["a.id"]
        for _ in range(self.random.randint(1, 2)):
            _, template, types = self.random.choice(WINDOWS)
            items.append(self.filled(template, types, scope, 1, key="a.id"))
        return f"SELECT {', '.join(items)} FROM {self.random.choice(UNIQUE)} a{self.where(scope)} ORDER BY 1", True

    def together(self):
        scope, source = self.source()
        other, other_source = self.source()
        types = [self.any_type() for _ in range(self.random.randint(1, 2))]
        first = ", ".join(self.expression(each, scope, 2) for each in types)
        second = ", ".join(self.expression(each, other, 2) for each in types)
        word = self.random.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"])
        query = f"SELECT {first} FROM {source}{self.where(scope)} {word} SELECT {second} FROM {other_source}{self.where(other)}"
        return self.ordered(query, len(types))

    def nested(self):
        scope, source = self.source()
        table = self.random.choice(TABLES)
        inner = [("s", name, base(data_type)) for name, data_type in COLUMNS.items()]
        kind = self.random.choice(["in", "exists", "scalar", "derived", "with", "lateral", "quantified"])
        item = self.expression(self.any_type(), scope, 2)
        condition = self.expression("boolean", inner, 1)
        if kind == "in":
            of = self.random.choice(["integer", "text", "date"])
            word = self.random.choice(["IN", "NOT IN"])
            query = f"SELECT {item} FROM {source} WHERE {self.expression(of, scope, 1)} {word} (SELECT {self.expression(of, inner, 1)} FROM {table} s WHERE {condition})"
        elif kind == "exists":
            word = self.random.choice(["EXISTS", "NOT EXISTS"])
            query = f"SELECT {item} FROM {source} WHERE {word} (SELECT 1 FROM {table} s WHERE s.i4 = {self.expression('integer', scope, 1)} AND {condition})"
        elif kind == "scalar":
            _, template, types = self.random.choice(AGGREGATES)
            query = f"SELECT {item}, (SELECT {self.filled(template, types, inner, 1)} FROM {table} s WHERE s.b = {self.expression('boolean', scope, 1)}) FROM {source}"
        elif kind == "derived":
            query = f"SELECT q.x, count(*) FROM (SELECT {item} AS x FROM {source}{self.where(scope)}) q GROUP BY q.x"
        elif kind == "with":
            query = f"WITH q AS (SELECT {item} AS x FROM {source}{self.where(scope)}) SELECT x FROM q UNION ALL SELECT x FROM q WHERE x IS NOT NULL"
        elif kind == "lateral":
            query = f"SELECT {item}, l.y FROM {source} CROSS JOIN LATERAL (SELECT s.i4 + {self.expression('integer', scope, 0)} AS y FROM {table} s WHERE s.id = {self.root(scope)}.id) l"
        else:
            word = self.random.choice(["= ANY", "<> ALL", "> ALL", "< ANY"])
            query = f"SELECT {item} FROM {source} WHERE {self.expression('integer', scope, 1)} {word} (SELECT s.i4 FROM {table} s WHERE {condition})"
        return query, False

    def root(self, scope):
        return scope[0][0]

    def source(self):
        """Columns that can be named, and the FROM list."""
        first = self.random.choice(TABLES)
        scope = [("a", name, base(data_type)) for name, data_type in COLUMNS.items()]
        if self.random.random() < 0.65:
            return scope, f"{first} a"
        second = self.random.choice(TABLES)
        other = [("c", name, base(data_type)) for name, data_type in COLUMNS.items()]
        word = self.random.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        on = self.random.choice(["a.id = c.id", "a.i4 = c.i4", "a.t = c.t", "a.b = c.b AND a.id = c.id", "a.d = c.d"])
        if word in ("JOIN", "LEFT JOIN") and self.random.random() < 0.3:
            on = f"{on} AND {self.expression('boolean', scope + other, 1)}"
        return scope + other, f"{first} a {word} {second} c ON {on}"

    def where(self, scope):
        return f" WHERE {self.expression('boolean', scope, 3)}" if self.random.random() < 0.6 else ""

    def ordered(self, query, width):
        """In the order of all columns, so that the rows have one."""
        if self.random.random() < 0.6:
            return query, False
        keys = []
        for at in range(width):
            direction = self.random.choice(["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
            keys.append(f"{at + 1}{direction}")
        query += " ORDER BY " + ", ".join(keys)
        if self.random.random() < 0.4:
            query += f" LIMIT {self.random.randint(0, 5)}"
            if self.random.random() < 0.3:
                query += f" OFFSET {self.random.randint(0, 3)}"
        return query, True

    def any_type(self):
        return self.random.choice(["integer", "bigint", "numeric", "double precision", "text", "boolean", "date", "timestamp", "timestamptz",
                                   "interval", "time", "uuid", "bytea", "integer[]", "text[]", "jsonb", "text", "integer"])

    def expression(self, wanted, scope, depth):
        if wanted == "pair":
            return f"({self.expression('date', scope, 0)}, {self.expression('date', scope, 0)})"
        columns = [f"{table}.{name}" for table, name, data_type in scope if data_type == wanted]
        calls = [call for call in CALLS if call[0] == wanted]
        chance = self.random.random()
        if depth > 0 and calls and chance < 0.6:
            _, template, types = self.random.choice(calls)
            return self.filled(template, types, scope, depth - 1)
        if columns and chance < 0.93:
            return self.random.choice(columns)
        if self.random.random() < 0.1:
            return f"NULL::{wanted}"
        return self.random.choice(LITERALS[wanted])

    def filled(self, template, types, scope, depth, key="a.id"):
        return template.format(*[self.expression(each, scope, depth) for each in types], key=key)
