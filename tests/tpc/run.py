"""run.py --lakegate URI [--tpch SCALE] [--tpcds SCALE] [--only N …] [--slow SECONDS]

The 22 queries of TPC-H and the 99 of TPC-DS, answered by Lakegate and by DuckDB over the same rows. DuckDB's extensions make the rows and have
the queries, as their packages bring them; each query goes to both as it is. Rows are compared in order, numbers to nine digits (DuckDB
averages decimals as doubles). Prints each difference, and what the last lines say: how many queries, how many of them with rows, how many
differ. Tables are made in schemas tpch and tpcds, loaded by COPY FROM STDIN, unless they are there.
"""

import argparse
import datetime
import decimal
import importlib
import math
import pathlib
import sys
import tempfile
import time

import duckdb
import psycopg

GENERATORS = {"tpch": "dbgen", "tpcds": "dsdgen"}
TYPES = {"VARCHAR": "text", "INTEGER": "int", "BIGINT": "bigint", "DATE": "date", "TIME": "time", "DOUBLE": "double precision"}


def generated(suite, scale):
    """DuckDB with the suite's tables in memory."""
    folder = pathlib.Path(importlib.import_module(f"duckdb_extension_{suite}").__file__).parent
    [extension] = folder.rglob("*.duckdb_extension")
    duck = duckdb.connect()
    duck.execute(f"LOAD '{extension}'")
    duck.execute(f"CALL {GENERATORS[suite]}(sf={scale})")
    return duck


def load(duck, cursor, suite):
    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {suite}")
    cursor.execute(f"SET search_path = {suite}")
    tables = [name for (name,) in duck.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall()]
    for table in tables:
        if cursor.execute("SELECT to_regclass(%s)", (f"{suite}.{table}",)).fetchone()[0]:
            continue
        columns = duck.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = ? ORDER BY ordinal_position", [table]
        ).fetchall()
        cursor.execute(f"CREATE TABLE {table} ({', '.join(f'{name} {TYPES.get(kind, kind)}' for name, kind in columns)})")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "rows.csv"
            duck.execute(f"COPY {table} TO '{path}' (HEADER false, NULLSTR '\\N')")
            with path.open("rb") as file, cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv, NULL '\\N')") as copy:
                while block := file.read(1 << 20):
                    copy.write(block)
    return len(tables)


def plain(value):
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float, decimal.Decimal)):
        return float(value)
    if isinstance(value, str):
        return value.rstrip()
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date()
    return value


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return a == b


def compare(want, got):
    """The first difference, or None."""
    if len(want) != len(got):
        return f"{len(want)} rows from DuckDB, {len(got)} from Lakegate"
    for number, (a, b) in enumerate(zip(want, got)):
        if len(a) != len(b) or not all(map(same, a, b)):
            return f"row {number}: DuckDB {a}, Lakegate {b}"
    return None


def run(suite, scale, options, cursor):
    """Queries, those with rows, those that differ."""
    duck = generated(suite, scale)
    tables = load(duck, cursor, suite)
    print(f"{suite}: {tables} tables at scale {scale}", flush=True)
    queries = duck.execute(f"SELECT query_nr, query FROM {suite}_queries() ORDER BY 1").fetchall()
    asked = with_rows = differ = 0
    for number, query in queries:
        if options.only and number not in options.only:
            continue
        asked += 1
        query = query.strip().rstrip(";")
        want = [tuple(map(plain, row)) for row in duck.execute(query).fetchall()]
        with_rows += bool(want)
        started = time.monotonic()
        try:
            difference = compare(want, [tuple(map(plain, row)) for row in cursor.execute(query).fetchall()])
        except psycopg.Error as error:
            difference = f"{error.sqlstate}: {error}"
        seconds = time.monotonic() - started
        if difference:
            differ += 1
            print(f"{suite} {number}: {difference}", flush=True)
        elif seconds > options.slow:
            print(f"{suite} {number}: {seconds:.1f} s", flush=True)
    return asked, with_rows, differ


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lakegate", required=True)
    parser.add_argument("--tpch")
    parser.add_argument("--tpcds")
    parser.add_argument("--only", type=int, nargs="*")
    parser.add_argument("--slow", type=float, default=20)
    options = parser.parse_args()
    failed = False
    with psycopg.connect(options.lakegate, autocommit=True) as connection:
        for suite, scale in (("tpch", options.tpch), ("tpcds", options.tpcds)):
            if scale:
                asked, with_rows, differ = run(suite, float(scale), options, connection.cursor())
                print(f"{suite}: {asked} queries, {with_rows} with rows, {differ} differ", flush=True)
                failed |= differ > 0
    sys.exit(failed)


main()
