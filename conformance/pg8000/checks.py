"""pg8000: pure Python, extended protocol with text parameters."""

import datetime as dt
import io
import ssl
import time

import pg8000.dbapi
import pg8000.native
import pgtypes
import tap
from tap import check, equal, raises


def arguments(**given):
    context = ssl.create_default_context(cafile=tap.certificate()) if tap.certificate() else None
    return {"user": tap.user(), "password": tap.password(), "host": tap.host(), "port": tap.port(), "database": tap.database(),
            "ssl_context": context, **given}


def connect(**given):
    connection = pg8000.dbapi.connect(**arguments(**given))
    connection.autocommit = True
    return connection


def query(statement, parameters=(), connection=None):
    cursor = (connection or connect()).cursor()
    cursor.execute(statement, parameters)
    return [tuple(row) for row in cursor.fetchall()]


def code(error):
    return error.args[0]["C"]


def plain(name, value):
    return bytes(value) if isinstance(value, bytearray) else value


@check()
def connect_with_tls():
    equal(query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), [(True,)])


@check()
def wrong_password():
    with raises(pg8000.dbapi.DatabaseError, "28P01", code):
        connect(password="wrong")


@check()
def types_from_literals():
    cursor = connect().cursor()
    cursor.execute(pgtypes.CREATE)
    cursor.execute(pgtypes.INSERT_LITERALS)
    pgtypes.compare(query(pgtypes.SELECT + "1")[0], convert=plain)


@check()
def types_as_parameters():
    cursor = connect().cursor()
    cursor.execute(pgtypes.insert(lambda _, kind: f"CAST(%s AS {kind})"), [2, *pgtypes.VALUES.values()])
    equal(cursor.rowcount, 1)
    pgtypes.compare(query(pgtypes.SELECT + "%s", [2])[0], convert=plain)
    cursor.execute(pgtypes.insert(lambda _, kind: "%s"), [3, *[None] * len(pgtypes.NAMES)])
    equal(set(query(pgtypes.SELECT + "3")[0]), {None})


@check()
def time_and_interval():
    row = query("SELECT CAST(%s AS time), CAST(%s AS interval)", [value for _, _, _, value in pgtypes.COMPUTED])[0]
    equal(row, (dt.time(23, 59, 59, 500000), dt.timedelta(days=2, hours=3, microseconds=250000)))


@check()
def named_parameters_of_the_native_interface():
    connection = pg8000.native.Connection(**arguments())
    equal(connection.run("SELECT :a || 'x' AS v, CAST(:b AS integer) + 1", a="it's", b=2), [["it'sx", 3]])
    equal([column["name"] for column in connection.columns], ["v", "?column?"])
    statement = connection.prepare("SELECT c_text FROM every_type WHERE id = :id")
    equal([statement.run(id=i) for i in (1, 9)], [[[pgtypes.VALUES["c_text"]]], []])
    statement.close()
    connection.close()


@check()
def transactions():
    connection = pg8000.dbapi.connect(**arguments())
    connect().cursor().execute("CREATE TABLE moves (a integer)")
    cursor = connection.cursor()
    cursor.execute("INSERT INTO moves VALUES (%s)", (1,))
    equal(query("SELECT count(*) FROM moves"), [(0,)])
    connection.rollback()
    cursor.execute("INSERT INTO moves VALUES (%s)", (2,))
    connection.commit()
    equal(query("SELECT a FROM moves"), [(2,)])


@check()
def ddl_in_a_transaction():
    connection = pg8000.dbapi.connect(**arguments())
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE inside (a integer)")
    cursor.executemany("INSERT INTO inside VALUES (%s)", [(1,), (2,)])
    connection.commit()
    equal(query("SELECT sum(a) FROM inside"), [(3,)])


@check()
def errors_carry_codes():
    for statement, sqlstate in [("SELECT 1/0", "22012"), ("SELECT * FROM no_such", "42P01"), ("SELEC", "42601"), ("SELECT 'x'::int", "22P02")]:
        with raises(pg8000.dbapi.DatabaseError, sqlstate, code):
            query(statement)


@check()
def executemany_and_returning():
    cursor = connect().cursor()
    cursor.execute("CREATE TABLE pairs (a integer, b text)")
    cursor.executemany("INSERT INTO pairs VALUES (%s, %s)", [(i, f"v{i}") for i in range(100)])
    equal(query("SELECT count(*), sum(a) FROM pairs"), [(100, 4950)])
    cursor.execute("INSERT INTO pairs VALUES (%s, %s) RETURNING a", (-1, "x"))
    equal([tuple(row) for row in cursor.fetchall()], [(-1,)])


@check()
def copy_both_ways():
    cursor = connect().cursor()
    cursor.execute("CREATE TABLE bulk (a integer, b text)")
    cursor.execute("COPY bulk FROM STDIN WITH (FORMAT csv)", stream=io.BytesIO(b"".join(b"%d,row %d\n" % (i, i) for i in range(10000))))
    out = io.BytesIO()
    cursor.execute("COPY (SELECT * FROM bulk WHERE a < 2 ORDER BY a) TO STDOUT WITH (FORMAT csv)", stream=out)
    equal(out.getvalue(), b"0,row 0\n1,row 1\n")
    equal(query("SELECT count(*) FROM bulk"), [(10000,)])


@check()
def large_result():
    rows = query("SELECT g, repeat('x', 50) FROM generate_series(1, 50000) g")
    equal((len(rows), sum(row[0] for row in rows)), (50000, 1250025000))


@check()
def statement_timeout():
    connection = connect()
    query_started = time.monotonic()
    connection.cursor().execute("SET statement_timeout = 500")
    with raises(pg8000.dbapi.DatabaseError, "57014", code):
        query("SELECT pg_sleep(60)", connection=connection)
    assert time.monotonic() - query_started < 20
    equal(query("SELECT 1", connection=connection), [(1,)])


@check()
def notifications():
    listener = pg8000.native.Connection(**arguments())
    listener.run("LISTEN news")
    connect().cursor().execute("SELECT pg_notify('news', 'hello')")
    for _ in range(50):
        listener.run("SELECT 1")
        if listener.notifications:
            break
        time.sleep(0.1)
    equal([tuple(n[1:]) for n in listener.notifications], [("news", "hello")])


tap.run(f"pg8000 {pg8000.__version__}")
