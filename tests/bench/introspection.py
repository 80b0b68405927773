"""introspection.py [TABLES]: what clients ask the catalogs, over TABLES (10000) tables of 20 columns, against PostgreSQL 15 in the same run.

The statements are those of tests/introspection that ask, each once in its first form, as simple queries of one session. OIDs of the recorded
server stand for the objects of setup.sql. Each is run on both servers to warm them up, then on one and the other in turn, RUNS times: medians
count. A statement may take LIMIT_S; one that takes more is reported as such. Meanwhile the folder in which Lakegate keeps its tables has
another name: whatever asked the object store would fail.

Prints the times and the ratio of each statement, the median ratio and the slowest, with results of statements kept (`lakegate.result_cache`)
and without, and beside them the very first run of each statement. Statements that fail on both are not counted; those that fail on
Lakegate alone are listed.
"""

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
BATCH = 500
RUNS = 5
# A statement that takes longer than this is measured once.
LONG_MS = 2_000
LIMIT_S = 60
ASKING = {"SELECT", "WITH", "VALUES", "TABLE", "SHOW"}
RECORDED = {"16388": "shop", "16389": "customers", "16397": "orders", "16410": "v_orders", "16414": "types_t", "80553": "customers", "80561": "orders",
            "80574": "v_orders", "80578": "types_t"}
CORPUS = servers.ROOT / "tests/introspection"
TYPES = ("bigint", "text", "numeric(12,2)", "timestamp", "date")


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


def connect(server, *settings):
    """A session whose settings stand at its start: statements of the corpus reset what is set later."""
    options = " ".join(f"-c {setting}" for setting in (f"statement_timeout={LIMIT_S}s", *settings))
    return psycopg.connect(host="127.0.0.1", port=server.port, user="admin", password=servers.PASSWORD, dbname="main", sslmode="disable",
                           autocommit=True, options=options)


def run(connection, text):
    """(milliseconds, SQLSTATE or None)"""
    began = time.perf_counter()
    result = connection.pgconn.exec_(text.encode())
    took = (time.perf_counter() - began) * 1000
    if connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
        connection.pgconn.exec_(b"ROLLBACK")
    failed = result.status == pq.ExecStatus.FATAL_ERROR
    return took, result.error_field(pq.DiagnosticField.SQLSTATE).decode() if failed else None


def fill(server):
    """TABLES tables in ten schemas, by a script of transactions as a user would write it."""
    columns = ", ".join(f"column_{n} {TYPES[n % 5]}" for n in range(1, COLUMNS))
    server.sql("".join(f"CREATE SCHEMA many_{n};\n" for n in range(10)))
    began = time.monotonic()
    for start in range(0, TABLES, BATCH):
        numbers = range(start, min(start + BATCH, TABLES))
        tables = "".join(f"CREATE TABLE many_{n % 10}.table_{n} (id bigint PRIMARY KEY, {columns});\n" for n in numbers)
        server.sql(f"BEGIN;\n{tables}COMMIT;\n")
    took = time.monotonic() - began
    print(f"{server.name}: {TABLES} tables in {took:.0f} s", file=sys.stderr)
    server.sql((CORPUS / "setup.sql").read_text())
    return took


def of_catalogs(postgres, corpus):
    """Without the statements that read rows of tables; PostgreSQL's planner knows."""
    connection = connect(postgres)
    own = own_numbers(connection)
    kept = []
    for name, text in corpus:
        plan = connection.pgconn.exec_(b"EXPLAIN (VERBOSE, FORMAT JSON) " + with_numbers(text, own).encode())
        described = plan.get_value(0, 0) if plan.ntuples else b""
        if not set(re.findall(rb'"Schema": "([^"]*)"', described)) - {b"pg_catalog", b"information_schema"}:
            kept.append((name, text))
        if connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            connection.pgconn.exec_(b"ROLLBACK")
    return kept


def with_numbers(text, own):
    return re.sub(r"(?<![\w.])\d{5}(?![\w.])", lambda found: own.get(found.group(0), found.group(0)), text)


