"""changes.py [ROWS]: DELETE of 100 ids spread over 100 files of a table of ROWS (10,000,000), and MERGE of 10,000 rows into it, half of them
new: bytes written, time and peak memory against python deltalake, each on a table of its own made of the same Parquet files, in one run.

Lakegate's tables have what it gives tables itself (deletion vectors where they pay); deltalake's have what deltalake gives. Each change runs
three times on three copies, the best counts; the rows that are left are compared. Peak memory is the most that /proc says of the process's
resident set while the change runs; deltalake works in a process of its own, which has loaded nothing else. `--memory-limit` of Lakegate as
it comes. Ends with an error where the rows differ.
"""

import json
import pathlib
import shutil
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
FILES, TIMES = 100, 3
EACH = ROWS // FILES
DELETED = [file * EACH + EACH // 2 for file in range(FILES)]
CHANGED, NEW = list(range(7, ROWS, ROWS // 5_000))[:5_000], list(range(ROWS, ROWS + 5_000))

folder = servers.work_folder("changes")


def rows_of(ids):
    ids = pa.array(ids, pa.int64())
    return pa.table({"id": ids, "k": pc.bit_wise_and(ids, 1023), "v": pc.multiply(ids, 0.5), "name": pc.cast(ids, pa.string())})


def written_since(path, before):
    """Bytes of the files that came, deltas of the log among them."""
    return sum(file.stat().st_size for file in pathlib.Path(path).rglob("*") if file.is_file() and str(file) not in before)


def files_in(path):
    return {str(file) for file in pathlib.Path(path).rglob("*") if file.is_file()}


def by_deltalake(path, code):
    """Seconds and MiB of one change in a process of its own."""
    program = textwrap.dedent(f"""
        import sys, time
        import pyarrow as pa
        from deltalake import DeltaTable
        import pyarrow.parquet as pq
        table = DeltaTable({str(path)!r})
        source = pq.read_table({str(folder / 'outside' / 'source.parquet')!r})
        sys.stdin.readline()
        start = time.monotonic()
        {code}
        print(time.monotonic() - start)
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with Taken(process.pid) as peak:
        out, _ = process.communicate("go\n")
    if process.returncode != 0:
        sys.exit("deltalake failed")
    return float(out), peak.most


def by_lakegate(server, sql):
    with Taken(server.process.pid) as peak:
        start = time.monotonic()
        server.sql(sql)
        return time.monotonic() - start, peak.most


print(f"{FILES} files of {EACH:,} rows", file=sys.stderr)
for file in range(FILES):
    write_deltalake(str(folder / "outside" / "base"), rows_of(range(file * EACH, (file + 1) * EACH)), mode="append")
source = rows_of(CHANGED + NEW)
source = source.set_column(2, "v", pa.array([-1.0] * len(source)))
pq.write_table(source, folder / "outside" / "source.parquet")

server = servers.lakegate(folder, "--maintenance", "false")
server.sql(f"CREATE EXTERNAL LOCATION files URL 'file://{folder}/outside/';\nCREATE TABLE source (id bigint, k bigint, v double precision, name text);\n"
           f"COPY source FROM 'file://{folder}/outside/source.parquet' (FORMAT parquet);\n")
parquets = sorted((folder / "outside" / "base").glob("*.parquet"))
IDS = ", ".join(map(str, DELETED))
WORK = {
    "DELETE of 100 ids": (f"DELETE FROM {{}} WHERE id IN ({IDS});\n", f"table.delete('id IN ({IDS})')"),
    "MERGE of 10,000 rows": (
        "MERGE INTO {} t USING source s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.k, s.v, s.name);\n",
        "table.merge(source, 't.id = s.id', source_alias='s', target_alias='t').when_matched_update({'v': 's.v'}).when_not_matched_insert_all().execute()",
    ),
}
SUMS = "SELECT count(*), sum(id), sum(v) FROM {};\n"

table, figures, wrong = [], {}, []
for number, (what, (sql, code)) in enumerate(WORK.items()):
    runs = {"lakegate": [], "deltalake": []}
    for time_ in range(TIMES):
        name = f"changed_{number}_{time_}"
        # As COPY loads it: one data file of the table for each that there is.
        server.sql(f"CREATE TABLE {name} (id bigint, k bigint, v double precision, name text);\n"
                   + "".join(f"COPY {name} FROM 'file://{file}' (FORMAT parquet);\n" for file in parquets))
        [mine] = (folder / "lakegate" / "warehouse" / "main" / "public").glob(f"{name}_*")
        before = files_in(mine)
        seconds, mib = by_lakegate(server, sql.format(name))
        runs["lakegate"].append((seconds, mib, written_since(mine, before)))
        theirs = folder / f"theirs_{number}_{time_}"
        shutil.copytree(folder / "outside" / "base", theirs)
        before = files_in(theirs)
        seconds, mib = by_deltalake(theirs, code)
        runs["deltalake"].append((seconds, mib, written_since(theirs, before)))
        left = [float(value) for value in server.sql(SUMS.format(name), "-A", "-t", "-F", " ").split()]
        rows = DeltaTable(str(theirs)).to_pyarrow_table(columns=["id", "v"])
        right = [float(len(rows)), float(pc.sum(rows["id"]).as_py()), float(pc.sum(rows["v"]).as_py())]
        if any(abs(a - b) > 1e-9 * abs(b) for a, b in zip(left, right)):
            wrong.append(f"{what}: {left}, deltalake has {right}")
        del rows
        server.sql(f"DROP TABLE {name};\n")
        shutil.rmtree(theirs)
    best = {who: min(of) for who, of in runs.items()}
    figures[what] = runs
    for who, (seconds, mib, size) in best.items():
        table.append([what, who, f"{seconds:.2f}", f"{size / 1e6:.2f}", f"{max(run[1] for run in runs[who]):.0f}"])
    print(*table[-2:], sep="\n", file=sys.stderr)

markdown = servers.table(["change", "by", "seconds, best of 3", "MB written", "peak resident set, MiB"], table)
markdown += "\n\nThe same rows are left." if not wrong else "\n\nDIFFERENT:\n" + "\n".join(wrong)
servers.report("changes", {"rows": ROWS, "files": FILES, "runs": figures, "wrong": wrong}, markdown)
sys.exit(1 if wrong else 0)
