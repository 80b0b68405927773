"""hot.py [SCALE] [ROUNDS]: the 22 TPC-H queries again and again over the same Delta tables: DuckDB in process on their Parquet files, Lakegate
with columns kept decoded, Lakegate without.

Data by tpchgen-cli, written by python deltalake, registered. Rows of results are not kept (lakegate.result_cache = off). Each way runs each
query three times unmeasured; then all ways in turn, ROUNDS (5) times: medians, and their ratios, so that what else the machine does counts
for all alike. Ends with an error if any answer differs.
"""

import math
import pathlib
import statistics
import subprocess
import sys
import time

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

import servers

SCALE = sys.argv[1] if len(sys.argv) > 1 else "1"
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
TABLES = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"]

folder = servers.work_folder("hot")
subprocess.run([str(pathlib.Path(sys.executable).parent / "tpchgen-cli"), "parquet", "-s", SCALE, f"--output-dir={folder}/parquet"],
               check=True, capture_output=True)
duck = duckdb.connect()
for name in TABLES:
    path = folder / "parquet" / f"{name}.parquet"
    for file in [path] if path.exists() else sorted((folder / "parquet" / name).glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1_000_000):
            write_deltalake(f"{folder}/delta/{name}", pa.Table.from_batches([batch]), mode="append")
    duck.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({DeltaTable(f'{folder}/delta/{name}').file_uris()})")

lakegate = servers.lakegate(folder)
lakegate.sql(f"CREATE EXTERNAL LOCATION delta URL 'file://{folder}/delta/';\n")
for name in TABLES:
    lakegate.sql(f"CREATE TABLE {name} USING DELTA LOCATION 'file://{folder}/delta/{name}';\n")


def session(*settings):
    place = f"host=127.0.0.1 port={lakegate.port} user=admin password={servers.PASSWORD} dbname=main sslmode=disable"
    connection = psycopg.connect(place, autocommit=True, prepare_threshold=None)
    for setting in ("lakegate.result_cache = off", *settings):
        connection.execute(f"SET {setting}")
    return lambda query: connection.execute(query).fetchall()


def comparable(rows):
    def value(cell):
        try:
            return round(float(cell), 2)
        except (TypeError, ValueError):
            return str(cell).strip()

    return [[value(cell) for cell in row] for row in rows]


def close(mine, theirs):
    if isinstance(mine, float) and isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=1e-6, abs_tol=0.011)
    return mine == theirs


ways = {"DuckDB": lambda query: duck.execute(query).fetchall(), "kept decoded": session(), "read each time": session("lakegate.decoded_cache = off")}
result, rows, wrong = [], [], []
for path in sorted((pathlib.Path(__file__).parent / "tpch").glob("q*.sql")):
    query = path.read_text().strip().rstrip(";")
    answers = {way: comparable([run(query) for _ in range(3)][-1]) for way, run in ways.items()}
    times = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, run in ways.items():
            start = time.monotonic()
            run(query)
            times[way].append(time.monotonic() - start)
    for way, mine in answers.items():
        theirs = answers["DuckDB"]
        if len(mine) != len(theirs) or not all(close(a, b) for left, right in zip(mine, theirs) for a, b in zip(left, right)):
            wrong.append(f"{path.stem} {way}")
    medians = {way: statistics.median(taken) * 1000 for way, taken in times.items()}
    result.append({"query": path.stem} | medians)
    rows.append([path.stem[1:], *(f"{medians[way] / medians['DuckDB']:.2f}" for way in ways)])
    print(*rows[-1], sep="\t", file=sys.stderr)


def mean(way):
    return math.exp(statistics.fmean(math.log(entry[way]) for entry in result))


rows.append(["geometric mean", *(f"{mean(way) / mean('DuckDB'):.2f}" for way in ways)])
cache = lakegate.sql("SELECT bytes >> 20, entries, hits, misses, evictions FROM system.compute.caches WHERE cache = 'decoded columns';\n", "-At").strip()
markdown = servers.table(["query", *ways], rows) + f"\n\nTimes over DuckDB's, medians of {ROUNDS}. Kept: MiB|entries|hits|misses|evictions {cache}."
markdown += "\nAll answers equal." if not wrong else "\nDIFFERENT: " + ", ".join(wrong)
servers.report(f"hot-{SCALE}", {"scale": SCALE, "rounds": ROUNDS, "queries": result, "wrong": wrong, "cache": cache}, markdown)
sys.exit(1 if wrong else 0)
