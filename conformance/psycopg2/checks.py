"""psycopg2: text protocol, simple queries, client-side parameters."""

import datetime as dt
import io
import threading
import time

import pgtypes
import psycopg2
import psycopg2.errorcodes
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras
import psycopg2.pool
import psycopg2.sql
import tap
from tap import check, equal, raises

psycopg2.extras.register_uuid()


def connect(autocommit=True, **given):
    connection = psycopg2.connect("", **given)
    connection.autocommit = autocommit
    return connection


def query(statement, parameters=None, connection=None):
    with (connection or connect()).cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


@check()
def connect_with_tls():
    connection = connect()
    assert connection.info.ssl_in_use and connection.info.ssl_attribute("protocol") == "TLSv1.3"
    assert connection.server_version >= 150000
    equal(connection.encoding, "UTF8")
    equal(connection.get_parameter_status("standard_conforming_strings"), "on")


@check()
def wrong_password():
    with raises(psycopg2.OperationalError) as caught:
        connect(password="wrong")
    assert "password authentication failed" in str(caught.error)


@check()
def types_from_literals():
    connection = connect()
    cursor = connection.cursor()
    cursor.execute(pgtypes.CREATE)
    cursor.execute(pgtypes.INSERT_LITERALS)
    pgtypes.compare(query(pgtypes.SELECT + "1")[0], convert=plain)


@check()
def types_as_parameters():
    values = [psycopg2.extras.Json(value) if name.startswith("c_json") else value for name, value in pgtypes.VALUES.items()]
    with connect().cursor() as cursor:
        cursor.execute(pgtypes.insert(lambda _, kind: f"CAST(%s AS {kind})"), [2, *values])
        equal(cursor.rowcount, 1)
    pgtypes.compare(query(pgtypes.SELECT + "2")[0], convert=plain)


@check()
def null_of_every_type():
    with connect().cursor() as cursor:
        cursor.execute(pgtypes.insert(lambda _, kind: f"%s::{kind}"), [3, *[None] * len(pgtypes.NAMES)])
    equal(set(query(pgtypes.SELECT + "3")[0]), {None})


@check()
def time_and_interval():
    row = query("SELECT %s::time, %s::interval, '1 year 2 mons'::interval::text", [value for _, _, _, value in pgtypes.COMPUTED])[0]
    equal(row, (dt.time(23, 59, 59, 500000), dt.timedelta(days=2, hours=3, microseconds=250000), "1 year 2 mons"))


@check()
def time_and_interval_columns():
    with connect().cursor() as cursor:
        cursor.execute("CREATE TABLE clocks (a time, b interval)")
        cursor.execute("INSERT INTO clocks VALUES (%s, %s)", [value for _, _, _, value in pgtypes.COMPUTED])
        cursor.execute("SELECT a, b FROM clocks")
        equal(cursor.fetchone(), tuple(value for _, _, _, value in pgtypes.COMPUTED))


@check()
def description_of_columns():
    with connect().cursor() as cursor:
        cursor.execute("SELECT c_int4, c_varchar, c_numeric, c_texts FROM every_type")
        equal([(c.name, c.type_code, c.precision, c.scale) for c in cursor.description],
              [("c_int4", 23, None, None), ("c_varchar", 1043, None, None), ("c_numeric", 1700, 20, 5), ("c_texts", 1009, None, None)])


@check()
def named_parameters_and_composed_sql():
    statement = psycopg2.sql.SQL("SELECT {} FROM {} WHERE id = {}").format(
        psycopg2.sql.Identifier("c_text"), psycopg2.sql.Identifier("public", "every_type"), psycopg2.sql.Placeholder("id"))
    equal(query(statement, {"id": 1}), [(pgtypes.VALUES["c_text"],)])
    equal(query("SELECT %(a)s, %(b)s = ANY(%(c)s)", {"a": "'; DROP TABLE x --", "b": 2, "c": [1, 2]}), [("'; DROP TABLE x --", True)])
    equal(query("SELECT 1 WHERE 2 IN %s", [(1, 2)]), [(1,)])


@check()
def transactions():
    connection = connect(autocommit=False)
    cursor = connection.cursor()
    connect().cursor().execute("CREATE TABLE moves (a integer)")
    cursor.execute("INSERT INTO moves VALUES (1)")
    equal(query("SELECT count(*) FROM moves"), [(0,)])
    equal(connection.info.transaction_status, psycopg2.extensions.TRANSACTION_STATUS_INTRANS)
    connection.rollback()
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO moves VALUES (2)")
        cursor.execute("SAVEPOINT s")
        cursor.execute("INSERT INTO moves VALUES (3)")
        cursor.execute("ROLLBACK TO SAVEPOINT s")
    equal(query("SELECT a FROM moves"), [(2,)])
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO moves VALUES (4)")
            raise KeyError
    except KeyError:
        pass
    equal(query("SELECT a FROM moves"), [(2,)])


