"""pairs.py OLD NEW [ROUNDS] [SECONDS]: two builds of Lakegate, pgbench on one and the other in turn, ROUNDS (5) times SECONDS (2) a case.

Prints the medians of the ratios NEW to OLD of what they did in a second, so that what else the machine does counts for both alike.
"""

import os
import re
import statistics
import subprocess
import sys

import servers

OLD, NEW = sys.argv[1:3]
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
SECONDS = sys.argv[4] if len(sys.argv) > 4 else "2"
SCRIPTS = {
    "SELECT 1": "SELECT 1;\n",
    "one row of ten": "SELECT name FROM tiny WHERE id = 3 AND name <> '\\n';\n",
    "point query": "\\set id random(1, 1000000)\nSELECT name, amount FROM points WHERE id = :id;\n",
    "aggregate of a million": "SELECT count(*), sum(amount), max(name) FROM points WHERE id % 10 = 3;\n",
}

folder = servers.work_folder("pairs")
both = []
for name, path in [("old", OLD), ("new", NEW)]:
    os.environ["LAKEGATE_BIN"] = path
    (folder / name).mkdir()
    both.append(servers.lakegate(folder / name))
    both[-1].sql("CREATE TABLE points (id bigint NOT NULL, name text, amount numeric(12,2));\n"
                 "INSERT INTO points SELECT g, 'name ' || g, (g % 10000)::numeric(12,2) FROM generate_series(1, 1000000) g;\n"
                 "CREATE TABLE tiny (id bigint NOT NULL, name text);\nINSERT INTO tiny SELECT g, 'name ' || g FROM generate_series(1, 10) g;\n")


def rate(server, mode, clients, settings):
    command = ["pgbench", "-n", "-M", mode, "-c", str(clients), "-j", "1", "-T", SECONDS, "-f", script]
    environment = server.environment() | {"PGOPTIONS": " ".join(f"-c {setting}" for setting in settings)}
    output = subprocess.run(command, capture_output=True, text=True, env=environment)
    return float(re.search(r"tps = ([0-9.]+)", output.stdout).group(1))


result, rows = [], []
for name, text in SCRIPTS.items():
    script = folder / "script.sql"
    script.write_text(text)
    for mode, clients in [("simple", 1), ("prepared", 1), ("prepared", 8), ("prepared", 64)]:
        # Rows that are kept would answer for what the statement path does.
        settings = ["lakegate.result_cache=off"] if name != "SELECT 1" else []
        rates = [[rate(server, mode, clients, settings) for server in both] for _ in range(ROUNDS + 1)][1:]
        ratio = statistics.median(new / old for old, new in rates)
        result.append({"case": name, "mode": mode, "clients": clients, "rates": rates, "ratio": ratio})
        rows.append([name, mode, clients, *(f"{statistics.median(column):,.0f}" for column in zip(*rates)), f"{ratio:.2f}"])
        print(*rows[-1], sep="\t", file=sys.stderr, flush=True)
servers.report("pairs", {"old": OLD, "new": NEW, "cases": result}, servers.table(["case", "mode", "clients", "old, per s", "new, per s", "new to old"], rows))
