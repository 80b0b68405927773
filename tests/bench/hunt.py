"""Hunting through old audit records by SQL, against DuckDB on the same Parquet files.

    hunt.py 20          millions of records (default 2)

The records are made up: 200 roles from 5,000 addresses over thirty days, one login in ten refused. They are put where Lakegate flushes old
records to, in its own table; the answers of both are compared.
"""

import datetime
import pathlib
import shutil
import sqlite3
import sys
import time

import duckdb
import numpy
import psycopg
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from servers import PASSWORD, ROOT, lakegate, work_folder

MILLIONS = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
CHUNK = 1_000_000
FIRST = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)
DAYS = 30

QUERIES = {
    "distinct addresses by role in a day": """
        SELECT actor, count(DISTINCT source_ip_address) AS addresses FROM {audit}
        WHERE event_time >= TIMESTAMPTZ '2026-10-15 00:00:00+00' AND event_time < TIMESTAMPTZ '2026-10-16 00:00:00+00'
        GROUP BY actor ORDER BY 2 DESC, 1 LIMIT 20""",
    "failures, then a success, within a minute": """
        WITH logins AS (
            SELECT actor, event_time, status, lag(status) OVER w AS before, lag(status, 2) OVER w AS before_that, lag(event_time, 2) OVER w AS since
            FROM {audit} WHERE action_name = 'login' WINDOW w AS (PARTITION BY actor, source_ip_address ORDER BY event_time, event_id))
        SELECT actor, count(*) AS times FROM logins
        WHERE status = 'success' AND before = 'denied' AND before_that = 'denied' AND event_time - since < interval '1 minute'
        GROUP BY actor ORDER BY 2 DESC, 1 LIMIT 20""",
    "top talkers": """
        SELECT source_ip_address, actor, count(*) AS events, count(*) FILTER (WHERE status = 'denied') AS denied
        FROM {audit} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 20""",
}


def records(number, start, random):
    """A part of the thirty days, in order of time."""
    span = DAYS * 86_400_000_000
    micros = numpy.sort(random.integers(start, start + span // max(1, int(MILLIONS)), number)).astype("int64")
    roles = numpy.array([f"role_{n:03}" for n in range(200)])[random.zipf(1.3, number) % 200]
    addresses = numpy.array([f"10.{n // 250}.{n % 250}.7" for n in range(5000)])[random.integers(0, 5000, number)]
    actions = numpy.array(["login", "statement", "export", "grant"])[random.choice(4, number, p=[0.5, 0.44, 0.05, 0.01])]
    status = numpy.where(random.random(number) < 0.1, "denied", "success")
    ids = [f"{high:08x}-0000-7000-8000-{low:012x}" for high, low in zip(random.integers(0, 2**32, number), random.integers(0, 2**48, number))]
    nothing = pa.nulls(number, pa.string())
    first = int(FIRST.timestamp() * 1e6)
    times = pa.array(micros + first, pa.timestamp("us", tz="UTC"))
    return {
        "log_date": times.cast(pa.timestamp("us")).cast(pa.date32()), "event_time": times, "actor_oid": pa.array(numpy.full(number, 20_000, "int64")),
        "actor": pa.array(roles), "action_name": pa.array(actions), "status": pa.array(status), "event_id": pa.array(ids),
        "run_as": pa.array(roles), "source_ip_address": pa.array(addresses), "session_id": nothing, "client_application": nothing,
        "auth_method": nothing, "service_name": pa.array(["accounts"] * number), "object_type": nothing, "object_name": nothing, "sqlstate": nothing,
        "rows_affected": pa.nulls(number, pa.int64()), "statement_id": nothing, "key_id": pa.array(["made up"] * number), "detail_digest": nothing,
    }


def main():
    folder = work_folder("hunt")
    options = ["--log-flush-seconds", "0"]
    server = lakegate(folder, *options)
    server.sql("CALL lakegate.flush_logs('0 seconds');")
    server.process.terminate()
    server.process.wait()
    table = folder / "lakegate" / "warehouse" / "_lakegate" / "log" / "audit_events"
    random = numpy.random.default_rng(7)
    chunks = max(1, int(MILLIONS * 1e6) // CHUNK)
    for chunk in range(chunks):
        number = min(CHUNK, int(MILLIONS * 1e6))
        batch = pa.table(records(number, chunk * (DAYS * 86_400_000_000 // chunks), random))
        write_deltalake(str(table), batch, mode="append", partition_by=["log_date"])
        print(f"{chunk + 1} of {chunks} million records", file=sys.stderr)
    delta = DeltaTable(str(table))
    catalog = sqlite3.connect(folder / "lakegate" / "catalog.db")
    catalog.execute("UPDATE flushed_logs SET visible_version = ? WHERE log = 'audit_events'", (delta.version(),))
    catalog.commit()
    catalog.close()
    files = [str(pathlib.Path(uri.removeprefix("file://"))) for uri in delta.file_uris()]
    server = lakegate(folder, *options)
    client = psycopg.connect(host="127.0.0.1", port=server.port, user="admin", password=PASSWORD, dbname="main", sslmode="disable", autocommit=True)
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    duck.execute(f"CREATE VIEW audit AS SELECT * FROM read_parquet({files!r}, hive_partitioning = true)")
    made_up = "(SELECT * FROM system.access.audit WHERE event_time < TIMESTAMPTZ '2026-11-01 00:00:00+00') AS audit"
    lines = [f"{MILLIONS:g} million records in {len(files)} files", "", "| hunt | Lakegate, s | DuckDB, s | ratio |", "|---|---|---|---|"]
    for name, query in QUERIES.items():
        times = {"lakegate": [], "duckdb": []}
        for _ in range(3):
            begun = time.perf_counter()
            ours = client.execute(query.format(audit=made_up)).fetchall()
            times["lakegate"].append(time.perf_counter() - begun)
            begun = time.perf_counter()
            theirs = duck.execute(query.format(audit="(SELECT * FROM audit WHERE event_time < TIMESTAMPTZ '2026-11-01 00:00:00+00') AS audit")).fetchall()
            times["duckdb"].append(time.perf_counter() - begun)
        if [tuple(row) for row in ours] != [tuple(row) for row in theirs]:
            sys.exit(f"{name}: the answers differ\n{ours[:3]}\n{theirs[:3]}")
        best = {who: min(taken) for who, taken in times.items()}
        lines.append(f"| {name} | {best['lakegate']:.2f} | {best['duckdb']:.2f} | {best['lakegate'] / best['duckdb']:.2f} |")
    print("\n".join(lines))
    target = ROOT / "target" / "bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "hunt.md").write_text("\n".join(lines) + "\n")
    client.close()
    shutil.rmtree(table, ignore_errors=True)


if __name__ == "__main__":
    main()
