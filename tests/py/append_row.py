"""append_row.py URL: one more row for the table `plain`."""

import sys

import pyarrow as pa
from deltalake import write_deltalake

from storage import done, options

url = sys.argv[1]
write_deltalake(url, pa.table({"id": pa.array([999], pa.int64()), "name": ["appended"]}), mode="append", storage_options=options(url))
done()
