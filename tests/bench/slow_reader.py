"""slow_reader.py [SCALE] [SECONDS]: the server's resident set before, during and after SELECT * of TPC-H lineitem (scale 10: 60 M rows) to a
client that reads 2 MB/s for SECONDS (120) and then goes away; and to one that reads as fast as it can."""

import json
import pathlib
import subprocess
import sys
import time

from deltalake import convert_to_deltalake

import servers

SCALE = sys.argv[1] if len(sys.argv) > 1 else "10"
SECONDS = sys.argv[2] if len(sys.argv) > 2 else "120"

folder = servers.work_folder("slow")
lineitem = folder / "lineitem"
tools = pathlib.Path(sys.executable).parent
subprocess.run([str(tools / "tpchgen-cli"), "parquet", "-s", SCALE, "--tables=lineitem", f"--output-dir={lineitem}"], check=True, capture_output=True)
convert_to_deltalake(str(lineitem))
server = servers.lakegate(folder)
server.sql(f"CREATE EXTERNAL LOCATION files URL 'file://{lineitem}/';\nCREATE TABLE lineitem USING DELTA LOCATION 'file://{lineitem}';\n")
count = int(server.sql("SELECT count(*) FROM lineitem\n;", "-A", "-t"))


def watch(*arguments):
    process = subprocess.Popen([servers.binary("drain"), str(server.port), "text", "SELECT * FROM lineitem", *arguments], stdout=subprocess.PIPE, env=server.environment())
    seen = []
    while process.poll() is None:
        seen.append(server.resident_mib())
        time.sleep(0.5)
    return json.loads(process.stdout.read()), seen


before = server.resident_mib()
slow, during = watch("2000000", SECONDS)
time.sleep(3)
after = server.resident_mib()
fast, during_fast = watch()
assert fast["complete"] and fast["rows"] == count, fast
time.sleep(3)
rows = [
    ["before", f"{before:.0f}", ""],
    [f"slow reader, {slow['seconds']:.0f} s, {slow['rows']:,} rows", f"{min(during):.0f} to {max(during):.0f}", f"{slow['bytes'] / slow['seconds'] / 1e6:.1f} MB/s"],
    ["3 s after it went away", f"{after:.0f}", ""],
    [f"fast reader, all {count:,} rows", f"{min(during_fast):.0f} to {max(during_fast):.0f}", f"{fast['bytes'] / fast['seconds'] / 1e6:.1f} MB/s"],
    ["3 s after", f"{server.resident_mib():.0f}", ""],
]
figures = {"rows": count, "before_mib": before, "slow": slow, "slow_mib": during, "after_mib": after, "fast": fast, "fast_mib": during_fast}
servers.report(f"slow-reader-{SCALE}", figures, servers.table(["when", "resident set, MiB", "speed"], rows))
