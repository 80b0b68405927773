"""erasure.py [ROWS [FILES]]: 100 people out of a table of ROWS (10,000,000) in FILES (100) data files, one in each file: Lakegate's DELETE, its
erasure (rows, history, logs, scan of all bytes, certificate) and python deltalake's DELETE with a full vacuum, which is what a runbook
does. Each on a table of its own made of the same Parquet files, in one run: time, bytes read and written by system calls, peak memory.

deltalake works in a process of its own. Ends with an error where the rows that are left differ, or where one of the deleted people is still
found in a file.
"""

import pathlib
import subprocess
import sys
import textwrap
import time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

import servers
from measuring import Taken

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
FILES = int(sys.argv[2]) if len(sys.argv) > 2 else 100
EACH = ROWS // FILES
PEOPLE = [file * EACH + EACH // 2 for file in range(0, FILES, max(1, FILES // 100))][:100]

folder = servers.work_folder("erasure")
outside = folder / "outside"


def rows_of(ids):
    ids = pa.array(ids, pa.int64())
    mail = pc.binary_join_element_wise("person", pc.cast(ids, pa.string()), "@example.com", "")
    return pa.table({"id": ids, "email": mail, "k": pc.bit_wise_and(ids, 1023), "v": pc.multiply(ids, 0.5)})


def by_deltalake(path):
    program = textwrap.dedent(f"""
        import sys, time
        from deltalake import DeltaTable
        table = DeltaTable({str(path)!r})
        print(flush=True)
        sys.stdin.readline()
        start = time.monotonic()
        table.delete('id IN ({", ".join(map(str, PEOPLE))})')
        deleted = time.monotonic() - start
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True)
        print(deleted, time.monotonic() - start, flush=True)
        sys.stdin.readline()
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    with Taken(process.pid) as taken:
        process.stdin.write("go\n")
        process.stdin.flush()
        deleted, both = map(float, process.stdout.readline().split())
        taken.end()
    process.communicate("\n")
    return deleted, both, taken


def by_lakegate(server, sql):
    with Taken(server.process.pid) as taken:
        start = time.monotonic()
        out = server.sql(sql, "-A", "-t")
        seconds = time.monotonic() - start
        taken.end()
    return seconds, taken, out


print(f"{FILES} files of {EACH:,} rows, {len(PEOPLE)} people", file=sys.stderr)
for file in range(FILES):
    write_deltalake(str(outside / "base"), rows_of(range(file * EACH, (file + 1) * EACH)), mode="append")
pq.write_table(pa.table({"id": pa.array([str(person) for person in PEOPLE])}), outside / "people.parquet")

server = servers.lakegate(folder, "--maintenance", "false")
server.sql(f"CREATE EXTERNAL LOCATION files URL 'file://{outside}/';\n")
copies = "".join(f"COPY {{0}} FROM 'file://{file}' (FORMAT parquet);\n" for file in sorted((outside / "base").glob("*.parquet")))
server.sql(f"CREATE TABLE requests (id text);\nCOPY requests FROM 'file://{outside}/people.parquet' (FORMAT parquet);\n")
for name in ["plain", "tagged"]:
    server.sql(f"CREATE TABLE {name} (id bigint, email text, k bigint, v double precision);\n" + copies.format(name))
server.sql("ALTER TABLE tagged ALTER COLUMN id SET TAGS ('subject' = 'customer');\n")
IDS = ", ".join(map(str, PEOPLE))

delete_seconds, delete_taken, _ = by_lakegate(server, f"DELETE FROM plain WHERE id IN ({IDS});\n")
erase_seconds, erase_taken, told = by_lakegate(server, "CALL lakegate.erase_subjects('customer', 'requests', reason => 'benchmark');\n")
theirs_delete, theirs_both, theirs = by_deltalake(outside / "base")

table = [
    ["deltalake: DELETE", f"{theirs_delete:.1f}", "", "", ""],
    ["deltalake: DELETE and full vacuum", f"{theirs_both:.1f}", *theirs.figures()],
    ["lakegate: DELETE", f"{delete_seconds:.1f}", *delete_taken.figures()],
    ["lakegate: erasure, with scan and certificate", f"{erase_seconds:.1f}", *erase_taken.figures()],
]

wrong = []
if "|erased" not in told:
    wrong.append(f"the erasure ended as {told.splitlines()[-1]}")
rows = DeltaTable(str(outside / "base")).to_pyarrow_table(columns=["id", "v"])
right = [float(len(rows)), float(pc.sum(rows["id"]).as_py()), float(pc.sum(rows["v"]).as_py())]
for name in ["plain", "tagged"]:
    left = [float(value) for value in server.sql(f"SELECT count(*), sum(id), sum(v) FROM {name};\n", "-A", "-t", "-F", " ").split()]
    if any(abs(a - b) > 1e-9 * abs(b) for a, b in zip(left, right)):
        wrong.append(f"{name}: {left}, deltalake has {right}")
[tagged] = (folder / "lakegate" / "warehouse" / "main" / "public").glob("tagged_*")
people = pa.array(PEOPLE, pa.int64())
for file in pathlib.Path(tagged).rglob("*.parquet"):
    if "_delta_log" not in str(file) and pc.any(pc.is_in(pq.read_table(file, columns=["id"])["id"], people)).as_py():
        wrong.append(f"{file} holds one of them")
markdown = servers.table(["work", "seconds", "MB read", "MB written", "peak resident set, MiB"], table)
markdown += "\n\nThe same rows are left; none of the people is." if not wrong else "\n\nWRONG:\n" + "\n".join(wrong)
servers.report("erasure", {"rows": ROWS, "files": FILES, "people": len(PEOPLE), "table": table, "wrong": wrong}, markdown)
sys.exit(1 if wrong else 0)
