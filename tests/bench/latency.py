"""latency.py [SECONDS]: SELECT 1 and a point query with pgbench, against PostgreSQL 15 in the same run.

One server after the other, without TLS, each case SECONDS (5) long. The point query reads one row of a million by its key:
PostgreSQL has a primary key index; Lakegate's table is written in the order of the key.
"""

import re
import subprocess
import sys

import servers

SECONDS = sys.argv[1] if len(sys.argv) > 1 else "5"
SCRIPTS = {"SELECT 1": "SELECT 1;\n", "point query": "\\set id random(1, 1000000)\nSELECT name, amount FROM points WHERE id = :id;\n"}

folder = servers.work_folder("latency")
both = [servers.postgres(folder), servers.lakegate(folder)]
for server in both:
    key = "bigint PRIMARY KEY" if server.name == "postgres" else "bigint NOT NULL"
    server.sql(f"CREATE TABLE points (id {key}, name text, amount numeric(12,2));\n"
               "INSERT INTO points SELECT g, 'name ' || g, (g % 10000)::numeric(12,2) FROM generate_series(1, 1000000) g;\n")
both[0].sql("VACUUM ANALYZE points;\nCHECKPOINT;\n")


def run(server, script, mode, clients):
    command = ["pgbench", "-n", "-M", mode, "-c", str(clients), "-j", "2", "-T", SECONDS, "-f", script, "--log", f"--log-prefix={folder}/log"]
    output = subprocess.run(command, capture_output=True, text=True, env=server.environment())
    if output.returncode != 0:
        return None
    times = []
    for log in folder.glob("log.*"):
        times += [int(line.split()[2]) for line in log.read_text().splitlines()]
        log.unlink()
    times.sort()
    rate = float(re.search(r"tps = ([0-9.]+)", output.stdout).group(1))
    return {"per_second": round(rate), "p50_us": times[len(times) // 2], "p99_us": times[len(times) * 99 // 100]}


result, rows = [], []
for name, text in SCRIPTS.items():
    script = folder / "script.sql"
    script.write_text(text)
    for mode in ["simple", "extended", "prepared"]:
        for clients in [1, 8, 64]:
            figures = {server.name: run(server, script, mode, clients) for server in both}
            result.append({"case": name, "mode": mode, "clients": clients} | figures)
            cells = [f"{f['per_second']:,} · {f['p50_us']:,} · {f['p99_us']:,}" if f else "failed" for f in figures.values()]
            rows.append([name, mode, clients, *cells])
            print(*rows[-1], sep="\t", file=sys.stderr)
servers.report("latency", {"cases": result}, servers.table(["case", "mode", "clients", *(f"{s.name}: per s · p50 µs · p99 µs" for s in both)], rows))
