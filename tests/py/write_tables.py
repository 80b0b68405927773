"""write_tables.py ROOT: Delta tables of many shapes; prints for each a query and the rows that it must give.

    == name
    query: SELECT …
    row|as|text
"""

import datetime
import decimal
import sys

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from storage import done, options

root = sys.argv[1]
storage = options(root)


def write(name, table, **more):
    write_deltalake(f"{root}/{name}", table, storage_options=storage, **more)


def expect(name, query, rows):
    print(f"== {name}\nquery: {query}")
    for row in rows:
        print("|".join("∅" if value is None else str(value) for value in row))


def plain():
    write("plain", pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["a", None, "ü"]}))
    expect("plain", "SELECT * FROM plain ORDER BY id", [(1, "a"), (2, None), (3, "ü")])


def partitioned():
    days = [datetime.date(2024, 1, 1 + i % 3) for i in range(30)]
    cities = [None if i % 7 == 0 else f"city {i % 2}/ä=%" for i in range(30)]
    table = pa.table({"day": days, "city": cities, "n": pa.array(range(30), pa.int32())})
    write("partitioned", table, partition_by=["day", "city"])
    chosen = [i for i in range(30) if i % 3 == 1 and i % 7 != 0]
    query = "SELECT count(*), sum(n), min(city), min(day) FROM partitioned WHERE day = '2024-01-02' AND city IS NOT NULL"
    expect("partitioned", query, [(len(chosen), sum(chosen), min(cities[i] for i in chosen), "2024-01-02")])


def partitioned_by_number():
    table = pa.table({"p": pa.array([1, 2, None, 10], pa.int64()), "q": [True, False, True, None], "n": pa.array([1, 2, 3, 4], pa.int32())})
    write("partitioned_by_number", table, partition_by=["p", "q"])
    expect("partitioned_by_number", "SELECT p, q, n FROM partitioned_by_number ORDER BY n", [(1, "t", 1), (2, "f", 2), (None, "t", 3), (10, None, 4)])


def checkpointed():
    for i in range(25):
        write("checkpointed", pa.table({"id": pa.array([i], pa.int64()), "v": [f"v{i}"]}), mode="append")
        if i == 11:
            DeltaTable(f"{root}/checkpointed", storage_options=storage).create_checkpoint()
    DeltaTable(f"{root}/checkpointed", storage_options=storage).delete("id % 2 = 1")
    expect("checkpointed", "SELECT count(*), sum(id), min(v) FROM checkpointed", [(13, sum(range(0, 25, 2)), "v0")])


def many_files():
    # One commit of many small files: a partition each, as a busy writer leaves them.
    count = 2000
    table = pa.table({"p": pa.array(range(count), pa.int32()), "n": pa.array(range(count), pa.int64())})
    write("many_files", table, partition_by=["p"])
    expect("many_files", "SELECT count(*), sum(n), count(DISTINCT p) FROM many_files WHERE n >= 10", [(count - 10, sum(range(10, count)), count - 10)])


def numbers():
    schema = pa.schema([("id", pa.int64()), ("i8", pa.int8()), ("i16", pa.int16()), ("i32", pa.int32()), ("f", pa.float32()), ("d", pa.float64()),
                        ("small", pa.decimal128(5, 2)), ("mid", pa.decimal128(18, 6)), ("large", pa.decimal128(38, 10))])
    dec = decimal.Decimal
    rows = [
        dict(id=1, i8=-128, i16=-32768, i32=-(2**31), f=1.5, d=0.1, small=dec("-999.99"), mid=dec("123456789012.345678"), large=dec("1234567890123456789012345678.0123456789")),
        dict(id=2, i8=127, i16=32767, i32=2**31 - 1, f=float("nan"), d=float("inf"), small=dec("0.00"), mid=dec("-0.000001"), large=dec("-0.0000000001")),
        dict(id=3, i8=None, i16=None, i32=None, f=None, d=None, small=None, mid=None, large=None),
    ]
    write("numbers", pa.Table.from_pylist(rows, schema=schema))
    expect("numbers", "SELECT * FROM numbers ORDER BY id", [
        (1, -128, -32768, -(2**31), 1.5, 0.1, "-999.99", "123456789012.345678", "1234567890123456789012345678.0123456789"),
        (2, 127, 32767, 2**31 - 1, "NaN", "Infinity", "0.00", "-0.000001", "-0.0000000001"),
        (3,) + (None,) * 8,
    ])


def times():
    utc = datetime.timezone.utc
    schema = pa.schema([("id", pa.int64()), ("d", pa.date32()), ("tz", pa.timestamp("us", tz="UTC")), ("ntz", pa.timestamp("us"))])
    rows = [
        dict(id=1, d=datetime.date(2024, 2, 29), tz=datetime.datetime(2024, 2, 29, 12, 34, 56, 789012, utc), ntz=datetime.datetime(2024, 2, 29, 12, 34, 56)),
        dict(id=2, d=datetime.date(1, 1, 1), tz=datetime.datetime(1969, 12, 31, 23, 59, 59, 500000, utc), ntz=datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)),
    ]
    write("times", pa.Table.from_pylist(rows, schema=schema))
    expect("times", "SELECT * FROM times ORDER BY id", [
        (1, "2024-02-29", "2024-02-29 12:34:56.789012+00", "2024-02-29 12:34:56"),
        (2, "0001-01-01", "1969-12-31 23:59:59.5+00", "9999-12-31 23:59:59.999999"),
    ])


def nested():
    kind = pa.struct([("x", pa.int32()), ("y", pa.string())])
    schema = pa.schema([("id", pa.int64()), ("list", pa.list_(pa.int64())), ("words", pa.list_(pa.string())), ("s", kind), ("raw", pa.binary())])
    rows = [
        dict(id=1, list=[1, None, 3], words=["a b", "", None], s=dict(x=1, y="one"), raw=b"\x00\xff"),
        dict(id=2, list=[], words=None, s=None, raw=b""),
    ]
    write("nested", pa.Table.from_pylist(rows, schema=schema))
    expect("nested", "SELECT id, list, words, s, raw FROM nested ORDER BY id", [
        (1, "{1,NULL,3}", '{"a b","",NULL}', "(1,one)", "\\x00ff"),
        (2, "{}", None, None, "\\x"),
    ])


def evolved():
    write("evolved", pa.table({"id": pa.array([1], pa.int64())}))
    write("evolved", pa.table({"id": pa.array([2], pa.int64()), "later": ["x"]}), mode="append", schema_mode="merge")
    expect("evolved", "SELECT * FROM evolved ORDER BY id", [(1, None), (2, "x")])


def overwritten():
    write("overwritten", pa.table({"id": pa.array(range(100), pa.int64())}))
    write("overwritten", pa.table({"id": pa.array([7], pa.int64())}), mode="overwrite")
    table = DeltaTable(f"{root}/overwritten", storage_options=storage)
    table.update(updates={"id": "id + 1"}, commit_properties=CommitProperties(custom_metadata={"by": "python"}))
    expect("overwritten", "SELECT id FROM overwritten", [(8,)])


def pruned():
    for start in range(0, 1000, 100):
        write("pruned", pa.table({"n": pa.array(range(start, start + 100), pa.int64()), "t": [f"k{i:04}" for i in range(start, start + 100)]}), mode="append")
    expect("pruned", "SELECT count(*), min(t), max(t) FROM pruned WHERE n BETWEEN 250 AND 349 AND t <> 'k0300'", [(99, "k0250", "k0349")])


for make in [plain, partitioned, partitioned_by_number, checkpointed, many_files, numbers, times, nested, evolved, overwritten, pruned]:
    make()

done()
