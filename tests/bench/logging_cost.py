"""What the sealed, chained statement log costs: SELECT 1 and a point query at 1, 8 and 64 connections, interleaved pairs in one run.

    LAKEGATE_UNLOGGED_BIN=… logging_cost.py [seconds a run, 8] [pairs, 3]

The log cannot be turned off: no option, setting or variable of the program does it. The other side of the comparison is a build that writes no
statement log, made for this alone:

    cargo build --release --bins --features lakegate/unlogged --target-dir target/unlogged
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys

from servers import ROOT, lakegate, work_folder

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 8
PAIRS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
WORK = {"SELECT 1": "SELECT 1;\n", "point query": "\\set id random(1, 100000)\nSELECT v FROM points WHERE id = :id;\n"}


def started(folder, program):
    os.environ["LAKEGATE_BIN"] = program
    folder.mkdir()
    server = lakegate(folder)
    server.sql("CREATE TABLE points AS SELECT i AS id, 'value ' || i AS v FROM generate_series(1, 100000) AS g (i);")
    return server


def rate(server, script, connections):
    command = ["pgbench", "-n", "-M", "prepared", "-f", str(script), "-c", str(connections), "-j", str(min(connections, 2)), "-T", str(SECONDS)]
    output = subprocess.run(command, capture_output=True, text=True, env=server.environment())
    found = re.search(r"tps = ([0-9.]+)", output.stdout)
    if not found:
        sys.exit(output.stderr[-2000:])
    return float(found.group(1))


def main():
    unlogged = os.environ.get("LAKEGATE_UNLOGGED_BIN", str(ROOT / "target" / "unlogged" / "release" / "lakegate"))
    logged = os.environ.get("LAKEGATE_BIN", str(ROOT / "target" / "release" / "lakegate"))
    for program in (logged, unlogged):
        if not pathlib.Path(program).exists():
            sys.exit(f"{program} is missing")
    folder = work_folder("logging")
    servers = {"on": started(folder / "on", logged), "off": started(folder / "off", unlogged)}
    lines = [f"pairs of {SECONDS} s, median of {PAIRS}", "", "| statement | connections | log on, /s | log off, /s | on / off |", "|---|---|---|---|---|"]
    for name, text in WORK.items():
        script = folder / "script.sql"
        script.write_text(text)
        for connections in (1, 8, 64):
            rates, ratios = {"on": [], "off": []}, []
            for pair in range(PAIRS):
                order = ("on", "off") if pair % 2 == 0 else ("off", "on")
                for which in order:
                    rates[which].append(rate(servers[which], script, connections))
                ratios.append(rates["on"][-1] / rates["off"][-1])
            on, off = (statistics.median(rates[which]) for which in ("on", "off"))
            lines.append(f"| {name} | {connections} | {on:,.0f} | {off:,.0f} | {statistics.median(ratios):.2f} |")
            print(lines[-1], flush=True)
    target = ROOT / "target" / "bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "logging_cost.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
