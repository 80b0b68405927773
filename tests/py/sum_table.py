"""sum_table.py URL COLUMN: number of rows and sum of a column of a Delta table, deletion vectors honoured."""

import sys

from deltalake import DeltaTable, QueryBuilder

from storage import done, options

url, column = sys.argv[1:]
table = DeltaTable(url, storage_options=options(url))
rows = QueryBuilder().register("t", table).execute(f"SELECT count(*) AS n, sum({column}) AS s FROM t").read_all()
print(rows["n"][0].as_py(), rows["s"][0].as_py())

done()
