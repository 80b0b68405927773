"""Puts a person into a table past Lakegate: more rows, an update, a checkpoint, files of a write that nobody committed.

usage: hide_subject.py ROOT ID EMAIL
"""

import os
import shutil
import sys

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

root, subject, email = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rows = pa.table(
    {"id": pa.array([subject, 900_001], pa.int32()), "email": [email, "stranger@example.com"], "name": ["again", "s"]},
)
write_deltalake(root, rows, mode="append")
table = DeltaTable(root)
table.update(predicate=f"email = '{email}'", updates={"name": "'changed'"})
table = DeltaTable(root)
table.create_checkpoint()
table.delete(f"email = '{email}' AND name = 'changed'")
write_deltalake(root, rows, mode="append")
# A write that was cut off, and change data that no commit names.
orphan = rows.slice(0, 1)
pq.write_table(orphan, os.path.join(root, "part-00000-0f000000-0000-0000-0000-000000000000-c000.snappy.parquet"))
os.makedirs(os.path.join(root, "_change_data"), exist_ok=True)
pq.write_table(orphan, os.path.join(root, "_change_data", "cdc-00000-0f000000.c000.snappy.parquet"))
log = os.path.join(root, "_delta_log")
newest = max(name for name in os.listdir(log) if name.endswith(".json"))
# What a cut off commit leaves on a disk.
shutil.copy(os.path.join(log, newest), os.path.join(log, "00000000000000099999.json#17"))

# Past the teardown of the threads of two native libraries, which does not always end well.
sys.stdout.flush()
os._exit(0)