@check()
def ddl_in_a_transaction():
    connection = connect(autocommit=False)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE first (a integer)")
    cursor.execute("CREATE TABLE second (a integer)")
    cursor.execute("INSERT INTO first VALUES (1)")
    cursor.execute("INSERT INTO second SELECT a FROM first")
    equal(query("SELECT to_regclass('first')"), [(None,)])
    connection.commit()
    cursor.execute("DROP TABLE first")
    connection.rollback()
    equal(query("SELECT a FROM first UNION ALL SELECT a FROM second"), [(1,), (1,)])


@check()
def isolation_levels_and_read_only():
    connection = connect(autocommit=False)
    connection.set_session(isolation_level="SERIALIZABLE", readonly=True)
    cursor = connection.cursor()
    cursor.execute("SHOW transaction_isolation")
    equal(cursor.fetchone(), ("serializable",))
    with raises(psycopg2.errors.ReadOnlySqlTransaction, "25006"):
        cursor.execute("INSERT INTO moves VALUES (9)")
    connection.rollback()


@check()
def conflicting_updates():
    first, second = connect(autocommit=False), connect(autocommit=False)
    for connection in (first, second):
        connection.set_session(isolation_level="REPEATABLE READ")
    one, two = first.cursor(), second.cursor()
    one.execute("SELECT a FROM moves")
    two.execute("SELECT a FROM moves")
    one.execute("UPDATE moves SET a = a + 1")
    first.commit()
    with raises(psycopg2.errors.SerializationFailure, "40001"):
        two.execute("UPDATE moves SET a = a + 1")
        second.commit()
    second.rollback()
    equal(query("SELECT a FROM moves"), [(3,)])


@check()
def errors_as_classes():
    for statement, kind in [
        ("SELECT 1/0", psycopg2.errors.DivisionByZero),
        ("SELEC", psycopg2.errors.SyntaxError),
        ("SELECT * FROM no_such", psycopg2.errors.UndefinedTable),
        ("SELECT no_such FROM every_type", psycopg2.errors.UndefinedColumn),
        ("SELECT no_such(1)", psycopg2.errors.UndefinedFunction),
        ("SELECT 'x'::integer", psycopg2.errors.InvalidTextRepresentation),
        ("SELECT 40000::smallint", psycopg2.errors.NumericValueOutOfRange),
        ("SELECT '2023-02-29'::date", psycopg2.errors.DatetimeFieldOverflow),
        ("CREATE TABLE every_type (a int)", psycopg2.errors.DuplicateTable),
        ("CREATE SCHEMA public", psycopg2.errors.DuplicateSchema),
        ("INSERT INTO every_type (c_varchar) VALUES (repeat('x', 30))", psycopg2.errors.StringDataRightTruncation),
        ("SET ROLE no_such_role", psycopg2.errors.InvalidParameterValue),
        ("SELECT c_text, count(*) FROM every_type", psycopg2.errors.GroupingError),
        ("SELECT (SELECT g FROM generate_series(1, 2) g)", psycopg2.errors.CardinalityViolation),
    ]:
        with raises(kind, kind.sqlstate if hasattr(kind, "sqlstate") else None) as caught:
            connect().cursor().execute(statement)
        assert caught.error.diag.message_primary and caught.error.diag.severity == "ERROR"


@check()
def error_fields_of_a_constraint():
    cursor = connect().cursor()
    cursor.execute("CREATE TABLE strict (a integer NOT NULL, b integer CONSTRAINT small CHECK (b < 10))")
    with raises(psycopg2.errors.CheckViolation, "23514") as caught:
        cursor.execute("INSERT INTO strict VALUES (1, 10)")
    diag = caught.error.diag
    equal((diag.schema_name, diag.table_name, diag.constraint_name), ("public", "strict", "small"))
    with raises(psycopg2.errors.NotNullViolation, "23502") as caught:
        cursor.execute("INSERT INTO strict VALUES (NULL, 1)")
    equal((caught.error.diag.table_name, caught.error.diag.column_name), ("strict", "a"))


@check()
def failed_transaction():
    connection = connect(autocommit=False)
    cursor = connection.cursor()
    with raises(psycopg2.errors.DivisionByZero):
        cursor.execute("SELECT 1/0")
    with raises(psycopg2.errors.InFailedSqlTransaction, "25P02"):
        cursor.execute("SELECT 1")
    connection.rollback()
    cursor.execute("SELECT 1")
    equal(cursor.fetchone(), (1,))


@check()
def cancel_from_another_thread():
    connection = connect()
    threading.Timer(1, connection.cancel).start()
    started = time.monotonic()
    with raises(psycopg2.errors.QueryCanceled, "57014"):
        connection.cursor().execute("SELECT pg_sleep(60)")
    assert time.monotonic() - started < 20
    equal(query("SELECT 1", connection=connection), [(1,)])


@check()
def copy_expert_in_and_out():
    with connect().cursor() as cursor:
        cursor.execute("CREATE TABLE bulk (a integer, b text, c date)")
        rows = "".join(f"{i}\trow {i}\t2024-01-{i % 28 + 1:02}\n" for i in range(50000))
        cursor.copy_expert("COPY bulk FROM STDIN", io.StringIO(rows))
        equal(cursor.rowcount, 50000)
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT * FROM bulk ORDER BY a) TO STDOUT", out)
        equal(out.getvalue(), rows)
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT a, b FROM bulk WHERE a < 2 ORDER BY a) TO STDOUT (FORMAT csv, HEADER, DELIMITER ';')", out)
        equal(out.getvalue(), "a;b\n0;row 0\n1;row 1\n")
        cursor.copy_from(io.StringIO("7|x|\\N\n"), "bulk", sep="|")
        equal(cursor.rowcount, 1)


