"""dlt: loads into the warehouse by every write disposition."""

import datetime as dt
import os
from decimal import Decimal

os.environ.update({
    "DLT_DATA_DIR": os.environ["CONFORMANCE_SCRATCH"], "RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_PROJECT_DIR": os.environ["CONFORMANCE_SCRATCH"],
})

import dlt  # noqa: E402  (it reads the environment when it is imported)
import psycopg2  # noqa: E402
import tap  # noqa: E402
from tap import check, equal  # noqa: E402

ROWS = [{"id": i, "name": f"n{i}", "amount": Decimal("1.50") * i, "day": dt.date(2024, 1, i), "at": dt.datetime(2024, 1, i, tzinfo=dt.timezone.utc),
         "flag": i % 2 == 0, "score": i / 2, "doc": {"a": i}, "parts": [{"p": 1}, {"p": 2}]} for i in range(1, 6)]


def load(data, **given):
    pipeline = dlt.pipeline("conformance", destination=dlt.destinations.postgres(credentials=tap.url()), dataset_name="loaded",
                            pipelines_dir=tap.scratch("pipelines"))
    info = pipeline.run(data, **given)
    info.raise_on_failed_jobs()
    return info


def query(statement):
    connection = psycopg2.connect("")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(statement)
    return cursor.fetchall()


@check()
def append():
    load(ROWS[:3], table_name="items", write_disposition="append")
    load(ROWS[3:], table_name="items", write_disposition="append")
    equal(query("SELECT count(*), sum(amount)::float8, count(DISTINCT day), sum(flag::int) FROM loaded.items"), [(5, 22.5, 5, 2)])
    equal(query("SELECT count(*) FROM loaded.items__parts"), [(10,)])


@check()
def replace():
    for strategy in ("truncate-and-insert", "insert-from-staging", "staging-optimized"):
        os.environ["DESTINATION__REPLACE_STRATEGY"] = strategy
        load(ROWS, table_name="replaced", write_disposition="replace")
        load(ROWS[:2], table_name="replaced", write_disposition="replace")
        equal(query("SELECT count(*) FROM loaded.replaced"), [(2,)], strategy)


def merge(strategy, table):
    def resource(rows):
        return dlt.resource([{"id": row["id"], "name": row["name"]} for row in rows], name=table, primary_key="id",
                            write_disposition={"disposition": "merge", "strategy": strategy})

    load(resource(ROWS[:3]))
    load(resource([{"id": 2, "name": "changed"}, {"id": 9, "name": "new"}]))


@check()
def merge_by_delete_and_insert():
    merge("delete-insert", "merged")
    equal(query("SELECT id, name FROM loaded.merged ORDER BY id"), [(1, "n1"), (2, "changed"), (3, "n3"), (9, "new")])


@check()
def merge_by_upsert():
    merge("upsert", "upserted")
    equal(query("SELECT id, name FROM loaded.upserted ORDER BY id"), [(1, "n1"), (2, "changed"), (3, "n3"), (9, "new")])


@check()
def merge_by_scd2():
    merge("scd2", "historic")
    equal(query("SELECT count(*), count(_dlt_valid_to) FROM loaded.historic"), [(5, 3)])


@check()
def new_columns():
    load([{"id": 10, "brand_new": "x"}], table_name="items", write_disposition="append")
    equal(query("SELECT id, brand_new FROM loaded.items WHERE brand_new IS NOT NULL"), [(10, "x")])


@check()
def incremental():
    @dlt.resource(name="events", primary_key="id")
    def events(last=dlt.sources.incremental("at", initial_value=dt.datetime(2024, 1, 3, tzinfo=dt.timezone.utc))):
        yield [{"id": row["id"], "at": row["at"]} for row in ROWS]

    load(events())
    load(events())
    equal(query("SELECT count(*) FROM loaded.events"), [(3,)])


@check()
def read_a_table_as_a_source():
    from dlt.sources.sql_database import sql_table

    load(sql_table(credentials=tap.url("postgresql+psycopg2"), table="items", schema="loaded").with_name("copied"), write_disposition="replace")
    equal(query("SELECT count(*) FROM loaded.copied"), [(6,)])


tap.run(f"dlt {dlt.__version__}")
