"""psqlODBC: what BI tools on Windows and Linux call, under the driver's own options."""

import datetime
import decimal
import glob
import os
import subprocess
import threading
import time
import uuid

import pyodbc
import tap

DRIVER = glob.glob("/usr/lib/*/odbc/psqlodbcw.so")[0]
# The options that change how the driver talks to the server.
MODES = {
    "default": "",
    "fetch": "UseDeclareFetch=1;Fetch=37",
    "server side off": "UseServerSidePrepare=0",
    "rollback statement": "Protocol=7.4-2",
    "rollback nothing": "Protocol=7.4-0",
    "bytea as binary": "ByteaAsLongVarBinary=1;BoolsAsChar=0;UpdatableCursors=1",
}


def connect(options="", password=None, **more):
    # libpq, below the driver, takes the certificate from PGSSLROOTCERT.
    text = (f"DRIVER={{{DRIVER}}};SERVER={tap.host()};PORT={tap.port()};DATABASE={tap.database()};UID={tap.user()};"
            f"PWD={password or tap.password()};SSLmode={os.environ['PGSSLMODE']};{options}")
    return pyodbc.connect(text, autocommit=True, **more)


def state(error):
    return error.args[0]


def scalar(connection, sql, *values):
    return connection.execute(sql, *values).fetchone()[0]


def rows(cursor, *columns):
    return [tuple(getattr(row, column) for column in columns) for row in cursor.fetchall()]


@tap.check()
def connecting():
    with connect() as connection:
        tap.equal(scalar(connection, "SELECT current_user"), tap.user())
        tap.equal(connection.getinfo(pyodbc.SQL_DBMS_NAME), "PostgreSQL")
        assert connection.getinfo(pyodbc.SQL_DBMS_VER).startswith("15."), connection.getinfo(pyodbc.SQL_DBMS_VER)
        tap.equal(connection.getinfo(pyodbc.SQL_DATABASE_NAME), tap.database())
        tap.equal(connection.getinfo(pyodbc.SQL_IDENTIFIER_QUOTE_CHAR), '"')


@tap.check()
def wrong_password():
    try:
        connect(password="wrong")
    except pyodbc.Error as error:
        assert "password authentication failed" in str(error), error
    else:
        raise AssertionError("connected")


@tap.check()
def isql():
    name = tap.scratch("odbc.ini")
    with open(name, "w") as file:
        file.write(f"[conf]\nDriver={DRIVER}\nServername={tap.host()}\nPort={tap.port()}\nDatabase={tap.database()}\nSSLmode={os.environ['PGSSLMODE']}\n")
    done = subprocess.run(["isql", "-b", "-v", "-d|", "conf", tap.user(), tap.password()], input="SELECT 1 + 1, 'x';\nhelp\n", text=True, capture_output=True,
                          timeout=60, env={**os.environ, "ODBCINI": name})
    assert "2|x" in done.stdout, done.stdout + done.stderr


@tap.check()
def catalog_setup():
    with connect() as connection:
        for sql in ("DROP SCHEMA IF EXISTS odbc CASCADE", "CREATE SCHEMA odbc",
                    "CREATE TABLE odbc.customers (id integer PRIMARY KEY, name varchar(40) NOT NULL, balance numeric(12,2) DEFAULT 0.5, created timestamp, note text)",
                    "CREATE TABLE odbc.orders (id bigint, line smallint, PRIMARY KEY (id, line))",
                    "CREATE VIEW odbc.customers_view AS SELECT id, name FROM odbc.customers", "COMMENT ON TABLE odbc.customers IS 'who buys'"):
            connection.execute(sql)


@tap.check()
def catalog_tables():
    with connect() as connection:
        tap.equal(rows(connection.cursor().tables(schema="odbc"), "table_name", "table_type"), [("customers", "TABLE"), ("customers_view", "VIEW"), ("orders", "TABLE")])
        tap.equal(rows(connection.cursor().tables(schema="odbc", table="cust%", tableType="VIEW"), "table_name"), [("customers_view",)])
    with connect("ShowSystemTables=1") as connection:
        assert ("pg_class",) in rows(connection.cursor().tables(schema="pg_catalog", table="pg_class"), "table_name")


