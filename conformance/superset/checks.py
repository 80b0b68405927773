"""Apache Superset: a real server, driven through its REST API as its pages do."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psycopg2
import tap
from tap import check, equal

VERSION = "6.1.0"
BIN = os.path.dirname(sys.executable)
# Superset's own tables: made once a version, they take minutes.
MADE = os.path.join(os.environ["CONFORMANCE_CACHE"], f"superset-{VERSION}.db")
STORE = tap.scratch("superset.db")
LOGIN = {"username": "admin", "password": "admin", "provider": "db", "refresh": True}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def superset(*arguments):
    subprocess.run([os.path.join(BIN, "superset"), *arguments], check=True, env=ENVIRONMENT, stdout=sys.stderr)


PORT = free_port()
CONFIG = tap.scratch("superset_config.py")
with open(CONFIG, "w", encoding="utf-8") as file:
    file.write(f"SECRET_KEY = {secrets.token_urlsafe(32)!r}\nSQLALCHEMY_DATABASE_URI = 'sqlite:///{STORE}'\nWTF_CSRF_ENABLED = False\n"
               "TALISMAN_ENABLED = False\nPREVENT_UNSAFE_DB_CONNECTIONS = False\nRATELIMIT_ENABLED = False\n")
ENVIRONMENT = {**os.environ, "SUPERSET_CONFIG_PATH": CONFIG, "SUPERSET_HOME": tap.scratch(), "FLASK_APP": "superset.app:create_app()"}
token = None
known = {}


def call(method, path, body=None, expected=(200, 201)):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}/api/v1/{path}", method=method,
                                     data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})})
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    assert status in expected, f"{method} {path}: {status} {text[:300]!r}"
    return json.loads(text)


def start():
    if os.path.exists(MADE):
        shutil.copyfile(MADE, STORE)
    else:
        superset("db", "upgrade")
        superset("fab", "create-admin", "--username", "admin", "--firstname", "a", "--lastname", "a", "--email", "a@example.org", "--password", "admin")
        superset("init")
        shutil.copyfile(STORE, MADE + ".new")
        os.replace(MADE + ".new", MADE)
    server = subprocess.Popen([os.path.join(BIN, "superset"), "run", "-h", "127.0.0.1", "-p", str(PORT), "--with-threads"], env=ENVIRONMENT,
                              stdout=sys.stderr)
    end = time.monotonic() + 300
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5)
            return server
        except OSError:
            assert server.poll() is None, "the server ended"
            time.sleep(1)
    raise AssertionError("the server did not start")


@check()
def log_in_and_seed():
    global token
    token = call("POST", "security/login", LOGIN)["access_token"]
    connection = psycopg2.connect("")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE orders (id bigint, customer text, amount numeric(10,2), placed timestamp, day date, paid boolean, weight float8)")
    cursor.execute("INSERT INTO orders SELECT g, 'c' || g % 3, g * 1.25, timestamp '2024-01-01' + g * interval '1 day', date '2024-01-01' + g, "
                   "g % 2 = 0, g / 2.0 FROM generate_series(1, 300) g")
    cursor.execute("CREATE VIEW big_orders AS SELECT * FROM orders WHERE amount > 100")


@check()
def test_the_connection():
    call("POST", "database/test_connection/", {"database_name": "lake", "sqlalchemy_uri": tap.url("postgresql+psycopg2")})


@check()
def create_the_database():
    known["database"] = call("POST", "database/", {"database_name": "lake", "sqlalchemy_uri": tap.url("postgresql+psycopg2"), "expose_in_sqllab": True,
                                                   "allow_ctas": True, "allow_cvas": True, "allow_dml": True})["id"]


@check()
def schemas_and_tables():
    database = known["database"]
    assert "public" in call("GET", f"database/{database}/schemas/?q=(force:!t)")["result"]
    tables = call("GET", f"database/{database}/tables/?q=(force:!t,schema_name:public)")["result"]
    equal(sorted((table["value"], table["type"]) for table in tables), [("big_orders", "view"), ("orders", "table")])


@check()
def table_metadata():
    metadata = call("GET", f"database/{known['database']}/table_metadata/?name=orders&schema=public")
    equal([(column["name"], column["type"]) for column in metadata["columns"]],
          [("id", "BIGINT"), ("customer", "TEXT"), ("amount", "NUMERIC"), ("placed", "TIMESTAMP"), ("day", "DATE"), ("paid", "BOOLEAN"),
           ("weight", "DOUBLE_PRECISION")])
    call("GET", f"database/{known['database']}/table_metadata/extra/?name=orders&schema=public")


@check()
def dataset():
    known["dataset"] = call("POST", "dataset/", {"database": known["database"], "schema": "public", "table_name": "orders"})["id"]
    columns = call("GET", f"dataset/{known['dataset']}")["result"]["columns"]
    equal(sorted((column["column_name"], column["is_dttm"]) for column in columns if column["is_dttm"]), [("day", True), ("placed", True)])


def chart(query, **given):
    body = {"datasource": {"id": known["dataset"], "type": "table"}, "force": True, "result_format": "json", "result_type": "full", "queries": [query]}
    return call("POST", "chart/data", {**body, **given})["result"][0]


SUM = {"expressionType": "SIMPLE", "column": {"column_name": "amount"}, "aggregate": "SUM", "label": "sum"}


@check()
def chart_of_a_group():
    came = chart({"columns": ["customer"], "metrics": [SUM, "count"], "orderby": [[SUM, False]], "row_limit": 10,
                  "filters": [{"col": "paid", "op": "IS TRUE"}]})
    equal([(row["customer"], row["count"]) for row in came["data"]], [("c0", 50), ("c1", 50), ("c2", 50)])


@check()
def chart_over_time():
    axis = {"timeGrain": "P1M", "columnType": "BASE_AXIS", "sqlExpression": "placed", "label": "placed", "expressionType": "SQL"}
    came = chart({"columns": [axis], "metrics": [SUM], "time_range": "2024-01-01 : 2024-04-01", "granularity": "placed", "row_limit": 100})
    equal(len(came["data"]), 3)


@check()
def every_time_grain():
    for grain in ("PT1S", "PT1M", "PT5M", "PT1H", "P1D", "P1W", "P1M", "P3M", "P1Y"):
        axis = {"timeGrain": grain, "columnType": "BASE_AXIS", "sqlExpression": "placed", "label": "placed", "expressionType": "SQL"}
        assert chart({"columns": [axis], "metrics": ["count"], "row_limit": 1000})["data"], grain


@check()
def table_chart_with_samples_and_filters():
    came = chart({"columns": ["id", "customer", "placed", "weight"], "row_limit": 5, "orderby": [["id", True]],
                  "filters": [{"col": "customer", "op": "IN", "val": ["c1", "c2"]}, {"col": "weight", "op": ">=", "val": 2},
                              {"col": "customer", "op": "ILIKE", "val": "C%"}]})
    equal([row["id"] for row in came["data"]], [4, 5, 7, 8, 10])
    assert chart({"columns": [], "row_limit": 10}, result_type="samples")["data"]


def sql_lab(sql, expected=(200,), **given):
    return call("POST", "sqllab/execute/", {"database_id": known["database"], "sql": sql, "runAsync": False, "schema": "public", "queryLimit": 100,
                                            "client_id": secrets.token_hex(5), "expand_data": True, "select_as_cta": False, **given}, expected)


@check()
def sql_lab_query():
    came = sql_lab("SELECT customer, max(placed) AS last, sum(amount) AS total FROM orders GROUP BY 1 ORDER BY 1")
    equal([row["customer"] for row in came["data"]], ["c0", "c1", "c2"])
    equal([column["type"] for column in came["columns"]], ["STRING", "DATETIME", "DECIMAL"])


@check()
def sql_lab_several_statements_and_changes():
    came = sql_lab("CREATE TABLE lab (a int); INSERT INTO lab VALUES (1), (2); SELECT sum(a) AS s FROM lab")
    equal(came["data"], [{"s": 3}])


@check()
def sql_lab_create_table_as():
    sql_lab("SELECT customer, count(*) AS n FROM orders GROUP BY 1", select_as_cta=True, tmp_table_name="made_by_cta", ctas_method="TABLE")
    equal(sql_lab("SELECT count(*) AS n FROM made_by_cta")["data"], [{"n": 3}])


@check()
def sql_lab_error():
    came = sql_lab("SELECT no_such FROM orders", expected=(400, 422, 500))
    assert "no_such" in json.dumps(came), came


@check()
def row_limit_of_a_large_result():
    equal(len(sql_lab("SELECT g FROM generate_series(1, 100000) g", queryLimit=50)["data"]), 50)


server = start()
try:
    tap.run(f"Superset {VERSION}")
finally:
    server.terminate()
