"""read_changes.py URL FROM ORDER: the change data feed of a Delta table from a version on, one change a line: the columns, then the kind of
change and the version, sorted by version, the column ORDER and the kind."""

import sys

import pyarrow
from deltalake import DeltaTable

from storage import done, options, show

url, start, order = sys.argv[1:]
table = DeltaTable(url, storage_options=options(url))
columns = [field.name for field in table.schema().fields] + ["_change_type", "_commit_version"]
rows = pyarrow.table(table.load_cdf(starting_version=int(start)).read_all()).to_pylist()
for row in sorted(rows, key=lambda row: (row["_commit_version"], row[order], row["_change_type"])):
    print("|".join(show(row[column]) for column in columns))

done()
