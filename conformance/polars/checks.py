"""polars: read_database_uri through connectorx and ADBC, read_database, write_database."""

import datetime as dt

import connectorx
import polars as pl
import psycopg
import sqlalchemy as sa
import tap
from tap import check, equal

ENGINE = sa.create_engine(tap.url("postgresql+psycopg"))
# connectorx knows fewer words of libpq's.
URI = tap.url(query={"sslmode": "require", **({"sslrootcert": tap.certificate()} if tap.certificate() else {})})
FRAME = pl.DataFrame({"i": [1, 2, 3], "f": [1.5, None, -2.25], "s": ["x", None, "Œ"], "b": [True, False, None],
                      "d": [dt.date(2024, 2, 29), None, dt.date(1999, 1, 1)], "t": [dt.datetime(2024, 1, 1, 1, 2, 3, 4), None, dt.datetime(1970, 1, 1)]})


@check()
def write_through_sqlalchemy_and_read():
    FRAME.write_database("frame", ENGINE, if_table_exists="replace", engine="sqlalchemy")
    came = pl.read_database("SELECT * FROM frame ORDER BY i", ENGINE)
    equal(came.rows(), FRAME.rows())


@check()
def write_through_adbc_and_read():
    FRAME.write_database("frame_adbc", URI, if_table_exists="replace", engine="adbc")
    came = pl.read_database_uri("SELECT * FROM frame_adbc ORDER BY i", URI, engine="adbc")
    equal(came.rows(), FRAME.rows())


@check()
def read_through_connectorx():
    came = pl.read_database_uri("SELECT i, f, s, b, d, t FROM frame ORDER BY i", URI, engine="connectorx")
    equal(came.rows(), FRAME.rows())


@check()
def partitioned_read_through_connectorx():
    with psycopg.connect("", autocommit=True) as connection:
        connection.execute("CREATE TABLE spread AS SELECT g AS a, 'v' || g AS b FROM generate_series(1, 20000) g")
    came = pl.read_database_uri("SELECT a, b FROM spread", URI, partition_on="a", partition_num=3)
    equal((came.height, came["a"].sum()), (20000, 200010000))


@check()
def connectorx_protocols():
    for protocol in ("binary", "csv", "cursor", "simple"):
        came = connectorx.read_sql(URI, "SELECT i, f, s, b FROM frame ORDER BY i", return_type="arrow", protocol=protocol)
        equal(came.column("i").to_pylist(), [1, 2, 3], protocol)
        equal(came.column("f").to_pylist(), [1.5, None, -2.25], protocol)


@check()
def batches():
    with psycopg.connect("") as connection:
        batches = pl.read_database("SELECT a FROM spread", connection, iter_batches=True, batch_size=3000)
        equal(sum(batch.height for batch in batches), 20000)


tap.run(f"polars {pl.__version__}, connectorx {connectorx.__version__}")