@check()
def execute_values_and_batch():
    with connect().cursor() as cursor:
        cursor.execute("CREATE TABLE pairs (a integer, b text)")
        psycopg2.extras.execute_values(cursor, "INSERT INTO pairs VALUES %s", [(i, f"v{i}") for i in range(2500)], page_size=1000)
        psycopg2.extras.execute_batch(cursor, "INSERT INTO pairs VALUES (%s, %s)", [(i, "batch") for i in range(20)], page_size=10)
        cursor.executemany("INSERT INTO pairs VALUES (%s, %s)", [(i, "many") for i in range(5)])
    equal(query("SELECT count(*), sum(a) FROM pairs"), [(2525, 3123750 + 190 + 10)])


@check()
def named_cursor_reads_in_pieces():
    connection = connect(autocommit=False)
    with connection.cursor("big") as cursor:
        cursor.itersize = 5000
        cursor.execute("SELECT a FROM bulk ORDER BY a")
        equal(sum(1 for _ in cursor), 50001)
    with connection.cursor("scrolling", scrollable=True) as cursor:
        cursor.execute("SELECT g FROM generate_series(1, 100) g ORDER BY g")
        cursor.scroll(50)
        equal(cursor.fetchone(), (51,))
        cursor.scroll(0, mode="absolute")
        equal(cursor.fetchmany(2), [(1,), (2,)])
    connection.commit()
    with connection.cursor("held", withhold=True) as cursor:
        cursor.execute("SELECT g FROM generate_series(1, 10) g ORDER BY g")
        connection.commit()
        equal(len(cursor.fetchall()), 10)


@check()
def dict_and_named_tuple_cursors():
    connection = connect()
    cursor = connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
    cursor.execute("SELECT 1 AS a, 'x' AS b")
    equal(dict(cursor.fetchone()), {"a": 1, "b": "x"})
    cursor = connection.cursor(cursor_factory=psycopg2.extras.NamedTupleCursor)
    cursor.execute("SELECT 1 AS a, 'x' AS b")
    equal(cursor.fetchone().b, "x")


@check()
def returning():
    with connect().cursor() as cursor:
        cursor.execute("INSERT INTO pairs VALUES (-77, 'r') RETURNING a, upper(b)")
        equal(cursor.fetchall(), [(-77, "R")])
        cursor.execute("UPDATE pairs SET b = 's' WHERE a = -77 RETURNING b")
        equal(cursor.fetchall(), [("s",)])
        cursor.execute("DELETE FROM pairs WHERE a = -77 RETURNING *")
        equal(cursor.fetchall(), [(-77, "s")])


@check()
def notices():
    connection = connect()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS never_there")
    assert any('"never_there" does not exist, skipping' in notice for notice in connection.notices), connection.notices


@check()
def listen_and_notify():
    listener = connect()
    listener.cursor().execute("LISTEN news")
    connect().cursor().execute("SELECT pg_notify('news', 'hello')")
    for _ in range(50):
        listener.poll()
        if listener.notifies:
            break
        time.sleep(0.1)
    equal([(n.channel, n.payload) for n in listener.notifies], [("news", "hello")])


@check()
def pool_and_reset():
    pool = psycopg2.pool.ThreadedConnectionPool(1, 3, "")
    connection = pool.getconn()
    connection.cursor().execute("SET extra_float_digits = 0")
    connection.rollback()
    pool.putconn(connection)
    connection = pool.getconn()
    connection.reset()
    equal(query("SELECT 1", connection=connection), [(1,)])
    pool.closeall()


@check()
def asynchronous_connection():
    import select

    def wait(connection):
        while (state := connection.poll()) != psycopg2.extensions.POLL_OK:
            select.select(*([connection], [], []) if state == psycopg2.extensions.POLL_READ else ([], [connection], []))

    connection = psycopg2.connect("", async_=1)
    wait(connection)
    cursor = connection.cursor()
    cursor.execute("SELECT pg_sleep(0.1), 42")
    wait(connection)
    equal(cursor.fetchone()[1], 42)


@check()
def two_phase_commit_is_refused():
    connection = connect(autocommit=False)
    # PostgreSQL refuses too as it comes: max_prepared_transactions is 0.
    connection.tpc_begin(connection.xid(1, "gtrid", "bqual"))
    connection.cursor().execute("INSERT INTO pairs VALUES (500, 'x')")
    with raises((psycopg2.errors.ObjectNotInPrerequisiteState, psycopg2.errors.FeatureNotSupported)):
        connection.tpc_prepare()


def plain(name, value):
    return bytes(value) if isinstance(value, memoryview) else value


tap.run(f"psycopg2 {psycopg2.__version__.split()[0]}")
