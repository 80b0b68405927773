"""One row of every type that a column can have, and of those that only a query can make: SQL literal and Python value."""

import datetime as dt
import uuid
from decimal import Decimal

UTC = dt.timezone.utc

# (column, type, literal, value)
COLUMNS = [
    ("c_bool", "boolean", "true", True),
    ("c_int2", "smallint", "-32768", -32768),
    ("c_int4", "integer", "2147483647", 2147483647),
    ("c_int8", "bigint", "-9223372036854775808", -9223372036854775808),
    ("c_real", "real", "1.5", 1.5),
    ("c_float8", "double precision", "2.718281828459045", 2.718281828459045),
    ("c_numeric", "numeric(20,5)", "-12345678901234.56789", Decimal("-12345678901234.56789")),
    ("c_number", "numeric", "1234.5", Decimal("1234.5")),
    ("c_text", "text", "'Œdipe ☃ ''quoted'' \\'", "Œdipe ☃ 'quoted' \\"),
    ("c_varchar", "varchar(20)", "'varied'", "varied"),
    ("c_char", "char(5)", "'abc'", "abc  "),
    ("c_bytea", "bytea", "'\\x00ff10'", b"\x00\xff\x10"),
    ("c_date", "date", "'2024-02-29'", dt.date(2024, 2, 29)),
    ("c_timestamp", "timestamp", "'1999-12-31 23:59:59.999999'", dt.datetime(1999, 12, 31, 23, 59, 59, 999999)),
    ("c_timestamptz", "timestamptz", "'2024-02-29 13:00:00+01'", dt.datetime(2024, 2, 29, 12, tzinfo=UTC)),
    ("c_uuid", "uuid", "'00000000-0000-0000-0000-00000000000a'", uuid.UUID(int=10)),
    ("c_json", "json", """'{"a": [1, null, "x"]}'""", {"a": [1, None, "x"]}),
    ("c_jsonb", "jsonb", """'{"b": 1.5, "a": true}'""", {"a": True, "b": 1.5}),
    ("c_ints", "integer[]", "ARRAY[1, NULL, 3]", [1, None, 3]),
    ("c_texts", "text[]", """ARRAY['a,b', '"', NULL]""", ["a,b", '"', None]),
    ("c_numerics", "numeric(6,2)[]", "ARRAY[1.25, -3.50]", [Decimal("1.25"), Decimal("-3.50")]),
    ("c_dates", "date[]", "ARRAY[date '2024-02-29']", [dt.date(2024, 2, 29)]),
]
# Delta has no such columns.
COMPUTED = [
    ("c_time", "time", "'23:59:59.5'", dt.time(23, 59, 59, 500000)),
    ("c_interval", "interval", "'2 days 03:00:00.25'", dt.timedelta(days=2, hours=3, microseconds=250000)),
]
NAMES = [column[0] for column in COLUMNS]
VALUES = {column[0]: column[3] for column in COLUMNS}
CREATE = "CREATE TABLE every_type (id integer, " + ", ".join(f"{name} {kind}" for name, kind, _, _ in COLUMNS) + ")"
INSERT_LITERALS = "INSERT INTO every_type VALUES (1, " + ", ".join(f"CAST({literal} AS {kind})" for _, kind, literal, _ in COLUMNS) + ")"
SELECT = "SELECT " + ", ".join(NAMES) + " FROM every_type WHERE id = "


def insert(placeholder):
    """INSERT with one placeholder a column; `placeholder(position from 1, type)` gives its text."""
    return f"INSERT INTO every_type VALUES ({placeholder(1, 'integer')}, " + ", ".join(
        placeholder(position + 2, kind) for position, (_, kind, _, _) in enumerate(COLUMNS)) + ")"


def compare(row, values=None, convert=None):
    """Tells the columns of the row that are not as they should be. `convert(name, value)` evens out what drivers do differently."""
    values = values or VALUES
    wrong = []
    for name, came in zip(values, row, strict=True):
        expected = values[name]
        if convert:
            came = convert(name, came)
        if came != expected or type(came) is not type(expected):
            wrong.append(f"{name}: {came!r} instead of {expected!r}")
    assert not wrong, "; ".join(wrong)
