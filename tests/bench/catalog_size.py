"""catalog_size.py [TABLES]: what a statement costs in a catalog of TABLES (10000) tables, 1000 roles and 100000 grants, against one of ten
of each, in the same run.

Two Lakegates, one session each; every statement runs on one and the other in turn, medians count. The point query reads one row of a
thousand by its key.
"""

import statistics
import sys
import time

import psycopg

import servers

TABLES = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
RUNS = 200
SCHEMAS = 10


def connect(server):
    return psycopg.connect(host="127.0.0.1", port=server.port, user="admin", password=servers.PASSWORD, dbname="main", sslmode="disable", autocommit=True)


def fill(server, tables, roles, grantees):
    """`tables` in ten schemas, `roles`, and SELECT on each table for `grantees` of them."""
    columns = ", ".join(f"column_{n} {('bigint', 'text', 'date')[n % 3]}" for n in range(20))
    server.sql("".join(f"CREATE SCHEMA many_{n};\n" for n in range(SCHEMAS)) + "BEGIN;\n" + "".join(f"CREATE ROLE role_{n};\n" for n in range(roles)) + "COMMIT;\n")
    for start in range(0, tables, 500):
        made = "".join(f"CREATE TABLE many_{n % SCHEMAS}.table_{n} ({columns});\n" for n in range(start, min(start + 500, tables)))
        server.sql(f"BEGIN;\n{made}COMMIT;\n")
    who = ", ".join(f"role_{n}" for n in range(grantees))
    server.sql("".join(f"GRANT SELECT ON ALL TABLES IN SCHEMA many_{n} TO {who};\n" for n in range(SCHEMAS)))
    server.sql("CREATE TABLE points AS SELECT g AS id, 'name ' || g AS name FROM generate_series(1, 1000) g;\n")


def once(connection, text):
    began = time.perf_counter()
    result = connection.pgconn.exec_(text.encode())
    if result.error_message:
        sys.exit(f"{text}: {result.error_message.decode()}")
    return (time.perf_counter() - began) * 1000


folder = servers.work_folder("catalog-size")
both = []
for name, sizes in (("small", (10, 10, 1)), ("large", (TABLES, 1_000, 10))):
    (folder / name).mkdir()
    server = servers.lakegate(folder / name)
    began = time.monotonic()
    fill(server, *sizes)
    print(f"{name}: filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
    both.append(server)
connections = [connect(server) for server in both]
result, rows = [], []
for name, runs, texts in [
    ("SELECT 1", RUNS, lambda n: [f"SELECT {n}"]),
    ("point query", RUNS, lambda n: [f"SELECT name FROM points WHERE id = {n}"]),
    ("CREATE TABLE", 30, lambda n: [f"CREATE TABLE extra_{n} (a int)"]),
    ("GRANT", 30, lambda n: [f"GRANT SELECT ON extra_{n} TO role_0"]),
    ("DROP TABLE", 30, lambda n: [f"DROP TABLE extra_{n}"]),
]:
    times = [[], []]
    for number in range(runs + 3):
        for at in (0, 1) if number % 2 else (1, 0):
            took = sum(once(connections[at], text) for text in texts(number))
            if number >= 3:
                times[at].append(took)
    small, large = (statistics.median(took) for took in times)
    result.append({"statement": name, "small_ms": small, "large_ms": large})
    rows.append([name, f"{small:.2f}", f"{large:.2f}", f"{large / small:.2f}"])
    print(*rows[-1], sep="\t", file=sys.stderr)
servers.report("catalog_size", {"tables": TABLES, "statements": result}, servers.table(["statement", "small, ms", "large, ms", "ratio"], rows))
