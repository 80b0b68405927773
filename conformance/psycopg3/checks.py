"""psycopg 3: extended protocol, text and binary, pipelines, server cursors, COPY, asyncio, pool."""

import asyncio
import datetime as dt
import threading
import time
from decimal import Decimal

import pgtypes
import psycopg
import psycopg.rows
import psycopg_pool
import tap
from psycopg import errors, sql
from psycopg.types.json import Jsonb
from tap import check, equal, raises


def connect(autocommit=True, **given):
    return psycopg.connect("", autocommit=autocommit, **given)


def query(statement, parameters=None, binary=None, connection=None):
    with connection or connect() as own:
        return own.execute(statement, parameters, binary=binary).fetchall()


@check()
def connect_with_tls():
    with connect(channel_binding="require") as connection:
        assert connection.pgconn.ssl_in_use
        equal(connection.info.encoding, "utf-8")
        equal(dt.datetime.now(connection.info.timezone).utcoffset(), dt.timedelta(0))
        equal(connection.info.server_version // 10000, 15)


@check()
def wrong_password():
    with raises(psycopg.OperationalError) as caught:
        connect(password="wrong")
    assert "password authentication failed" in str(caught.error)


@check()
def types_from_literals_text_and_binary():
    with connect() as connection:
        connection.execute(pgtypes.CREATE)
        connection.execute(pgtypes.INSERT_LITERALS)
    for binary in (False, True):
        pgtypes.compare(query(pgtypes.SELECT + "1", binary=binary)[0])


def insert_parameters(identifier, mark):
    values = [Jsonb(value) if name == "c_jsonb" else psycopg.types.json.Json(value) if name == "c_json" else value
              for name, value in pgtypes.VALUES.items()]
    with connect() as connection:
        done = connection.execute(pgtypes.insert(lambda _, kind: mark), [identifier, *values])
        equal(done.rowcount, 1)
    for binary in (False, True):
        pgtypes.compare(query(pgtypes.SELECT + "%s", [identifier], binary=binary)[0])


@check()
def types_as_text_parameters():
    insert_parameters(2, "%t")


@check()
def types_as_binary_parameters():
    insert_parameters(3, "%b")


@check()
def types_as_automatic_parameters():
    insert_parameters(4, "%s")


@check()
def null_of_every_type():
    with connect() as connection:
        connection.execute(pgtypes.insert(lambda *_: "%s"), [5, *[None] * len(pgtypes.NAMES)])
    equal(set(query(pgtypes.SELECT + "5", binary=True)[0]), {None})


@check()
def time_and_interval():
    for mark in ("%t", "%b"):
        for binary in (False, True):
            row = query(f"SELECT {mark}::time, {mark}::interval", [value for _, _, _, value in pgtypes.COMPUTED], binary=binary)[0]
            equal(row, tuple(value for _, _, _, value in pgtypes.COMPUTED))


@check()
def special_values_in_binary():
    row = query("SELECT 'NaN'::float8, '-Infinity'::float8, 0::numeric, 1e-20::numeric, 123456789012345678901234567890::numeric, "
                "'{}'::int[], '{{1,2},{3,4}}'::int[], ''::text, ''::bytea", binary=True)[0]
    equal(str(row[0]), "nan")
    equal(row[1:], (float("-inf"), Decimal(0), Decimal("1E-20"), Decimal("123456789012345678901234567890"), [], [[1, 2], [3, 4]], "", b""))


@check()
def infinite_dates():
    # Python has no such dates: the driver says so, whatever the format, and the text is the server's.
    equal(query("SELECT 'infinity'::date::text, '-infinity'::timestamp::text"), [("infinity", "-infinity")])
    with raises(psycopg.DataError):
        query("SELECT 'infinity'::date", binary=True)


@check()
def untyped_parameters_are_inferred():
    equal(query("SELECT %s || 'x', %s + 1, upper(%s), coalesce(%s, 0.5)", ["a", 2, "b", Decimal("1.5")]), [("ax", 3, "B", Decimal("1.5"))])
    equal(query("SELECT count(*) FROM every_type WHERE c_int8 = %s AND c_text = %s", [pgtypes.VALUES["c_int8"], pgtypes.VALUES["c_text"]]),
          [(4,)])
    equal(query("SELECT 2 = ANY(%s), %s::int[] @> %s::int[]", [[1, 2], [1, 2], [2]]), [(True, True)])
    equal(query("SELECT * FROM generate_series(1, 10) g ORDER BY g LIMIT %s OFFSET %s", [2, 3]), [(4,), (5,)])
    equal(query("SELECT %s::date - %s::date, %s + interval '1 day'", [dt.date(2024, 3, 1), dt.date(2024, 2, 1), dt.datetime(2024, 1, 1)]),
          [(29, dt.datetime(2024, 1, 2))])


@check()
def prepared_statements_stay_right():
    with connect(prepare_threshold=1) as connection:
        for i in range(5):
            equal(connection.execute("SELECT c_int4 + %s FROM every_type WHERE id = 1", [-i]).fetchone(), (2147483647 - i,))
        equal(connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone(), (1,))
        connection.execute("CREATE TABLE changing (a integer)")
        for _ in range(3):
            connection.execute("SELECT * FROM changing").fetchall()
        with connect() as other:
            other.execute("DROP TABLE changing")
            other.execute("CREATE TABLE changing (a text, b integer)")
        with raises(errors.FeatureNotSupported, "0A000"):
            # "cached plan must not change result type"
            connection.execute("SELECT * FROM changing").fetchall()


@check()
def describe_columns():
    with connect() as connection:
        cursor = connection.execute("SELECT c_int4, c_varchar, c_numeric, c_texts FROM every_type")
        equal([(c.name, c.type_code, c.type_display) for c in cursor.description],
              [("c_int4", 23, "int4"), ("c_varchar", 1043, "varchar(20)"), ("c_numeric", 1700, "numeric(20,5)"), ("c_texts", 1009, "text[]")])


@check()
def transactions_and_savepoints():
    connect().execute("CREATE TABLE moves (a integer)")
    with connect(autocommit=False) as connection:
        with connection.transaction():
            connection.execute("INSERT INTO moves VALUES (1)")
            try:
                with connection.transaction():
                    connection.execute("INSERT INTO moves VALUES (2)")
                    raise KeyError
            except KeyError:
                pass
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO moves VALUES (3)")
            equal(connection.execute("SELECT count(*) FROM moves").fetchone(), (2,))
    equal(query("SELECT a FROM moves"), [(1,)])


@check()
def ddl_in_a_transaction():
    with connect(autocommit=False) as connection:
        connection.execute("CREATE TABLE made_inside (a integer)")
        connection.execute("INSERT INTO made_inside VALUES (1)")
        connection.rollback()
        equal(connection.execute("SELECT to_regclass('made_inside')").fetchone(), (None,))
        connection.execute("CREATE TABLE made_inside (a integer)")
        connection.execute("CREATE TABLE made_too AS SELECT 1 AS a")
        connection.commit()
    equal(query("SELECT * FROM made_too"), [(1,)])


@check()
def isolation_and_read_only():
    with connect(autocommit=False) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        equal(connection.execute("SHOW transaction_isolation").fetchone(), ("repeatable read",))
        with raises(errors.ReadOnlySqlTransaction):
            connection.execute("INSERT INTO moves VALUES (9)")
        connection.rollback()


@check()
def errors_as_classes():
    for statement, kind in [
        ("SELECT 1/%s", errors.DivisionByZero),
        ("SELECT * FROM no_such WHERE a = %s", errors.UndefinedTable),
        ("SELECT no_such FROM every_type WHERE id = %s", errors.UndefinedColumn),
        ("SELECT no_such(%s)", errors.UndefinedFunction),
        ("SELECT FRM %s", errors.SyntaxError),
        ("SELECT ('x' || %s::text)::integer", errors.InvalidTextRepresentation),
        ("SELECT 9223372036854775807 + 1 + %s", errors.NumericValueOutOfRange),
        ("SELECT '[]'::jsonb -> %s ->> 'x'::date::text", errors.InvalidDatetimeFormat),
    ]:
        with raises(kind, kind.sqlstate) as caught:
            query(statement, [0])
        assert caught.error.diag.message_primary


@check()
def failed_transaction_recovers():
    with connect(autocommit=False) as connection:
        with raises(errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        with raises(errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        equal(connection.execute("SELECT 1").fetchone(), (1,))


@check()
def cancel_a_statement():
    with connect() as connection:
        threading.Timer(1, connection.cancel_safe).start()
        started = time.monotonic()
        with raises(errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(60)")
        assert time.monotonic() - started < 20
        equal(connection.execute("SELECT 1").fetchone(), (1,))


@check()
def pipeline():
    with connect() as connection, connection.pipeline() as pipeline:
        cursors = [connection.execute("SELECT %s::int * 2", [i]) for i in range(200)]
        pipeline.sync()
        equal([cursor.fetchone()[0] for cursor in cursors], [i * 2 for i in range(200)])


@check()
def an_error_in_a_pipeline_undoes_it():
    with connect() as connection:
        with raises(errors.DivisionByZero), connection.pipeline():
            connection.execute("INSERT INTO moves VALUES (10)")
            connection.execute("SELECT 1/0")
            connection.execute("INSERT INTO moves VALUES (10)")
        equal(connection.execute("SELECT count(*) FROM moves WHERE a = 10").fetchone(), (0,))


@check()
def executemany_in_a_pipeline():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE pairs (a integer, b text)")
        with connection.transaction():
            cursor.executemany("INSERT INTO pairs VALUES (%s, %s)", [(i, f"v{i}") for i in range(500)])
        equal(cursor.rowcount, 500)
        cursor.execute("SELECT count(*), sum(a) FROM pairs")
        equal(cursor.fetchone(), (500, 124750))


@check()
def returning():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO pairs VALUES (%s, %s) RETURNING a, upper(b)", [-1, "r"])
        equal(cursor.fetchall(), [(-1, "R")])
        cursor.executemany("INSERT INTO pairs VALUES (%s, 'x') RETURNING a", [(-2,), (-3,)], returning=True)
        came = []
        while True:
            came += cursor.fetchall()
            if not cursor.nextset():
                break
        equal(came, [(-2,), (-3,)])


@check()
def server_cursor():
    with connect(autocommit=False) as connection:
        with connection.cursor("big") as cursor:
            cursor.itersize = 2000
            cursor.execute("SELECT g, repeat('x', 50) FROM generate_series(1, %s) g ORDER BY g", [20000])
            equal(sum(row[0] for row in cursor), 200010000)
        with connection.cursor("scrolling", scrollable=True, binary=True) as cursor:
            cursor.execute("SELECT g FROM generate_series(1, 100) g ORDER BY g")
            cursor.scroll(90)
            equal(cursor.fetchall()[0], (91,))
            cursor.scroll(0, mode="absolute")
            equal(cursor.fetchmany(2), [(1,), (2,)])


@check()
def stream_row_by_row():
    with connect() as connection, connection.cursor() as cursor:
        total = 0
        for row in cursor.stream("SELECT g FROM generate_series(1, 50000) g"):
            total += row[0]
        equal(total, 1250025000)


COPIED = [(1, "tab\there", Decimal("1.50"), dt.date(2024, 2, 29), True, dt.datetime(2024, 1, 1, 1, 1, 1, 5)), (2, None, None, None, None, None),
          (3, "\\N ☃ \n", Decimal("-2.25"), dt.date(1999, 12, 31), False, dt.datetime(1970, 1, 1))]


@check()
def copy_in_text_and_out():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bulk (a integer, b text, c numeric(8,2), d date, e boolean, f timestamp)")
        with cursor.copy("COPY bulk FROM STDIN") as copy:
            for row in COPIED:
                copy.write_row(row)
        equal(cursor.rowcount, 3)
        equal(cursor.execute("SELECT * FROM bulk ORDER BY a").fetchall(), COPIED)
        with cursor.copy("COPY (SELECT * FROM bulk ORDER BY a) TO STDOUT") as copy:
            copy.set_types(["int4", "text", "numeric", "date", "bool", "timestamp"])
            equal(list(copy.rows()), COPIED)


@check()
def copy_in_binary_and_out():
    types = ["int4", "text", "numeric", "date", "bool", "timestamp"]
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE binary_bulk (a integer, b text, c numeric(8,2), d date, e boolean, f timestamp)")
        with cursor.copy("COPY binary_bulk FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(types)
            for row in COPIED:
                copy.write_row(row)
        with cursor.copy("COPY (SELECT * FROM binary_bulk ORDER BY a) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(types)
            equal(list(copy.rows()), COPIED)


@check()
def copy_with_an_error_leaves_nothing():
    with connect() as connection, connection.cursor() as cursor:
        before = cursor.execute("SELECT count(*) FROM bulk").fetchone()
        with raises(errors.InvalidTextRepresentation):
            with cursor.copy("COPY bulk (a) FROM STDIN") as copy:
                copy.write(b"1\nx\n")
        with raises(KeyError):
            with cursor.copy("COPY bulk (a) FROM STDIN") as copy:
                copy.write(b"1\n")
                raise KeyError
        equal(cursor.execute("SELECT count(*) FROM bulk").fetchone(), before)


@check()
def bulk_copy():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE large (a bigint, b text)")
        with cursor.copy("COPY large FROM STDIN") as copy:
            for start in range(0, 200000, 10000):
                copy.write("".join(f"{i}\tvalue {i}\n" for i in range(start, start + 10000)))
        equal(cursor.execute("SELECT count(*), sum(a) FROM large").fetchone(), (200000, 19999900000))


@check()
def rows_as_objects():
    with connect(row_factory=psycopg.rows.dict_row) as connection:
        equal(connection.execute("SELECT 1 AS a, 'x' AS b").fetchone(), {"a": 1, "b": "x"})
        equal(connection.cursor(row_factory=psycopg.rows.scalar_row).execute("SELECT 7").fetchone(), 7)


@check()
def composed_sql_and_client_cursor():
    statement = sql.SQL("SELECT {} FROM {} WHERE id = {}").format(sql.Identifier("c_text"), sql.Identifier("every_type"), sql.Placeholder())
    equal(query(statement, [1]), [(pgtypes.VALUES["c_text"],)])
    with connect(cursor_factory=psycopg.ClientCursor) as connection:
        equal(connection.execute("SELECT %s, %s", ["it's", dt.date(2024, 1, 1)]).fetchone(), ("it's", dt.date(2024, 1, 1)))


@check()
def several_statements_and_results():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1; SELECT 2, 3")
        equal(cursor.fetchall(), [(1,)])
        assert cursor.nextset()
        equal(cursor.fetchall(), [(2, 3)])


@check()
def type_lookup_in_the_catalog():
    with connect() as connection:
        info = psycopg.types.TypeInfo.fetch(connection, "uuid")
        equal((info.oid, info.array_oid), (2950, 2951))
        equal(psycopg.types.TypeInfo.fetch(connection, "no_such_type"), None)


@check()
def notifications():
    with connect() as listener, connect() as other:
        listener.execute("LISTEN news")
        other.execute("SELECT pg_notify('news', 'hello')")
        equal([(n.channel, n.payload) for n in listener.notifies(timeout=10, stop_after=1)], [("news", "hello")])


@check()
def notices():
    with connect() as connection:
        # What a notice says is there only while its handler runs.
        seen = []
        connection.add_notice_handler(lambda notice: seen.append((notice.severity, notice.sqlstate)))
        connection.execute("DROP TABLE IF EXISTS never_there")
        equal(seen, [("NOTICE", "00000")])


@check()
async def asynchronous():
    async with await psycopg.AsyncConnection.connect("", autocommit=True) as connection:
        cursor = await connection.execute("SELECT %s::int", [5])
        equal(await cursor.fetchone(), (5,))
        task = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(1)
        task.cancel()
        with raises((asyncio.CancelledError, errors.QueryCanceled)):
            await task
        async with connection.cursor() as cursor:
            async with cursor.copy("COPY (VALUES (1), (2)) TO STDOUT") as copy:
                equal([bytes(block) async for block in copy], [b"1\n", b"2\n"])


@check()
async def asynchronous_pool():
    async with psycopg_pool.AsyncConnectionPool("", min_size=2, max_size=4, open=False, check=psycopg_pool.AsyncConnectionPool.check_connection) as pool:
        async def one(i):
            async with pool.connection() as connection:
                return (await (await connection.execute("SELECT %s::int", [i])).fetchone())[0]

        equal(await asyncio.gather(*[one(i) for i in range(20)]), list(range(20)))


@check()
def pool_resets():
    with psycopg_pool.ConnectionPool("", min_size=1, max_size=1, open=True, reset=lambda c: c.execute("DISCARD ALL")) as pool:
        with pool.connection() as connection:
            connection.autocommit = True
            connection.execute("SET application_name = 'dirty'")
        with pool.connection() as connection:
            connection.autocommit = True
            equal(connection.execute("SHOW application_name").fetchone(), ("",))


@check()
def conflicts_are_serialization_failures():
    with connect(autocommit=False) as first, connect(autocommit=False) as second:
        for connection in (first, second):
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT * FROM moves")
        first.execute("UPDATE moves SET a = 5")
        first.commit()
        with raises(errors.SerializationFailure):
            second.execute("UPDATE moves SET a = 6")
            second.commit()
        second.rollback()


@check()
def terminated_connection():
    with connect() as connection, connect() as other:
        pid = connection.info.backend_pid
        equal(other.execute("SELECT pg_terminate_backend(%s)", [pid]).fetchone(), (True,))
        with raises((errors.AdminShutdown, psycopg.OperationalError)):
            for _ in range(50):
                connection.execute("SELECT 1")
                time.sleep(0.1)


tap.run(f"psycopg {psycopg.__version__}")