@tap.check()
def catalog_columns():
    with connect() as connection:
        tap.equal(rows(connection.cursor().columns(schema="odbc", table="customers"), "column_name", "type_name", "column_size", "decimal_digits", "nullable", "column_def", "ordinal_position"),
                  [("id", "int4", 10, 0, 0, None, 1), ("name", "varchar", 40, None, 0, None, 2), ("balance", "numeric", 12, 2, 1, "0.5", 3),
                   ("created", "timestamp", 26, 6, 1, None, 4), ("note", "text", 8190, None, 1, None, 5)])


@tap.check()
def catalog_keys():
    with connect() as connection:
        tap.equal(rows(connection.cursor().primaryKeys("orders", schema="odbc"), "column_name", "key_seq", "pk_name"), [("id", 1, "orders_pkey"), ("line", 2, "orders_pkey")])


@tap.check()
def catalog_statistics():
    with connect() as connection:
        found = [row for row in rows(connection.cursor().statistics("customers", schema="odbc", unique=True), "index_name", "non_unique", "column_name") if row[0]]
        tap.equal(found, [("customers_pkey", 0, "id")])


@tap.check()
def catalog_foreign_keys():
    with connect() as connection:
        connection.execute("CREATE TABLE odbc.notes (customer_id integer REFERENCES odbc.customers (id))")
        found = rows(connection.cursor().foreignKeys(foreignTable="notes", foreignSchema="odbc"), "pktable_name", "pkcolumn_name", "fktable_name", "fkcolumn_name")
        tap.equal(found, [("customers", "id", "notes", "customer_id")])


@tap.check()
def catalog_privileges_and_types():
    with connect() as connection:
        cursor = connection.cursor()
        names = {row.type_name for row in cursor.getTypeInfo()}
        assert {"int4", "int8", "numeric", "text", "varchar", "date", "timestamptz", "bool", "bytea", "uuid"} <= names, names
        assert cursor.procedures(schema="pg_catalog", procedure="now").fetchall()
        assert cursor.procedureColumns(schema="pg_catalog", procedure="length").fetchall()