def own_numbers(connection):
    rows = connection.execute("SELECT relname, oid::int8 FROM pg_class WHERE relname IN ('customers', 'orders', 'v_orders', 'types_t') "
                              "UNION ALL SELECT nspname, oid::int8 FROM pg_namespace WHERE nspname = 'shop'").fetchall()
    oids = {name: str(oid) for name, oid in rows}
    return {number: oids[name] for number, name in RECORDED.items()}


def measure(connections, texts):
    """(first milliseconds, median of the others) of each, or the SQLSTATEs where one fails."""
    first = [run(connection, text) for connection, text in zip(connections, texts)]
    codes = [code for _, code in first]
    if any(codes):
        return None, None, codes
    first = [took for took, _ in first]
    if max(first) > LONG_MS:
        return first, [run(connection, text)[0] for connection, text in zip(connections, texts)], None
    times = [[] for _ in connections]
    for _ in range(RUNS):
        for at, (connection, text) in enumerate(zip(connections, texts)):
            times[at].append(run(connection, text)[0])
    return first, [statistics.median(took) for took in times], None


def compare(connections, corpus):
    """One row a statement that works on both: client, text, first runs, medians."""
    numbers = [own_numbers(connection) for connection in connections]
    rows, failures = [], []
    for name, text in corpus:
        texts = [with_numbers(text, own) for own in numbers]
        first, usual, codes = measure(connections, texts)
        if codes is None:
            rows.append((name, " ".join(text.split()), first, usual))
        elif codes[0] != codes[1]:
            failures.append(f"{name}: postgres {codes[0]}, lakegate {codes[1]}: {' '.join(text.split())[:120]}")
    return rows, failures


def ratios(rows, which):
    return sorted(row[which][1] / row[which][0] for row in rows)


def summary(rows):
    found = {}
    for label, which in (("first", 2), ("usual", 3)):
        sorted_ratios = ratios(rows, which)
        found[label] = {"median_ratio": round(statistics.median(sorted_ratios), 2), "slowest_ratio": round(sorted_ratios[-1], 2),
                        "over_3": sum(ratio > 3 for ratio in sorted_ratios), "slowest_ms": round(max(row[which][1] for row in rows), 1),
                        "slowest_ms_postgres": round(max(row[which][0] for row in rows), 1),
                        "sum_ms": round(sum(row[which][1] for row in rows)), "sum_ms_postgres": round(sum(row[which][0] for row in rows))}
    return {"statements": len(rows)} | found


def main():
    folder = servers.work_folder("introspection")
    both = [servers.postgres(folder), servers.lakegate(folder)]
    filling = {server.name: fill(server) for server in both}
    both[0].sql("VACUUM ANALYZE;\nCHECKPOINT;\n")
    warehouse = folder / "lakegate" / "warehouse"
    away = warehouse.rename(folder / "away")
    corpus, result, tables = of_catalogs(both[0], statements()), {"tables": TABLES, "filling_seconds": filling}, []
    for label, setting in (("without kept results", "off"), ("with kept results", "on")):
        connections = [connect(both[0]), connect(both[1], f"lakegate.result_cache={setting}")]
        rows, failures = compare(connections, corpus)
        result[label] = summary(rows) | {"failures": failures, "rows": rows}
        tables.append([label, *(f"{figures['median_ratio']} · {figures['slowest_ratio']} · {figures['over_3']}"
                                for figures in (result[label]["first"], result[label]["usual"])), result[label]["statements"]])
        print(label, summary(rows), *failures, sep="\n", file=sys.stderr)
        for row in sorted(rows, key=lambda row: -row[3][1] / row[3][0])[:20]:
            print(f"{row[3][1] / row[3][0]:8.1f}x {row[3][0]:9.2f} {row[3][1]:9.2f} ms  {row[0]}: {row[1][:110]}", file=sys.stderr)
    if warehouse.exists() and any(warehouse.iterdir()):
        sys.exit("the object store was asked: it made " + str(next(warehouse.iterdir())))
    away.rename(warehouse)
    if both[1].sql("SELECT count(*) FROM many_0.table_0", "-tA").strip() != "0":
        sys.exit("the tables are gone")
    head = ["lakegate against postgres", "first run: median ratio · slowest · over 3", "median of five: median ratio · slowest · over 3", "statements"]
    servers.report("introspection", result, servers.table(head, tables))


if __name__ == "__main__":
    main()
