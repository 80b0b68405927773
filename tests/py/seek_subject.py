"""Looks for a person below a folder as an outsider would: in all bytes, in all names, in decompressed values of Parquet files, and in every
version of every Delta table that can still be read. Prints where it found any; then for each table the newest version, its rows, and the
versions that cannot be read.

usage: seek_subject.py FOLDER NEEDLE
"""

import os
import sys

import pyarrow.parquet as pq
from deltalake import DeltaTable

folder, needle = sys.argv[1], sys.argv[2]
tables = []
for place, folders, files in os.walk(folder):
    if needle in place:
        print("FOUND in a folder's name", place)
    if "_delta_log" in folders:
        tables.append(place)
    for name in files:
        path = os.path.join(place, name)
        try:
            data = open(path, "rb").read()
        except FileNotFoundError:
            continue
        if needle in name or needle.encode() in data or needle.encode("utf-16-le") in data or needle.replace("@", "%40").encode() in data:
            print("FOUND in bytes", path)
        if ".parquet" in name and needle in str(pq.ParquetFile(path).read().to_pydict()):
            print("FOUND in values", path)
for root in sorted(tables):
    newest = DeltaTable(root).version()
    closed = []
    for version in range(newest + 1):
        try:
            rows = DeltaTable(root, version=version).to_pyarrow_table()
            if needle in str(rows.to_pydict()):
                print("FOUND in version", version, root)
        except Exception:  # whatever a reader of that version is told
            closed.append(version)
    print(os.path.basename(root).rsplit("_", 1)[0], newest, DeltaTable(root).to_pyarrow_table().num_rows, closed)

# Past the teardown of the threads of two native libraries, which does not always end well.
sys.stdout.flush()
os._exit(0)
