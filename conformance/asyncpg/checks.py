"""asyncpg: binary both ways, prepared statements with introspection of unknown types, named portals, binary COPY."""

import asyncio
import datetime as dt
import io
import ssl
import time
from decimal import Decimal

import asyncpg
import pgtypes
import tap
from tap import check, equal, raises


async def connect(**given):
    return await asyncpg.connect(**given)


async def query(statement, *parameters):
    connection = await connect()
    try:
        return [tuple(row) for row in await connection.fetch(statement, *parameters)]
    finally:
        await connection.close()


# asyncpg hands JSON over as text.
VALUES = {**pgtypes.VALUES, "c_json": '{"a": [1, null, "x"]}', "c_jsonb": '{"a": true, "b": 1.5}'}


def plain(_, value):
    # A uuid of asyncpg is a subclass of Python's.
    import uuid

    return uuid.UUID(int=value.int) if isinstance(value, uuid.UUID) else value


@check()
async def connect_with_tls():
    connection = await connect()
    assert connection._transport.get_extra_info("ssl_object").version() == "TLSv1.3"
    equal(connection.get_server_version().major, 15)
    equal(connection.get_settings().client_encoding.upper().replace("-", ""), "UTF8")
    await connection.close()
    context = ssl.create_default_context(cafile=tap.certificate())
    connection = await connect(ssl=context, direct_tls=False)
    await connection.close()


@check()
async def wrong_password():
    with raises(asyncpg.InvalidPasswordError, "28P01"):
        await connect(password="wrong")


@check()
async def no_such_database():
    with raises(asyncpg.InvalidCatalogNameError, "3D000"):
        await connect(database="no_such_database")


@check()
async def types_from_literals():
    connection = await connect()
    await connection.execute(pgtypes.CREATE)
    await connection.execute(pgtypes.INSERT_LITERALS)
    pgtypes.compare(tuple(await connection.fetchrow(pgtypes.SELECT + "1")), VALUES, plain)
    await connection.close()


@check()
async def types_as_parameters():
    connection = await connect()
    equal(await connection.execute(pgtypes.insert(lambda position, _: f"${position}"), 2, *VALUES.values()), "INSERT 0 1")
    pgtypes.compare(tuple(await connection.fetchrow(pgtypes.SELECT + "$1", 2)), VALUES, plain)
    await connection.execute(pgtypes.insert(lambda position, _: f"${position}"), 3, *[None] * len(VALUES))
    equal(set(await connection.fetchrow(pgtypes.SELECT + "$1", 3)), {None})
    await connection.close()


@check()
async def time_and_interval():
    row = (await query("SELECT $1::time, $2::interval, '1 year 2 mons 3 days'::interval", *[value for _, _, _, value in pgtypes.COMPUTED]))[0]
    equal(row, (dt.time(23, 59, 59, 500000), dt.timedelta(days=2, hours=3, microseconds=250000), dt.timedelta(days=365 + 60 + 3)))


@check()
async def special_values():
    row = (await query("SELECT 'NaN'::float8, '-Infinity'::float4, 'infinity'::timestamp, 1e-20::numeric, '{{1,2},{3,4}}'::int[], "
                       "ARRAY[]::text[], 12345678901234567890123::numeric"))[0]
    equal(str(row[0]), "nan")
    equal(row[1:], (float("-inf"), dt.datetime.max, Decimal("1E-20"), [[1, 2], [3, 4]], [], Decimal("12345678901234567890123")))


@check()
async def arrays_as_parameters():
    equal(await query("SELECT g FROM unnest($1::int[]) g ORDER BY g", [3, 1, 2]), [(1,), (2,), (3,)])
    equal(await query("SELECT a, b FROM unnest($1::int[], $2::text[]) AS t(a, b) ORDER BY a", [1, 2], ["x", None]), [(1, "x"), (2, None)])
    equal(await query("SELECT count(*) FROM every_type WHERE id = ANY($1)", [1, 2]), [(2,)])


@check()
async def prepared_statement_attributes():
    connection = await connect()
    statement = await connection.prepare("SELECT c_varchar AS v, c_numeric, $1::bigint AS n FROM every_type WHERE c_text = $2 AND id < $3")
    equal([kind.name for kind in statement.get_parameters()], ["int8", "text", "int4"])
    equal([(a.name, a.type.name) for a in statement.get_attributes()], [("v", "varchar"), ("c_numeric", "numeric"), ("n", "int8")])
    equal(tuple(await statement.fetchrow(5, pgtypes.VALUES["c_text"], 2)), ("varied", Decimal("-12345678901234.56789"), 5))
    await connection.close()


