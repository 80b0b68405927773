"""read_table.py URL ORDER: the rows of a Delta table, one a line, sorted by the column ORDER."""

import sys

from deltalake import DeltaTable

from storage import done, options, show

url, order = sys.argv[1:]
table = DeltaTable(url, storage_options=options(url))
columns = [field.name for field in table.schema().fields]
rows = table.to_pyarrow_table().to_pylist()
for row in sorted(rows, key=lambda row: row[order]):
    print("|".join(show(row[column]) for column in columns))

done()
