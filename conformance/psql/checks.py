"""psql: what people type, and what its backslash commands ask of the catalogs."""

import os
import re
import subprocess
import time

import tap
from tap import check, equal

SETUP = """
CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(40) NOT NULL, born date, balance numeric(12,2) DEFAULT 0,
  CONSTRAINT rich CHECK (balance >= 0));
CREATE TABLE orders (id bigint, customer bigint, placed timestamp, paid boolean, note text);
CREATE VIEW debtors AS SELECT id, name FROM customers WHERE balance < 10;
COMMENT ON TABLE customers IS 'who buys';
COMMENT ON COLUMN customers.name IS 'as they write it';
CREATE SCHEMA other;
CREATE TABLE other.things (a int);
INSERT INTO customers VALUES (1, 'Ada', '1815-12-10', 10.50), (2, 'Grace', '1906-12-09', 0), (3, 'Œdipe ☃', NULL, 7);
"""


def psql(script, *arguments, tolerate=False, **environment):
    """Standard output of psql with the script on its input; errors are failures unless tolerated."""
    done = subprocess.run(["psql", "-X", "-v", "VERBOSITY=verbose", *arguments], input=script, text=True, capture_output=True,
                          env={**os.environ, "PAGER": "cat", "PGOPTIONS": "-c client_min_messages=warning", **environment})
    if tolerate:
        return done.stdout + done.stderr
    assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr or f"psql ended with {done.returncode}"
    return done.stdout


def rows(script, *arguments):
    return psql(script, "-qAt", *arguments).splitlines()


def contains(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} not in {text!r}"


@check()
def connect_with_tls():
    equal(rows("SELECT ssl, version LIKE 'TLS%' FROM pg_stat_ssl WHERE pid = pg_backend_pid();"), ["t|t"])
    contains(psql("\\conninfo\n"), "SSL connection (protocol: TLSv1.3", tap.user(), tap.database())


@check()
def wrong_password_is_28P01():
    done = psql("SELECT 1;", tolerate=True, PGPASSWORD="wrong")
    contains(done, f'password authentication failed for user "{tap.user()}"')


@check()
def channel_binding():
    equal(psql("SELECT 'in';", "-qAt", PGCHANNELBINDING="require"), "in\n")


@check()
def every_sslmode_with_every_channel_binding():
    for mode in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"):
        encrypted = "f" if mode in ("disable", "allow") else "t"
        for binding in ("disable", "prefer", "require"):
            shown = psql("SELECT 'in', ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();", "-qAt", tolerate=True, PGSSLMODE=mode, PGCHANNELBINDING=binding)
            if binding == "require" and encrypted == "f":
                # The client's own word: it will not log in without TLS.
                contains(shown, "channel binding required")
            else:
                equal(shown, f"in|{encrypted}\n", f"sslmode {mode}, channel_binding {binding}")


@check()
def no_such_database_is_3D000():
    contains(psql("SELECT 1;", tolerate=True, PGDATABASE="no_such_database"), 'database "no_such_database" does not exist')


@check()
def a_schema():
    psql(SETUP, "-q", "-v", "ON_ERROR_STOP=1")


@check()
def d_of_a_table():
    shown = psql("\\d customers\n")
    contains(shown, 'Table "public.customers"', "character varying(40)", "not null", "numeric(12,2)", '"customers_pkey" PRIMARY KEY',
             '"rich" CHECK (', "balance >= 0")


@check()
def d_plus_of_a_table():
    contains(psql("\\d+ customers\n"), "as they write it", "Storage")


@check()
def d_of_a_view():
    contains(psql("\\d debtors\n"), 'View "public.debtors"', "bigint", "character varying(40)")
    contains(psql("\\d+ debtors\n"), "View definition:", "balance < 10")


@check()
def dt_and_patterns():
    shown = psql("\\dt\n")
    contains(shown, "customers", "orders", "List of relations")
    assert "things" not in shown
    contains(psql("\\dt *.things\n"), "other")
    contains(psql("\\dt+ customers\n"), "who buys")
    contains(psql("\\dt no_such*\n", tolerate=True), "Did not find any relation")


@check()
def dn_and_l():
    contains(psql("\\dn\n"), "other", "public")
    contains(psql("\\l\n"), tap.database(), "UTF8")


LISTINGS = r"""\d \d+ \da \dA \dA+ \dAc \dAf \dAo \dAp \db \db+ \dc \dconfig \dC \dd \dD \dD+ \ddp \des \det \deu \dew \df \df+ \dF \dFd \dFp \dFt
\dg \dg+ \di \di+ \dl \dL \dm \dn+ \do \dO \dp \dP \drds \dRp \dRs \ds \dS \dt+ \dT \dT+ \du+ \dv \dv+ \dE \dx \dx+ \dX \dy \l+ \z \dti \dtvs \dfn \dfa"""


@check()
def every_listing_command_answers():
    failures = []
    for command in LISTINGS.split():
        shown = psql(f"{command}\n", tolerate=True)
        if "ERROR" in shown:
            failures.append(f"{command}: {shown.strip().splitlines()[0]}")
    assert not failures, "; ".join(failures)