@check()
async def cursor_in_pieces():
    connection = await connect()
    async with connection.transaction():
        total = 0
        async for row in connection.cursor("SELECT g FROM generate_series(1, $1::int) g", 20000, prefetch=777):
            total += row[0]
        equal(total, 200010000)
        cursor = await connection.cursor("SELECT g FROM generate_series(1, 100) g ORDER BY g")
        await cursor.forward(10)
        equal([row[0] for row in await cursor.fetch(3)], [11, 12, 13])
    await connection.close()


@check()
async def large_result():
    rows = await query("SELECT g, repeat('x', 100) FROM generate_series(1, 100000) g")
    equal((len(rows), sum(row[0] for row in rows)), (100000, 5000050000))


@check()
async def transactions():
    connection = await connect()
    await connection.execute("CREATE TABLE moves (a integer)")
    async with connection.transaction():
        await connection.execute("INSERT INTO moves VALUES ($1)", 1)
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO moves VALUES ($1)", 2)
                raise KeyError
        except KeyError:
            pass
    equal(await connection.fetchval("SELECT sum(a) FROM moves"), 1)
    transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    with raises(asyncpg.ReadOnlySQLTransactionError, "25006"):
        await connection.execute("INSERT INTO moves VALUES (3)")
    await transaction.rollback()
    await connection.close()


@check()
async def ddl_in_a_transaction():
    connection = await connect()
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("CREATE TABLE inside (a integer)")
    await connection.executemany("INSERT INTO inside VALUES ($1)", [(1,), (2,)])
    equal(await connection.fetchval("SELECT sum(a) FROM inside"), 3)
    await transaction.rollback()
    equal(await connection.fetchval("SELECT to_regclass('inside')::text"), None)
    await connection.close()


@check()
async def errors_as_classes():
    connection = await connect()
    for statement, kind in [
        ("SELECT 1/$1::int", asyncpg.DivisionByZeroError),
        ("SELECT * FROM no_such WHERE a = $1", asyncpg.UndefinedTableError),
        ("SELECT no_such, $1::int FROM every_type", asyncpg.UndefinedColumnError),
        ("SELECT no_such($1::int)", asyncpg.UndefinedFunctionError),
        ("SELEC $1", asyncpg.PostgresSyntaxError),
        ("SELECT ('x' || $1::int)::int", asyncpg.InvalidTextRepresentationError),
        ("SELECT 2147483647 + 1 + $1::int", asyncpg.NumericValueOutOfRangeError),
    ]:
        with raises(kind, kind.sqlstate):
            await connection.fetch(statement, 0)
    with raises(asyncpg.DataError):
        await connection.fetch("SELECT $1::int", "not a number")
    await connection.close()


@check()
async def constraint_errors_carry_names():
    connection = await connect()
    await connection.execute("CREATE TABLE strict (a integer NOT NULL, b integer CONSTRAINT small CHECK (b < 10))")
    with raises(asyncpg.CheckViolationError) as caught:
        await connection.execute("INSERT INTO strict VALUES (1, $1)", 10)
    equal((caught.error.schema_name, caught.error.table_name, caught.error.constraint_name), ("public", "strict", "small"))
    with raises(asyncpg.NotNullViolationError) as caught:
        await connection.execute("INSERT INTO strict (b) VALUES ($1)", 1)
    equal(caught.error.column_name, "a")
    await connection.close()


@check()
async def timeout_cancels():
    connection = await connect()
    started = time.monotonic()
    with raises(asyncio.TimeoutError):
        await connection.execute("SELECT pg_sleep(60)", timeout=1)
    assert time.monotonic() - started < 20
    equal(await connection.fetchval("SELECT 1"), 1)
    await connection.close()


@check()
async def cancelled_task():
    connection = await connect()
    task = asyncio.create_task(connection.fetch("SELECT pg_sleep(60)"))
    await asyncio.sleep(0.5)
    task.cancel()
    with raises(asyncio.CancelledError):
        await task
    equal(await connection.fetchval("SELECT 2"), 2)
    await connection.close()


@check()
async def executemany():
    connection = await connect()
    await connection.execute("CREATE TABLE pairs (a integer, b text)")
    await connection.executemany("INSERT INTO pairs VALUES ($1, $2)", [(i, f"v{i}") for i in range(500)])
    equal(await connection.fetchrow("SELECT count(*), sum(a) FROM pairs"), (500, 124750))
    with raises(asyncpg.DivisionByZeroError):
        await connection.executemany("INSERT INTO pairs SELECT 1 / $1, 'x'", [(1,), (0,)])
    equal(await connection.fetchval("SELECT count(*) FROM pairs"), 500)
    await connection.close()


