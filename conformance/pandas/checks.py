"""pandas: read_sql and to_sql through SQLAlchemy, ADBC and a bare connection."""

import datetime as dt

import adbc_driver_postgresql.dbapi
import pandas as pd
import psycopg
import sqlalchemy as sa
import tap
from tap import check, equal

ENGINE = sa.create_engine(tap.url("postgresql+psycopg"))
FRAME = pd.DataFrame({
    "i": [1, 2, 3], "f": [1.5, None, -2.25], "s": ["x", None, "Œ"], "b": [True, False, True],
    "d": [dt.date(2024, 2, 29), None, dt.date(1999, 1, 1)], "t": pd.to_datetime(["2024-01-01 01:02:03.000004", None, "1970-01-01"], format="ISO8601"),
    "z": pd.to_datetime(["2024-01-01", "2024-06-01", None], utc=True),
})


@check()
def to_sql_and_back():
    FRAME.to_sql("frame", ENGINE, index=False, if_exists="replace")
    came = pd.read_sql("SELECT * FROM frame ORDER BY i", ENGINE)
    pd.testing.assert_frame_equal(came, FRAME, check_dtype=False)


@check()
def to_sql_with_many_rows_and_multi_insert():
    big = pd.DataFrame({"a": range(20000), "b": [f"v{i}" for i in range(20000)]})
    big.to_sql("big", ENGINE, index=False, if_exists="replace", method="multi", chunksize=1000)
    equal(pd.read_sql("SELECT count(*) AS n, sum(a) AS s FROM big", ENGINE).iloc[0].tolist(), [20000, 199990000])


@check()
def append_and_fail():
    FRAME.head(1).to_sql("frame", ENGINE, index=False, if_exists="append")
    equal(int(pd.read_sql("SELECT count(*) AS n FROM frame", ENGINE).iloc[0, 0]), 4)
    with tap.raises(ValueError):
        FRAME.to_sql("frame", ENGINE, index=False)


@check()
def read_sql_table():
    equal(list(pd.read_sql_table("frame", ENGINE, columns=["i", "s"]).columns), ["i", "s"])


@check()
def read_in_chunks():
    with ENGINE.connect().execution_options(stream_results=True) as connection:
        chunks = pd.read_sql(sa.text("SELECT a FROM big"), connection, chunksize=3000)
        equal(sum(len(chunk) for chunk in chunks), 20000)


@check()
def parameters():
    equal(pd.read_sql(sa.text("SELECT s FROM frame WHERE i = :i LIMIT 1"), ENGINE, params={"i": 3}).iloc[0, 0], "Œ")
    with psycopg.connect("") as connection:
        equal(pd.read_sql("SELECT %(a)s::int + 1 AS n", connection, params={"a": 2}).iloc[0, 0], 3)


@check()
def to_sql_and_back_through_adbc():
    with adbc_driver_postgresql.dbapi.connect(tap.url()) as connection:
        FRAME[["i", "f", "s", "b"]].to_sql("frame_adbc", connection, index=False, if_exists="replace")
        came = pd.read_sql("SELECT * FROM frame_adbc ORDER BY i", connection)
    pd.testing.assert_frame_equal(came, FRAME[["i", "f", "s", "b"]], check_dtype=False)


@check()
def dtypes():
    came = pd.read_sql("SELECT 1 AS i, 1.5::float8 AS f, now() AS z, localtimestamp AS t, true AS b, 'x' AS s", ENGINE)
    kinds = [str(kind) for kind in came.dtypes]
    equal(kinds[0], "int64")
    equal(kinds[1], "float64")
    assert kinds[2].startswith("datetime64[") and kinds[2].endswith("UTC]"), kinds
    assert kinds[3].startswith("datetime64["), kinds
    equal(kinds[4], "bool")


tap.run(f"pandas {pd.__version__}")
