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


def records(duck, first, number):
    """Records number `first` and on, in order of time; what looks random follows from their numbers."""
    total = max(number, int(MILLIONS * 1e6))
    made = duck.execute(f"""
        WITH n AS (SELECT range AS n, hash(range) AS h, hash(range * 7 + 1) AS g FROM range({first}, {first + number})),
        r AS (SELECT n, to_timestamp({int(FIRST.timestamp())} + n * {DAYS * 86_400}.0 / {total}) AS moment, h, g,
                     'role_' || lpad(CAST(least(h % 200, (h // 200) % 200) AS VARCHAR), 3, '0') AS actor FROM n)
        SELECT CAST(moment AT TIME ZONE 'UTC' AS DATE) AS log_date, moment AS event_time, 20000::BIGINT AS actor_oid, actor,
               CASE WHEN g % 100 < 50 THEN 'login' WHEN g % 100 < 94 THEN 'statement' WHEN g % 100 < 99 THEN 'export' ELSE 'grant' END AS action_name,
               CASE WHEN (g // 100) % 10 = 0 THEN 'denied' ELSE 'success' END AS status,
               printf('%08x-0000-7000-8000-%012x', n, n) AS event_id, actor AS run_as,
               printf('10.%d.%d.7', (g // 1000) % 20, (g // 20000) % 250) AS source_ip_address, NULL::VARCHAR AS session_id,
               NULL::VARCHAR AS client_application, NULL::VARCHAR AS auth_method, 'accounts' AS service_name, NULL::VARCHAR AS object_type,
               NULL::VARCHAR AS object_name, NULL::VARCHAR AS sqlstate, NULL::BIGINT AS rows_affected, NULL::VARCHAR AS statement_id,
               'made up' AS key_id, NULL::VARCHAR AS detail_digest
        FROM r ORDER BY n""").to_arrow_table()
    return made.set_column(1, "event_time", made.column("event_time").cast(pa.timestamp("us", tz="UTC")))


def main():
    folder = work_folder("hunt")
    options = ["--log-flush-seconds", "0"]
    server = lakegate(folder, *options)
    server.sql("CALL lakegate.flush_logs('0 seconds');")
    server.process.terminate()
    server.process.wait()
    table = folder / "lakegate" / "warehouse" / "_lakegate" / "log" / "audit_events"
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    chunks = max(1, int(MILLIONS * 1e6) // CHUNK)
    for chunk in range(chunks):
        number = min(CHUNK, int(MILLIONS * 1e6))
        batch = records(duck, chunk * CHUNK, number)
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