@check()
def du_names_the_role():
    contains(psql(f"\\du {tap.user()}\n"), tap.user())


@check()
def df_of_a_builtin():
    contains(psql("\\df pg_catalog.upper\n"), "upper", "text")


@check()
def sv_shows_a_view():
    contains(psql("\\sv debtors\n"), "CREATE OR REPLACE VIEW public.debtors AS", "balance <")


@check()
def every_type_as_text():
    values = rows("""SELECT 32767::smallint, -2147483648, 9223372036854775807, 1.5::real, 2.25::float8, 12.340::numeric(6,3), true,
        'a'::char(3), 'é'::varchar, 'x'::text, '\\x00ff'::bytea, date '2024-02-29', time '23:59:59.5', timestamp '2024-02-29 12:00',
        timestamptz '2024-02-29 12:00+00', interval '1 mon 2 days 03:00', '00000000-0000-0000-0000-00000000000a'::uuid, '{"a": [1]}'::json,
        '{"b":1,"a":2}'::jsonb, ARRAY[1,NULL,3], ARRAY['a,b','"'], 'NaN'::float8, NULL;""".replace("\\\\", "\\"))
    equal(values, ["32767|-2147483648|9223372036854775807|1.5|2.25|12.340|t|a  |é|x|\\x00ff|2024-02-29|23:59:59.5|2024-02-29 12:00:00"
                   "|2024-02-29 12:00:00+00|1 mon 2 days 03:00:00|00000000-0000-0000-0000-00000000000a|{\"a\": [1]}|{\"a\": 2, \"b\": 1}"
                   "|{1,NULL,3}|{\"a,b\",\"\\\"\"}|NaN|"])


@check()
def types_of_columns_with_gdesc():
    shown = rows("SELECT id, name, balance, born, now() AS t, ARRAY[1] AS a FROM customers \\gdesc\n")
    equal(shown, ["id|bigint", "name|character varying(40)", "balance|numeric(12,2)", "born|date", "t|timestamp with time zone", "a|integer[]"])


@check()
def variables():
    equal(rows("\\set who Ada\nSELECT id FROM customers WHERE name = :'who';"), ["1"])
    equal(rows("SELECT 7 AS n \\gset\nSELECT :n + 1;"), ["8"])
    equal(rows("SELECT format('SELECT %s', g) FROM generate_series(1, 3) g \\gexec\n"), ["1", "2", "3"])
    equal(rows("\\if :{?no_such}\nSELECT 1;\n\\else\nSELECT 2;\n\\endif\n"), ["2"])


@check()
def crosstabview():
    shown = psql("SELECT * FROM (VALUES ('x', 'a', 1), ('x', 'b', 2), ('y', 'a', 3)) v(r, c, n) \\crosstabview r c n\n")
    contains(shown, " r | a | b ", " x | 1 | 2", " y | 3 |")


@check()
def prepared_statements():
    equal(rows("PREPARE p(bigint, text) AS SELECT name || $2 FROM customers WHERE id = $1; EXECUTE p(2, '!'); DEALLOCATE p;"), ["Grace!"])


@check()
def transactions():
    equal(rows("BEGIN; INSERT INTO orders VALUES (1, 1); SELECT count(*) FROM orders; ROLLBACK; SELECT count(*) FROM orders;"), ["1", "0"])
    equal(rows("""BEGIN; INSERT INTO orders VALUES (1, 1); SAVEPOINT s; INSERT INTO orders VALUES (2, 1); ROLLBACK TO s; COMMIT;
        SELECT array_agg(id) FROM orders; DELETE FROM orders;"""), ["{1}"])


@check()
def ddl_in_a_transaction():
    equal(rows("BEGIN; CREATE TABLE gone (a int); INSERT INTO gone VALUES (1); ROLLBACK; SELECT to_regclass('gone') IS NULL;"), ["t"])


@check()
def single_transaction_file():
    psql("CREATE TABLE one (a int); INSERT INTO one VALUES (1); CREATE TABLE two (a int); INSERT INTO two SELECT a FROM one;", "-1q")
    equal(rows("SELECT (SELECT sum(a) FROM one), (SELECT sum(a) FROM two); DROP TABLE one, two;"), ["1|1"])


@check()
def on_error_rollback():
    shown = psql("\\set ON_ERROR_ROLLBACK on\nBEGIN;\nINSERT INTO orders VALUES (9);\nSELECT 1/0;\nSELECT count(*) FROM orders;\nROLLBACK;\n",
                 "-qAt", tolerate=True)
    contains(shown, "22012", "1\n")


