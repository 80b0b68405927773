"""pg_dump of a schema and its data, restored into a second database."""

import os
import subprocess

import tap
from tap import check, equal

SETUP = """
CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(40) NOT NULL, born date, balance numeric(12,2) DEFAULT 0, tags text[],
  seen timestamptz, CONSTRAINT rich CHECK (balance >= 0));
CREATE VIEW debtors AS SELECT id, name FROM customers WHERE balance < 10;
COMMENT ON TABLE customers IS 'who buys';
CREATE SCHEMA other;
CREATE TABLE other.things (a integer, "Odd Name" text);
CREATE TABLE other.counted (a serial, b int GENERATED ALWAYS AS IDENTITY (START 5), c int GENERATED ALWAYS AS (a + 1) STORED, d text);
CREATE INDEX counted_d ON other.counted (d DESC, a);
CREATE SEQUENCE other.steps INCREMENT 5;
INSERT INTO customers VALUES (1, 'Ada', '1815-12-10', 10.50, '{a,"b,c"}', '2024-01-01 00:00+00'), (2, E'tab\\there', NULL, 0, NULL, NULL);
INSERT INTO other.things VALUES (1, 'x'), (2, NULL);
INSERT INTO other.counted (d) VALUES ('x'), ('y');
ALTER TABLE other.things ADD CONSTRAINT of_customer FOREIGN KEY (a) REFERENCES customers (id);
CREATE MATERIALIZED VIEW kept AS SELECT name FROM customers;
GRANT SELECT ON customers TO PUBLIC;
SELECT nextval('other.steps');
"""
RESTORED = f"{tap.database()}_restored"


def run(*command, stdin=None, **environment):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, " ".join(done.stderr.split())
    return done.stdout


def psql(script, **environment):
    return run("psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1", stdin=script, **environment)


def has(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} is not in the dump"


@check()
def a_schema():
    psql(SETUP)
    psql(f'DROP DATABASE IF EXISTS "{RESTORED}"')
    psql(f'CREATE DATABASE "{RESTORED}"')


@check()
def schema_only():
    dump = run("pg_dump", "--schema-only")
    has(dump, "CREATE TABLE public.customers", "name character varying(40) NOT NULL", "balance numeric(12,2) DEFAULT 0", "tags text[]",
        "CONSTRAINT rich CHECK ((balance >= ", "CREATE VIEW public.debtors", "CREATE SCHEMA other", "COMMENT ON TABLE public.customers IS 'who buys'",
        "PRIMARY KEY (id)", '"Odd Name" text', "ALTER SEQUENCE other.counted_a_seq OWNED BY other.counted.a",
        "ALTER TABLE other.counted ALTER COLUMN b ADD GENERATED ALWAYS AS IDENTITY", "CREATE SEQUENCE other.steps", "INCREMENT BY 5",
        "CREATE INDEX counted_d ON other.counted USING btree (d DESC, a)", "FOREIGN KEY (a) REFERENCES public.customers(id)",
        "CREATE MATERIALIZED VIEW public.kept", "GRANT SELECT ON TABLE public.customers TO PUBLIC")
    assert "pg_catalog.pg_class" not in dump.partition("GRANT")[2], "rights to system catalogs are no part of a dump"


@check()
def one_schema_and_one_table():
    has(run("pg_dump", "--schema-only", "-n", "other"), "CREATE TABLE other.things")
    dump = run("pg_dump", "--schema-only", "-t", "customers")
    has(dump, "CREATE TABLE public.customers")
    assert "things" not in dump


@check()
def data_as_copy():
    dump = run("pg_dump", "--data-only", "-t", "public.customers")
    has(dump, "COPY public.customers (id, name, born, balance, tags, seen) FROM stdin;", '1\tAda\t1815-12-10\t10.50\t{a,"b,c"}\t2024-01-01 00:00:00+00',
        "2\ttab\\there\t\\N\t0.00\t\\N\t\\N")


@check()
def data_as_inserts():
    dump = run("pg_dump", "--data-only", "--column-inserts", "-n", "other")
    has(dump, 'INSERT INTO other.things (a, "Odd Name") VALUES (1, \'x\');', 'INSERT INTO other.things (a, "Odd Name") VALUES (2, NULL);')


@check()
def restored_by_psql():
    psql(run("pg_dump", "--no-owner"), PGDATABASE=RESTORED)
    query = """SELECT * FROM public.customers ORDER BY id; SELECT * FROM other.things ORDER BY a; SELECT * FROM debtors; SELECT * FROM kept;
        SELECT * FROM other.counted ORDER BY a;"""
    equal(psql(query, PGDATABASE=RESTORED), psql(query))
    more = "INSERT INTO other.counted (d) VALUES ('z') RETURNING a, b, c; SELECT nextval('other.steps');"
    equal(psql(more, PGDATABASE=RESTORED), psql(more))


@check()
def custom_format_listed():
    path = tap.scratch("dump.custom")
    run("pg_dump", "-Fc", "-f", path)
    has(run("pg_restore", "--list", path), "TABLE public customers", "TABLE DATA other things", "VIEW public debtors")


@check()
def directory_format_in_parallel():
    run("pg_dump", "-Fd", "-j", "2", "-f", tap.scratch("dump.directory"))


@check()
def globals_only():
    has(run("pg_dumpall", "-l", tap.database(), "--globals-only", "--no-role-passwords"), f"CREATE ROLE {tap.user()}")


tap.run(f"pg_dump {subprocess.run(['pg_dump', '--version'], capture_output=True, text=True).stdout.split()[2]}")
