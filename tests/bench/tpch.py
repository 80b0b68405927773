"""tpch.py [SCALE] [local] [s3] [copy]: the 22 TPC-H queries through psql; results compared with DuckDB's on the same files, times with
DuckDB in process.

Data by tpchgen-cli. `local` and `s3`: written as Delta tables by python deltalake and registered as external tables. `copy`: loaded by
COPY … FROM 'url' into Lakegate's own tables. DuckDB always reads the local Delta table's Parquet files. Each query runs three times, the best
counts. Ends with an error if any result differs.
"""

import csv
import datetime
import decimal
import io
import math
import pathlib
import subprocess
import sys
import time

import duckdb
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

import servers

SCALE = next((a for a in sys.argv[1:] if a[0].isdigit()), "1")
WAYS = [a for a in sys.argv[1:] if not a[0].isdigit()] or ["local", "s3", "copy"]
TABLES = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"]
QUERIES = sorted((pathlib.Path(__file__).parent / "tpch").glob("q*.sql"))

folder = servers.work_folder("tpch")
subprocess.run([str(pathlib.Path(sys.executable).parent / "tpchgen-cli"), "parquet", "-s", SCALE, f"--output-dir={folder}/parquet"], check=True, capture_output=True)


def parquet(name):
    """One file, or a folder of parts."""
    path = folder / "parquet" / f"{name}.parquet"
    return path if path.exists() else folder / "parquet" / name


def load(root, storage=None):
    start = time.monotonic()
    for name in TABLES:
        file = parquet(name)
        files = [file] if file.is_file() else sorted(file.glob("*.parquet"))
        for part in files:
            source = pq.ParquetFile(part)
            # A few files a table, as a writer with several tasks leaves them.
            batches = source.iter_batches(batch_size=1_000_000)
            for batch in batches:
                import pyarrow as pa

                write_deltalake(f"{root}/{name}", pa.Table.from_batches([batch]), mode="append", storage_options=storage)
    return time.monotonic() - start


def normal(value):
    """Values compare as numbers where they are numbers, as stripped text otherwise."""
    if value is None or value == "":
        return None
    if isinstance(value, (int, float, decimal.Decimal)):
        return float(value)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()[:10]
    text = str(value).rstrip()
    try:
        return float(text)
    except ValueError:
        return text


def same(left, right):
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=0.005001 if abs(left) < 1 else 1e-6)
    return left == right


def differs(mine, theirs):
    if len(mine) != len(theirs):
        return f"{len(mine)} rows, DuckDB has {len(theirs)}"
    for number, (left, right) in enumerate(zip(mine, theirs)):
        if len(left) != len(right) or not all(same(a, b) for a, b in zip(left, right)):
            return f"row {number}: {left}, DuckDB has {right}"
    return None


def timed(run, times=3):
    best, answer = math.inf, None
    for _ in range(times):
        start = time.monotonic()
        answer = run()
        best = min(best, time.monotonic() - start)
    return best, answer


load_seconds = {"local": load(f"{folder}/delta")}
reference = duckdb.connect()
for name in TABLES:
    files = DeltaTable(f"{folder}/delta/{name}").file_uris()
    reference.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files})")

environment = {}
if "s3" in WAYS:
    environment = servers.s3(folder)
    load_seconds["s3"] = load("s3://tpch/delta", environment | {"aws_conditional_put": "etag"})
lakegate = servers.lakegate(folder, environment=environment)
for name in ["delta", "parquet"]:
    lakegate.sql(f"CREATE EXTERNAL LOCATION {name} URL 'file://{folder}/{name}/';\n")
for way in WAYS:
    lakegate.sql(f"CREATE SCHEMA {way};\n")
    start = time.monotonic()
    for name in TABLES:
        if way == "local":
            lakegate.sql(f"CREATE TABLE local.{name} USING DELTA LOCATION 'file://{folder}/delta/{name}';\n")
        elif way == "s3":
            if name == TABLES[0]:
                lakegate.sql("CREATE EXTERNAL LOCATION bucket URL 's3://tpch/delta/';\n")
            lakegate.sql(f"CREATE TABLE s3.{name} USING DELTA LOCATION 's3://tpch/delta/{name}';\n")
        else:
            columns = reference.execute(f"DESCRIBE {name}").fetchall()
            spelled = ", ".join(f"{c[0]} {c[1].replace('DECIMAL', 'numeric').replace('VARCHAR', 'text')}" for c in columns)
            lakegate.sql(f"CREATE TABLE copy.{name} ({spelled});\nCOPY copy.{name} FROM 'file://{parquet(name)}' (FORMAT parquet);\n")
    if way == "copy":
        load_seconds["copy"] = time.monotonic() - start

result, rows, wrong = [], [], []
for path in QUERIES:
    query = path.read_text().strip().rstrip(";")
    seconds, answer = timed(lambda: reference.execute(query).fetchall())
    theirs = [[normal(value) for value in row] for row in answer]
    entry = {"query": path.stem, "duckdb_ms": round(seconds * 1000)}
    for way in WAYS:
        # One psql runs the query three times and times it itself: connecting is not part of it.
        script = f"SET search_path = {way};\n\\pset format csv\n\\pset tuples_only on\n\\timing on\n" + f"{query};\n\\echo -----\n" * 3
        output = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1"], input=script, text=True, capture_output=True, env=lakegate.environment())
        if output.returncode != 0:
            wrong.append(f"{path.stem} {way}: {output.stderr.strip()}")
            entry[f"{way}_ms"] = None
            continue
        parts = output.stdout.split("-----\n")[:3]
        lines = [part.strip("\n").split("\n") for part in parts]
        entry[f"{way}_ms"] = round(min(float(part[-1].split()[1]) for part in lines))
        mine = [[normal(value) for value in row] for row in csv.reader(io.StringIO("\n".join(lines[-1][:-1])))]
        difference = differs(mine, theirs)
        if difference:
            wrong.append(f"{path.stem} {way}: {difference}")
    result.append(entry)
    rows.append([path.stem[1:], entry["duckdb_ms"], *(entry[f"{way}_ms"] for way in WAYS)])
    print(*rows[-1], sep="\t", file=sys.stderr)


def mean(key):
    values = [entry[key] for entry in result if entry[key]]
    return math.exp(sum(math.log(value) for value in values) / len(values)) if values else math.nan


rows.append(["geometric mean", *(f"{mean(key):.0f}" for key in ["duckdb_ms", *(f"{way}_ms" for way in WAYS)])])
rows.append(["against DuckDB", "1.00", *(f"{mean(f'{way}_ms') / mean('duckdb_ms'):.2f}" for way in WAYS)])
markdown = servers.table(["query", "DuckDB, ms", *(f"lakegate {way}, ms" for way in WAYS)], rows)
markdown += f"\n\nAll {len(QUERIES)} results equal to DuckDB's." if not wrong else "\n\nDIFFERENT:\n" + "\n".join(wrong)
servers.report(f"tpch-{SCALE}", {"scale": SCALE, "load_seconds": load_seconds, "queries": result, "wrong": wrong}, markdown)
sys.exit(1 if wrong else 0)