@check()
def errors_with_code_and_position():
    contains(psql("SELECT 1/0;", tolerate=True), "ERROR:  22012: division by zero")
    contains(psql("SELECT no_such FROM customers;", tolerate=True), '42703: column "no_such" does not exist', "LINE 1:", "       ^")
    contains(psql("SELECT * FROM no_such;", tolerate=True), '42P01: relation "no_such" does not exist')
    contains(psql("SELEC 1;", tolerate=True), '42601: syntax error at or near "SELEC"')
    contains(psql("INSERT INTO customers VALUES (9, 'x', NULL, -1);", tolerate=True), "23514", 'violates check constraint "rich"')
    contains(psql("INSERT INTO customers (id) VALUES (9);", tolerate=True), "23502", 'null value in column "name"')
    contains(psql("SELECT 1/0;\n\\errverbose\n", tolerate=True), "22012")


@check()
def copy_out_and_in():
    path = tap.scratch("customers.txt")
    psql(f"\\copy customers TO '{path}'\n", "-q")
    with open(path, encoding="utf-8") as file:
        equal(sorted(file.read().splitlines()), ["1\tAda\t1815-12-10\t10.50", "2\tGrace\t1906-12-09\t0.00", "3\tŒdipe ☃\t\\N\t7.00"])
    psql(f"CREATE TABLE copied (LIKE customers);\n\\copy copied FROM '{path}'\n", "-q")
    equal(rows("SELECT count(*), sum(balance), count(born) FROM copied;"), ["3|17.50|2"])
    path = tap.scratch("customers.csv")
    psql(f"\\copy (SELECT name, born FROM customers ORDER BY id) TO '{path}' CSV HEADER\n", "-q")
    with open(path, encoding="utf-8") as file:
        equal(file.read(), "name,born\nAda,1815-12-10\nGrace,1906-12-09\nŒdipe ☃,\n")
    psql("CREATE TABLE born (name text, born date);\n", "-q")
    psql(f"\\copy born FROM '{path}' CSV HEADER\n", "-q")
    equal(rows("SELECT * FROM born ORDER BY born;"), ["Ada|1815-12-10", "Grace|1906-12-09", "Œdipe ☃|"])


@check()
def copy_in_binary():
    path = tap.scratch("customers.bin")
    psql(f"\\copy customers TO '{path}' BINARY\n", "-q")
    psql(f"CREATE TABLE copied_binary (LIKE customers);\n\\copy copied_binary FROM '{path}' BINARY\n", "-q")
    equal(rows("SELECT count(*), sum(balance), count(born) FROM copied_binary;"), ["3|17.50|2"])


@check()
def bad_rows_of_copy_leave_nothing():
    psql("CREATE TABLE strict (a int);", "-q")
    shown = psql("\\copy strict FROM STDIN\n1\nx\n\\.\n", tolerate=True)
    contains(shown, "22P02", 'invalid input syntax for type integer: "x"', "CONTEXT:  COPY strict, line 2, column a")
    equal(rows("SELECT count(*) FROM strict;"), ["0"])


@check()
def large_result_in_pieces():
    came = rows("\\set FETCH_COUNT 1000\nSELECT g FROM generate_series(1, 20000) g;")
    equal((len(came), sum(map(int, came))), (20000, 200010000))


@check()
def many_rows_without_a_cursor():
    came = psql("COPY (SELECT g, repeat('x', 100) FROM generate_series(1, 200000) g) TO STDOUT;", "-q")
    equal(came.count("\n"), 200000)


@check()
def interrupt_cancels():
    started = time.monotonic()
    running = subprocess.Popen(["psql", "-X", "-v", "VERBOSITY=verbose", "-c", "SELECT pg_sleep(60)"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(2)
    running.send_signal(2)
    shown, _ = running.communicate(timeout=30)
    contains(shown, "57014: canceling statement due to user request")
    assert time.monotonic() - started < 20


@check()
def statement_timeout():
    contains(psql("SET statement_timeout = 300; SELECT pg_sleep(30);", tolerate=True), "57014: canceling statement due to statement timeout")


@check()
def idle_timeouts():
    ended = psql("SET idle_in_transaction_session_timeout = 300;\nBEGIN;\n\\! sleep 1\nSELECT 1;\n", tolerate=True)
    contains(ended, "25P03: terminating connection due to idle-in-transaction timeout")
    ended = psql("SET idle_session_timeout = 300;\n\\! sleep 1\nSELECT 1;\n", tolerate=True)
    contains(ended, "57P05: terminating connection due to idle-session timeout")


@check()
def watch_and_timing():
    done = subprocess.run(["timeout", "-s", "INT", "3", "psql", "-X"], input="SELECT 'tick' \\watch 0.5\n", capture_output=True, text=True)
    assert done.stdout.count("tick") >= 2, done.stdout + done.stderr
    assert re.search(r"Time: [0-9.]+ ms", psql("\\timing on\nSELECT 1;\n"))


@check()
def explain():
    contains(psql("EXPLAIN SELECT * FROM customers WHERE id = 1;"), "QUERY PLAN")


@check()
def several_statements_at_once():
    equal(psql("", "-qAt", "-c", "SELECT 1; SELECT 2; SELECT 3").split(), ["1", "2", "3"])


tap.run(subprocess.run(["psql", "--version"], capture_output=True, text=True).stdout.split()[2])
