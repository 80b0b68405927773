"""postgres_fdw of a PostgreSQL that is started here: import, pushdown, joins, changes."""

import os
import pathlib
import sys
import types

import subprocess
import tap
from tap import check, equal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from frame import server  # noqa: E402

SETUP = """
CREATE TABLE orders (id bigint NOT NULL, customer integer, amount numeric(10,2), placed timestamp, note text, tags text[], at timestamptz, ok boolean);
INSERT INTO orders SELECT g, g % 10, g * 1.25, timestamp '2024-01-01' + g * interval '1 hour', 'n' || g, ARRAY['a', 'b'],
  timestamptz '2024-01-01 00:00+00', g % 2 = 0 FROM generate_series(1, 1000) g;
CREATE TABLE customers (id integer, name text);
INSERT INTO customers SELECT g, 'c' || g FROM generate_series(0, 9) g;
"""


def psql(script, environment):
    done = subprocess.run(["psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1"], input=script, capture_output=True, text=True,
                          env={**os.environ, **environment})
    assert done.returncode == 0, " ".join(done.stderr.split())
    return done.stdout.strip()


def checks(local):
    def query(script):
        return psql(script, local)

    @check()
    def import_foreign_schema():
        psql(SETUP, {})
        options = {"host": tap.host(), "port": tap.port(), "dbname": tap.database(), "sslmode": os.environ.get("PGSSLMODE", "prefer"),
                   **({"sslrootcert": tap.certificate()} if tap.certificate() else {})}
        words = ", ".join(f"{name} '{value}'" for name, value in options.items())
        query(f"""CREATE EXTENSION postgres_fdw; CREATE SERVER lake FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({words});
            CREATE USER MAPPING FOR CURRENT_USER SERVER lake OPTIONS (user '{tap.user()}', password '{tap.password()}');
            CREATE SCHEMA far; IMPORT FOREIGN SCHEMA public FROM SERVER lake INTO far;""")
        equal(query("SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute "
                    "WHERE attrelid = 'far.orders'::regclass AND attnum > 0"),
              "id bigint, customer integer, amount numeric(10,2), placed timestamp without time zone, note text, tags text[], "
              "at timestamp with time zone, ok boolean")

    @check()
    def scans_and_types():
        equal(query("SELECT * FROM far.orders WHERE id = 7"), "7|7|8.75|2024-01-01 07:00:00|n7|{a,b}|2024-01-01 00:00:00+00|f")
        equal(query("SELECT count(*), sum(amount) FROM far.orders"), "1000|625625.00")

    @check()
    def pushed_down_filters_and_aggregates():
        equal(query("SELECT customer, sum(amount) FROM far.orders WHERE placed < '2024-01-02' AND note LIKE 'n1%' GROUP BY customer ORDER BY 1 LIMIT 2"),
              "0|12.50\n1|15.00")

    @check()
    def pushed_down_joins():
        equal(query("SELECT c.name, max(o.amount) FROM far.orders o JOIN far.customers c ON c.id = o.customer GROUP BY 1 ORDER BY 1 LIMIT 1"),
              "c0|1250.00")

    @check()
    def join_with_a_local_table():
        equal(query("CREATE TABLE near (id integer); INSERT INTO near VALUES (1), (2); "
                    "SELECT count(*) FROM near JOIN far.orders o ON o.customer = near.id"), "200")

    @check()
    def remote_estimates():
        assert "Foreign Scan" in query("ALTER SERVER lake OPTIONS (ADD use_remote_estimate 'true'); EXPLAIN SELECT * FROM far.orders WHERE id < 5")
        query("ALTER SERVER lake OPTIONS (SET use_remote_estimate 'false')")

    @check()
    def analyze():
        query("ANALYZE far.customers")

    @check()
    def insert():
        query("INSERT INTO far.customers VALUES (100, 'new'), (101, 'newer')")
        equal(psql("SELECT count(*) FROM customers WHERE id >= 100", {}), "2")

    @check()
    def insert_in_batches():
        query("ALTER SERVER lake OPTIONS (ADD batch_size '50'); INSERT INTO far.customers SELECT g, 'b' || g FROM generate_series(200, 320) g")
        equal(psql("SELECT count(*) FROM customers WHERE id >= 200", {}), "121")

    @check()
    def update_and_delete_pushed_down():
        query("UPDATE far.customers SET name = 'changed' WHERE id = 100; DELETE FROM far.customers WHERE id = 101")
        equal(psql("SELECT id, name FROM customers WHERE id IN (100, 101)", {}), "100|changed")

    @check()
    def update_by_ctid():
        query("UPDATE far.customers c SET name = 'near' FROM near n WHERE n.id = c.id AND random() >= 0")
        equal(psql("SELECT count(*) FROM customers WHERE name = 'near'", {}), "2")

    @check()
    def rollback_of_a_local_transaction():
        query("BEGIN; DELETE FROM far.customers WHERE id = 100; ROLLBACK")
        equal(psql("SELECT count(*) FROM customers WHERE id = 100", {}), "1")


with server.start(types.SimpleNamespace(external=False, reference=True, keep=False)) as postgres:
    checks(postgres.environment)
    tap.run("postgres_fdw 15")