SAMPLES = [
    ("int2", "smallint", -32768),
    ("int4", "integer", 2147483647),
    ("int8", "bigint", 9223372036854775807),
    ("float4", "real", 1.5),
    ("float8", "double precision", 0.1),
    ("numeric", "numeric(20,4)", decimal.Decimal("-1234567890123.4500")),
    ("text", "text", "äöü ' \" \\ € 😀"),
    ("varchar", "varchar(10)", "abc"),
    ("date", "date", datetime.date(2024, 2, 29)),
    ("timestamp", "timestamp", datetime.datetime(2024, 2, 29, 13, 14, 15, 123456)),
    ("uuid", "uuid", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    ("bytea", "bytea", b"\x00\x01\xff\\'"),
    ("null", "integer", None),
]


def comparable(value):
    # pyodbc shows a uuid in capitals.
    return value.lower() if isinstance(value, str) else value


def types(options, name, kind, value):
    if isinstance(value, uuid.UUID):
        value = str(value)
    with connect(options) as connection:
        tap.equal(comparable(scalar(connection, f"SELECT ?::{kind}", comparable(value))), comparable(value), "parameter")
        table = f"odbc.type_{name}"
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(f"CREATE TABLE {table} (id integer, v {kind})")
        tap.equal(connection.execute(f"INSERT INTO {table} VALUES (?, ?)", 1, comparable(value)).rowcount, 1)
        tap.equal(comparable(scalar(connection, f"SELECT v FROM {table} WHERE id = ?", 1)), comparable(value), "column")
        connection.execute(f"DROP TABLE {table}")


def describe(options):
    with connect(options) as connection:
        cursor = connection.execute("SELECT id, name, balance, created FROM odbc.customers")
        tap.equal([(column[0], column[1]) for column in cursor.description], [("id", int), ("name", str), ("balance", decimal.Decimal), ("created", datetime.datetime)])


def many_rows(options):
    with connect(options) as connection:
        total = 0
        cursor = connection.execute("SELECT i, repeat('x', 50) FROM generate_series(1, 20000) AS g(i)")
        while batch := cursor.fetchmany(999):
            total += sum(row[0] for row in batch)
        tap.equal(total, 200010000)
        cursor = connection.execute("SELECT generate_series(1, 1000)")
        cursor.fetchone()
        cursor.close()
        tap.equal(scalar(connection, "SELECT 1"), 1)


def executemany(options):
    with connect(options) as connection:
        connection.execute("DROP TABLE IF EXISTS odbc.many")
        connection.execute("CREATE TABLE odbc.many (a integer, b varchar(20), c numeric(10,2))")
        # Without a described statement pyodbc sends a decimal as a string of another length.
        for fast in (False, "ServerSidePrepare=0" not in options):
            cursor = connection.cursor()
            cursor.fast_executemany = fast
            cursor.executemany("INSERT INTO odbc.many VALUES (?, ?, ?)", [(i, f"row {i}", decimal.Decimal(i) / 4) for i in range(50)])
        tap.equal(tuple(connection.execute("SELECT count(*), sum(a), sum(c) FROM odbc.many").fetchone()), (100, 2450, decimal.Decimal("612.50")))
        tap.equal(connection.execute("UPDATE odbc.many SET b = 'x' WHERE a < ?", 5).rowcount, 10)


def transactions(options):
    with connect(options) as connection, connect() as other:
        connection.execute("DROP TABLE IF EXISTS odbc.tx")
        connection.execute("CREATE TABLE odbc.tx (a integer)")
        connection.autocommit = False
        connection.execute("INSERT INTO odbc.tx VALUES (1)")
        tap.equal(scalar(other, "SELECT count(*) FROM odbc.tx"), 0)
        connection.commit()
        tap.equal(scalar(other, "SELECT count(*) FROM odbc.tx"), 1)
        connection.execute("DELETE FROM odbc.tx")
        connection.rollback()
        tap.equal(scalar(other, "SELECT count(*) FROM odbc.tx"), 1)
        connection.autocommit = True


def errors(options):
    with connect(options) as connection:
        for code, sql in (("42601", "SELEC 1"), ("42S02", "SELECT * FROM nothing_there"), ("42S22", "SELECT nothing"), ("22012", "SELECT 1 / 0"), ("22P02", "SELECT 'x'::int")):
            with tap.raises(pyodbc.Error) as raised:
                connection.execute(sql).fetchall()
            assert state(raised.error) in (code, {"42S02": "42P01", "42S22": "42703"}.get(code)), (code, raised.error)
        tap.equal(scalar(connection, "SELECT 1"), 1)


def error_in_transaction(options):
    with connect(options) as connection:
        connection.autocommit = False
        tap.equal(scalar(connection, "SELECT 1"), 1)
        with tap.raises(pyodbc.Error):
            connection.execute("SELECT 1 / 0").fetchall()
        connection.rollback()
        tap.equal(scalar(connection, "SELECT 2"), 2)


def cancelling(options):
    with connect(options) as connection:
        cursor = connection.cursor()
        timer = threading.Timer(0.5, cursor.cancel)
        timer.start()
        started = time.monotonic()
        with tap.raises(pyodbc.Error):
            cursor.execute("SELECT pg_sleep(20)").fetchall()
        timer.join()
        assert time.monotonic() - started < 15
        tap.equal(scalar(connection, "SELECT 1"), 1)


def escapes(options):
    with connect(options) as connection:
        tap.equal(scalar(connection, "SELECT {fn UCASE('ab')}"), "AB")
        tap.equal(scalar(connection, "SELECT {d '2024-02-03'}"), datetime.date(2024, 2, 3))
        tap.equal(scalar(connection, "SELECT {ts '2024-02-03 04:05:06'}"), datetime.datetime(2024, 2, 3, 4, 5, 6))


MODE_CHECKS = (describe, many_rows, executemany, transactions, errors, error_in_transaction, cancelling, escapes)

for mode, mode_options in MODES.items():
    for one in MODE_CHECKS:
        tap.check(f"{mode} {one.__name__.replace('_', ' ')}")(lambda one=one, mode_options=mode_options: one(mode_options))
    for sample in SAMPLES:
        tap.check(f"{mode} type {sample[0]}")(lambda sample=sample, mode_options=mode_options: types(mode_options, *sample))


@tap.check()
def clean_up():
    with connect() as connection:
        connection.execute("DROP SCHEMA odbc CASCADE")


def version():
    with connect() as connection:
        return f"psqlODBC {connection.getinfo(pyodbc.SQL_DRIVER_VER)}, pyodbc {pyodbc.version}"


tap.run(version())
