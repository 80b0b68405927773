"""DuckDB's postgres scanner: ATTACH, scans as binary COPY with ctid ranges, writes."""

import glob
import os
import sysconfig

import duckdb
import tap
from tap import check, equal


def attach(read_only=False):
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    found = glob.glob(os.path.join(sysconfig.get_paths()["purelib"], "duckdb_extension*", "**", "postgres_scanner.duckdb_extension*"), recursive=True)
    connection.execute(f"LOAD '{found[0]}'")
    # libpq inside reads PG*.
    connection.execute(f"ATTACH '' AS lake (TYPE postgres{', READ_ONLY' if read_only else ''})")
    return connection


@check()
def attach_and_list():
    import psycopg

    with psycopg.connect("", autocommit=True) as connection:
        connection.execute("CREATE TABLE scanned AS SELECT g AS a, 'v' || g AS b, g * 1.5 AS c, date '2024-01-01' + g % 100 AS d, "
                           "timestamp '2024-01-01' + g * interval '1 second' AS e, g % 3 = 0 AS f FROM generate_series(1, 20000) g")
    connection = attach(True)
    assert ("scanned",) in connection.execute("SELECT table_name FROM information_schema.tables WHERE table_catalog = 'lake'").fetchall()
    equal([row[0] for row in connection.execute("DESCRIBE lake.public.scanned").fetchall()], ["a", "b", "c", "d", "e", "f"])


@check()
def scan_with_types():
    came = attach(True).execute("SELECT count(*), sum(a), sum(c)::DOUBLE, max(d)::VARCHAR, max(e)::VARCHAR, sum(f::INT) FROM lake.scanned").fetchone()
    equal(came, (20000, 200010000, 300015000.0, "2024-04-09", "2024-01-01 05:33:20", 6666))


@check()
def filters_and_projection_go_down():
    equal(attach(True).execute("SELECT b FROM lake.scanned WHERE a = 777 AND b LIKE 'v7%'").fetchall(), [("v777",)])


@check()
def postgres_query_function():
    equal(attach(True).execute("SELECT * FROM postgres_query('lake', 'SELECT 1 AS x, ''y'' AS z')").fetchall(), [(1, "y")])


@check()
def create_insert_and_read():
    connection = attach()
    connection.execute("CREATE TABLE lake.public.written (a INTEGER, b VARCHAR, c DOUBLE, d DATE)")
    connection.execute("INSERT INTO lake.public.written SELECT range, 'r' || range, range / 2, DATE '2024-01-01' FROM range(5000)")
    equal(connection.execute("SELECT count(*), sum(a), max(c) FROM lake.public.written").fetchone(), (5000, 12497500, 2499.5))


@check()
def create_insert_and_read_without_ctid():
    connection = attach()
    connection.execute("SET pg_use_ctid_scan = false")
    connection.execute("CREATE TABLE lake.public.plainly (a INTEGER, b VARCHAR, c DOUBLE, d DATE)")
    connection.execute("INSERT INTO lake.public.plainly SELECT range, 'r' || range, range / 2, DATE '2024-01-01' FROM range(5000)")
    equal(connection.execute("SELECT count(*), sum(a), max(c) FROM lake.public.plainly").fetchone(), (5000, 12497500, 2499.5))


@check()
def create_table_as_from_duckdb():
    connection = attach()
    connection.execute("CREATE TABLE lake.public.copied AS SELECT a, b, d FROM lake.scanned WHERE a <= 100")
    equal(connection.execute("SELECT count(*), min(d)::VARCHAR FROM lake.public.copied").fetchone(), (100, "2024-01-01"))


@check()
def update_and_delete_by_ctid():
    connection = attach()
    connection.execute("UPDATE lake.public.copied SET b = 'changed' WHERE a = 1")
    connection.execute("DELETE FROM lake.public.copied WHERE a > 50")
    equal(connection.execute("SELECT count(*), count(*) FILTER (b = 'changed') FROM lake.public.copied").fetchone(), (50, 1))


@check()
def transaction_rolls_back():
    connection = attach()
    connection.execute("BEGIN")
    connection.execute("INSERT INTO lake.public.copied VALUES (1000, 'x', DATE '2024-01-01')")
    connection.execute("ROLLBACK")
    equal(connection.execute("SELECT count(*) FROM lake.public.copied WHERE a = 1000").fetchone(), (0,))


tap.run(f"DuckDB {duckdb.__version__}")
