"""results.py [ROWS]: how fast a result of 5 M rows x 10 mixed columns leaves the server, text and binary, against PostgreSQL 15.

A client that throws bytes away (`drain`), without TLS, three times each; the best counts. Then the same through psql.
"""

import json
import subprocess
import sys
import time

import servers

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
TABLE = f"""CREATE TABLE mixed AS SELECT g::int4 AS i, g::int8 * 1000003 AS l, g::float8 / 7 AS f, (g % 1000000)::numeric(12,2) AS n,
 'name ' || g % 1000 AS s, md5(g::text) AS h, date '2020-01-01' + (g % 1000)::int4 AS d,
 timestamp '2020-01-01' + g * interval '1 second' AS t, g % 2 = 0 AS b, CASE WHEN g % 10 = 0 THEN NULL ELSE 'code ' || g % 10 END AS c
 FROM generate_series(1, {ROWS}) g;
"""

folder = servers.work_folder("results")
both = [servers.postgres(folder), servers.lakegate(folder)]
for server in both:
    server.sql(TABLE)
both[0].sql("VACUUM ANALYZE mixed;\n")

result, rows = [], []
for way in ["text", "binary", "psql"]:
    figures = {}
    for server in both:
        best = None
        for _ in range(3):
            if way == "psql":
                start = time.monotonic()
                server.sql("SELECT * FROM mixed\n", "-A", "-t", "-o", "/dev/null", "-v", "FETCH_COUNT=10000")
                run = {"rows": ROWS, "seconds": time.monotonic() - start}
            else:
                command = [servers.binary("drain"), str(server.port), way, "SELECT * FROM mixed"]
                run = json.loads(subprocess.check_output(command, env=server.environment()))
                assert run["complete"] and run["rows"] == ROWS, run
            if best is None or run["seconds"] < best["seconds"]:
                best = run
        figures[server.name] = best
    result.append({"way": way} | figures)
    thousand = {name: ROWS / run["seconds"] / 1000 for name, run in figures.items()}
    rows.append([way, *(f"{value:,.0f}" for value in thousand.values()), f"{thousand['lakegate'] / thousand['postgres']:.2f}"])
    print(*rows[-1], sep="\t", file=sys.stderr)
servers.report("results", {"rows": ROWS, "ways": result}, servers.table(["way", *(f"{s.name}, thousand rows/s" for s in both), "ratio"], rows))
