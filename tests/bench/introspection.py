"""introspection.py [TABLES]: what clients ask the catalogs, over TABLES (10000) tables of 20 columns, against PostgreSQL 15 in the same run.

The statements are those of tests/introspection that ask, each once in its first form, as simple queries. OIDs of the recorded server stand
for the objects of setup.sql. Prints the time of both servers for each statement (best of three), the median ratio and the slowest, and how
many times Lakegate asked the object store meanwhile (its warehouse lies on the local disk: files opened under it are counted).
"""

import concurrent.futures
import pathlib
import re
import statistics
import sys
import time

import psycopg
from psycopg import pq

import servers

TABLES = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
COLUMNS = 20
SESSIONS, BATCH = 4, 50
RUNS = 3
ASKING = {"SELECT", "WITH", "VALUES", "TABLE", "SHOW"}
RECORDED = {"16388": "shop", "16389": "customers", "16397": "orders", "16410": "v_orders", "16414": "types_t", "80553": "customers", "80561": "orders",
            "80574": "v_orders", "80578": "types_t"}
CORPUS = servers.ROOT / "tests/introspection"


def statements():
    """(file, text) of each distinct statement without parameters that asks and changes nothing."""
    found = {}
    for path in sorted(CORPUS.glob("*.sql")):
        if path.stem in ("setup", "recorded_seed", "pgbench"):
            continue
        for block in path.read_text(errors="replace").split("\n\n-- [")[1:]:
            text = block.split("\n", 1)[1]
            while text.startswith("--   bind "):
                text = text.split("\n", 1)[1]
            text = text.strip().removesuffix(";")
            bare = re.sub(r"/\*.*?\*/|--[^\n]*", " ", text, flags=re.S).strip().lstrip("( \n")
            word = re.match(r"[A-Za-z]*", bare).group(0).upper()
            outside = re.sub(r"'[^']*'", "", text)
            if word in ASKING and "$1" not in outside and " into " not in outside.lower() and "sleep" not in outside:
                found.setdefault(text, path.stem)
    return [(name, text) for text, name in found.items()]


def connect(server):
    connection = psycopg.connect(host="127.0.0.1", port=server.port, user="admin", password=servers.PASSWORD, dbname="main", sslmode="disable", autocommit=True)
    return connection.pgconn


def run(connection, text):
    result = connection.exec_(text.encode())
    if connection.transaction_status != pq.TransactionStatus.IDLE:
        connection.exec_(b"ROLLBACK")
    return result


def fill(server):
    """TABLES tables in ten schemas, a few sessions at a time, each transaction making some."""
    columns = ", ".join(f"column_{n} {('bigint', 'text', 'numeric(12,2)', 'timestamp', 'date')[n % 5]}" for n in range(1, COLUMNS))
    server.sql("".join(f"CREATE SCHEMA many_{n};\n" for n in range(10)))

    def make(first):
        connection = connect(server)
        for start in range(first * BATCH, TABLES, SESSIONS * BATCH):
            numbers = range(start, min(start + BATCH, TABLES))
            tables = "".join(f"CREATE TABLE many_{n % 10}.table_{n} (id bigint PRIMARY KEY, {columns});\n" for n in numbers)
            for attempt in range(20):
                result = connection.exec_(f"BEGIN;\n{tables}COMMIT;\n".encode())
                if result.status != pq.ExecStatus.FATAL_ERROR:
                    break
                connection.exec_(b"ROLLBACK")
            else:
                sys.exit(f"{server.name}: {result.error_message.decode()}")

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(SESSIONS) as pool:
        list(pool.map(make, range(SESSIONS)))
    print(f"{server.name}: {TABLES} tables in {time.monotonic() - began:.0f} s", file=sys.stderr)
    server.sql((CORPUS / "setup.sql").read_text())


def own_numbers(connection):
    result = run(connection, "SELECT relname, oid::int8 FROM pg_class WHERE relname IN ('customers', 'orders', 'v_orders', 'types_t') "
                             "UNION ALL SELECT nspname, oid::int8 FROM pg_namespace WHERE nspname = 'shop'")
    oids = {result.get_value(row, 0).decode(): result.get_value(row, 1).decode() for row in range(result.ntuples)}
    return {number: oids[name] for number, name in RECORDED.items()}


def measure(connection, text):
    """Milliseconds, or the SQLSTATE."""
    best = None
    for _ in range(RUNS):
        began = time.perf_counter()
        result = run(connection, text)
        took = (time.perf_counter() - began) * 1000
        if result.status == pq.ExecStatus.FATAL_ERROR:
            return result.error_field(pq.DiagnosticField.SQLSTATE).decode()
        best = min(took, best or took)
    return best


def files_read(folder, since):
    """Files of tables that were opened after a moment, by their access times (relatime sees the first reading of each)."""
    return sum(1 for path in pathlib.Path(folder).rglob("*") if path.is_file() and path.stat().st_atime > since)


folder = servers.work_folder("introspection")
both = [servers.postgres(folder), servers.lakegate(folder)]
for server in both:
    fill(server)
both[0].sql("VACUUM ANALYZE;\nCHECKPOINT;\n")
connections = [connect(server) for server in both]
numbers = [own_numbers(connection) for connection in connections]
began = time.time()
rows, ratios = [], []
for name, text in statements():
    times = []
    for connection, own in zip(connections, numbers):
        mine = re.sub(r"(?<![\w.])\d{5}(?![\w.])", lambda found, own=own: own.get(found.group(0), found.group(0)), text)
        times.append(measure(connection, mine))
    if all(isinstance(took, float) for took in times):
        ratios.append((times[1] / times[0], name, " ".join(text.split())[:100]))
        rows.append([name, " ".join(text.split())[:80].replace("|", "\\|"), f"{times[0]:.2f}", f"{times[1]:.2f}", f"{ratios[-1][0]:.2f}"])
        print(*rows[-1], sep="\t", file=sys.stderr)
    elif times[0] != times[1]:
        print(f"{name}: postgres {times[0]}, lakegate {times[1]}: {' '.join(text.split())[:100]}", file=sys.stderr)
ratios.sort(reverse=True)
median = statistics.median(ratio for ratio, *_ in ratios)
opened = files_read(folder / "lakegate" / "warehouse", began)
summary = {"tables": TABLES, "statements": len(ratios), "median_ratio": median, "slowest_ratio": ratios[0][0], "over_3": sum(r > 3 for r, *_ in ratios),
           "warehouse_files_read": opened}
print(summary, *ratios[:15], sep="\n", file=sys.stderr)
servers.report("introspection", summary | {"rows": rows}, servers.table(["client", "statement", "postgres ms", "lakegate ms", "ratio"], rows))
