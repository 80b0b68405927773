"""ADBC's PostgreSQL driver: COPY in binary both ways, the catalogs for types and objects."""

import datetime as dt

import adbc_driver_manager
import adbc_driver_postgresql
import adbc_driver_postgresql.dbapi as adbc
import pgtypes
import pyarrow as pa
import tap
from tap import check, equal, raises


def connect():
    return adbc.connect(tap.url(), autocommit=True)


def query(statement, parameters=None):
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


@check()
def connects_and_tells_about_itself():
    with connect() as connection:
        assert connection.adbc_get_info()["vendor_name"] == "PostgreSQL"
        assert "table" in [kind.lower() for kind in connection.adbc_get_table_types()]


@check()
def wrong_password():
    with raises(adbc_driver_manager.Error):
        adbc.connect(tap.url(password="wrong"))


@check()
def scalar_types():
    row = query("SELECT true, 1::smallint, 2, 3::bigint, 1.5::real, 2.5::float8, 'x'::text, 'v'::varchar(5), '\\x00ff'::bytea, date '2024-02-29', "
                "timestamp '2024-01-01 01:02:03.000004', time '23:59:59.5', NULL::integer")[0]
    equal(row, (True, 1, 2, 3, 1.5, 2.5, "x", "v", b"\x00\xff", dt.date(2024, 2, 29), dt.datetime(2024, 1, 1, 1, 2, 3, 4),
                dt.time(23, 59, 59, 500000), None))


@check()
def numerics_and_arrays():
    row = query("SELECT 12.50::numeric(6,2), ARRAY[1, NULL, 3], ARRAY['a', 'b']")[0]
    equal((str(row[0]), list(row[1]), list(row[2])), ("12.50", [1, None, 3], ["a", "b"]))


@check()
def every_column_type_can_be_read():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(pgtypes.CREATE)
        cursor.execute(pgtypes.INSERT_LITERALS)
        cursor.execute("SELECT * FROM every_type")
        equal(cursor.fetch_arrow_table().num_rows, 1)


@check()
def parameters():
    equal(query("SELECT $1::bigint + 1, $2::text || '!'", (41, "x")), [(42, "x!")])


@check()
def ingest_and_read_back():
    table = pa.table({"i": pa.array([1, 2, None], pa.int64()), "f": pa.array([1.5, None, 2.5]), "s": ["x", None, "Œ"], "b": [True, False, None],
                      "d": pa.array([dt.date(2024, 2, 29), None, None]), "t": pa.array([dt.datetime(2024, 1, 1), None, None], pa.timestamp("us"))})
    with connect() as connection, connection.cursor() as cursor:
        equal(cursor.adbc_ingest("ingested", table, mode="create"), 3)
        equal(cursor.adbc_ingest("ingested", table, mode="append"), 3)
        cursor.execute("SELECT * FROM ingested ORDER BY i NULLS LAST, f")
        equal(cursor.fetch_arrow_table().to_pydict()["s"], ["x", "x", None, None, "Œ", "Œ"])


@check()
def bulk_ingest():
    count = 200000
    table = pa.table({"a": pa.array(range(count), pa.int64()), "b": [f"value {i}" for i in range(count)]})
    with connect() as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("large", table, mode="replace")
        cursor.execute("SELECT count(*), sum(a) FROM large")
        came = cursor.fetchone()
        equal((int(came[0]), int(came[1])), (count, count * (count - 1) // 2))


@check()
def large_result_in_batches():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT a, b FROM large")
        equal(sum(batch.num_rows for batch in cursor.fetch_record_batch()), 200000)


@check()
def objects_of_the_catalog():
    with connect() as connection:
        found = connection.adbc_get_objects(depth="all", db_schema_filter="public", table_name_filter="ingested").read_all().to_pylist()
        catalog = next(entry for entry in found if entry["catalog_name"] == tap.database())
        table = catalog["catalog_db_schemas"][0]["db_schema_tables"][0]
        # The driver asks without ORDER BY: their numbers say which column comes first.
        columns = sorted(table["table_columns"], key=lambda column: column["ordinal_position"])
        equal((table["table_name"], [column["column_name"] for column in columns]), ("ingested", ["i", "f", "s", "b", "d", "t"]))
        schema = connection.adbc_get_table_schema("ingested")
        equal([str(field.type) for field in schema][:4], ["int64", "double", "string", "bool"])


@check()
def transactions():
    with adbc.connect(tap.url()) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO ingested (i) VALUES (77)")
        connection.rollback()
        cursor.execute("SELECT count(*) FROM ingested WHERE i = 77")
        equal(cursor.fetchone()[0], 0)


@check()
def errors_carry_codes():
    for statement, code in [("SELECT 1/0", "22012"), ("SELECT * FROM no_such", "42P01"), ("SELEC", "42601")]:
        with raises(adbc_driver_manager.Error, code):
            query(statement)


tap.run(f"adbc-driver-postgresql {adbc_driver_postgresql.__version__}")