@check()
async def returning():
    connection = await connect()
    equal(await connection.fetchval("INSERT INTO pairs VALUES ($1, $2) RETURNING a", -1, "x"), -1)
    rows = await connection.fetchmany("INSERT INTO pairs VALUES ($1, $2) RETURNING b", [(-2, "y"), (-3, "z")])
    equal([row[0] for row in rows], ["y", "z"])
    await connection.close()


@check()
async def copy_records_to_table():
    connection = await connect()
    await connection.execute("CREATE TABLE bulk (a bigint, b text, c numeric(8,2), d date, e timestamptz)")
    stamp = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
    records = [(i, f"v{i}" if i % 2 else None, Decimal("1.25"), dt.date(2024, 2, 29), stamp) for i in range(20000)]
    equal(await connection.copy_records_to_table("bulk", records=records), "COPY 20000")
    equal(await connection.fetchrow("SELECT count(*), count(b), sum(c), max(d), min(e) FROM bulk"),
          (20000, 10000, Decimal("25000.00"), dt.date(2024, 2, 29), stamp))
    await connection.close()


@check()
async def copy_text_both_ways():
    connection = await connect()
    await connection.execute("CREATE TABLE plain_copy (a integer, b text)")
    equal(await connection.copy_to_table("plain_copy", source=io.BytesIO(b"1,x\n2,\n"), format="csv"), "COPY 2")
    out = io.BytesIO()
    equal(await connection.copy_from_query("SELECT * FROM plain_copy WHERE a >= $1 ORDER BY a", 1, output=out, format="csv", header=True), "COPY 2")
    equal(out.getvalue(), b"a,b\n1,x\n2,\n")
    out = io.BytesIO()
    await connection.copy_from_table("plain_copy", output=out, columns=["a"])
    equal(sorted(out.getvalue().split()), [b"1", b"2"])
    await connection.close()


@check()
async def custom_codecs():
    import json

    connection = await connect()
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    equal(await connection.fetchval("SELECT $1::jsonb || '{\"b\": 2}'", {"a": 1}), {"a": 1, "b": 2})
    await connection.close()


@check()
async def introspection_of_other_types():
    # Types whose codec asyncpg looks up in the catalogs.
    equal(await query("SELECT 'pg_class'::regclass::oid::bigint > 0, 'x'::name, ARRAY['a'::name], '1'::oid"), [(True, "x", ["a"], 1)])
    equal(await query("SELECT ROW(1, 'x'::text)"), [((1, "x"),)])


@check()
async def schema_browsing():
    names = await query("SELECT table_name FROM information_schema.tables WHERE table_schema = $1 ORDER BY 1", "public")
    assert ("every_type",) in names, names
    columns = await query("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 "
                          "ORDER BY attnum LIMIT 3", "every_type")
    equal(columns, [("id", "integer"), ("c_bool", "boolean"), ("c_int2", "smallint")])


@check()
async def listeners():
    connection, other = await connect(), await connect()
    came = asyncio.Queue()
    await connection.add_listener("news", lambda _, pid, channel, payload: came.put_nowait((channel, payload)))
    await other.execute("SELECT pg_notify('news', 'hello')")
    equal(await asyncio.wait_for(came.get(), 10), ("news", "hello"))
    await connection.close()
    await other.close()


@check()
async def pool_with_reset():
    async with asyncpg.create_pool(min_size=2, max_size=4) as pool:
        async def one(i):
            async with pool.acquire() as connection:
                await connection.execute("SET application_name = 'dirty'")
                return await connection.fetchval("SELECT $1::int", i)

        equal(await asyncio.gather(*[one(i) for i in range(20)]), list(range(20)))
        equal(await pool.fetchval("SHOW application_name"), "")


@check()
async def server_settings():
    connection = await connect(server_settings={"search_path": "pg_catalog", "application_name": "named", "jit": "off"})
    equal(await connection.fetchval("SELECT current_setting('application_name') || ' ' || current_schema()"), "named pg_catalog")
    await connection.close()


@check()
async def several_statements():
    connection = await connect()
    equal(await connection.execute("CREATE TABLE s1 (a int); INSERT INTO s1 VALUES (1), (2); SELECT * FROM s1"), "SELECT 2")
    await connection.close()


@check()
async def statement_cache_after_ddl():
    connection = await connect()
    await connection.execute("CREATE TABLE changing (a integer)")
    equal(await connection.fetch("SELECT * FROM changing"), [])
    await connection.execute("ALTER TABLE changing ADD COLUMN b text")
    # asyncpg prepares again when the server says that the plan changed.
    equal(await connection.fetch("SELECT * FROM changing"), [])
    await connection.close()


tap.run(f"asyncpg {asyncpg.__version__}")
