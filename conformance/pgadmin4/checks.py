"""pgAdmin 4: the program itself, through its test client: browse tree, SQL of objects, query tool, dashboard."""

import json
import os
import sys

import pgadmin4
import tap
from tap import check, equal, raises

sys.path.insert(0, list(pgadmin4.__path__)[0])
import builtins  # noqa: E402

builtins.SERVER_MODE = False
import config  # noqa: E402

config.SERVER_MODE = False
config.DATA_DIR = tap.scratch("pgadmin")
config.SQLITE_PATH = tap.scratch("pgadmin", "pgadmin4.db")
config.SESSION_DB_PATH = tap.scratch("pgadmin", "sessions")
config.STORAGE_DIR = tap.scratch("pgadmin", "storage")
config.AZURE_CREDENTIAL_CACHE_DIR = tap.scratch("pgadmin", "azure")
config.LOG_FILE = tap.scratch("pgadmin", "pgadmin4.log")
config.MASTER_PASSWORD_REQUIRED = False
config.UPGRADE_CHECK_ENABLED = False
config.WTF_CSRF_ENABLED = False
config.CONSOLE_LOG_LEVEL = 40
os.makedirs(config.SESSION_DB_PATH)

import psycopg  # noqa: E402
from pgadmin import create_app  # noqa: E402

app = create_app()
app.config["WTF_CSRF_ENABLED"] = False
app.PGADMIN_INT_KEY = ""
app.PGADMIN_RUNTIME = False
app.run_before_app_start()
client = app.test_client()
known = {}


def call(method, path, body=None):
    response = getattr(client, method)(path, data=None if body is None else json.dumps(body), content_type="application/json", follow_redirects=True)
    text = response.get_data(as_text=True)
    assert response.status_code == 200, f"{method} {path}: {response.status_code} {text[:300]}"
    answer = json.loads(text) if text[:1] in "[{" else text
    assert not (isinstance(answer, dict) and answer.get("success") == 0), f"{method} {path}: {answer.get('errormsg')}"
    return answer


def nodes(kind, *place):
    answer = call("get", f"/browser/{kind}/nodes/1/{'/'.join(map(str, place))}/")
    return {node["label"]: node["_id"] for node in answer["data"]}


@check()
def add_and_connect_the_server():
    with psycopg.connect("", autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, price numeric(10,2) DEFAULT 0, CONSTRAINT low CHECK (price < 1000))")
        connection.execute("INSERT INTO items SELECT g, 'n' || g, g FROM generate_series(1, 500) g")
        connection.execute("CREATE VIEW cheap AS SELECT * FROM items WHERE price < 10")
    parameters = {"sslmode": os.environ.get("PGSSLMODE", "prefer"), "connect_timeout": 20,
                  **({"sslrootcert": tap.certificate()} if tap.certificate() else {})}
    answer = call("post", "/browser/server/obj/1/", {
        "name": "lake", "host": tap.host(), "port": tap.port(), "db": tap.database(), "username": tap.user(), "connection_params": parameters,
        "comment": "", "role": "", "service": ""})
    known["server"] = answer["node"]["_id"]
    call("post", f"/browser/server/connect/1/{known['server']}", {"password": tap.password()})


@check()
def databases_roles_tablespaces():
    server = known["server"]
    known["database"] = nodes("database", server)[tap.database()]
    call("post", f"/browser/database/connect/1/{server}/{known['database']}")
    assert tap.user() in nodes("role", server)
    nodes("tablespace", server)
    call("get", f"/browser/database/obj/1/{server}/{known['database']}")
    call("get", f"/browser/database/sql/1/{server}/{known['database']}")
    call("get", f"/browser/role/obj/1/{server}/{nodes('role', server)[tap.user()]}")


@check()
def schemas_and_their_tree():
    place = (known["server"], known["database"])
    known["schema"] = nodes("schema", *place)["public"]
    place = (*place, known["schema"])
    failures = []
    for kind in ("table", "view", "mview", "function", "procedure", "sequence", "type", "domain", "collation", "foreign_table", "aggregate", "operator",
                 "trigger_function", "fts_configuration", "fts_dictionary", "fts_parser", "fts_template"):
        try:
            nodes(kind, *place)
        except AssertionError as error:
            failures.append(tap.one_line(error)[:120])
    assert not failures, "; ".join(failures)


@check()
def other_children_of_a_database():
    place = (known["server"], known["database"])
    failures = []
    for kind in ("cast", "event_trigger", "extension", "foreign_data_wrapper", "language", "publication", "subscription", "catalog"):
        try:
            nodes(kind, *place)
        except AssertionError as error:
            failures.append(tap.one_line(error)[:120])
    assert not failures, "; ".join(failures)


@check()
def a_table_and_its_parts():
    place = (known["server"], known["database"], known["schema"])
    table = nodes("table", *place)["items"]
    known["table"] = table
    equal(list(nodes("column", *place, table)), ["id", "name", "price"])
    failures = []
    for kind in ("index", "check_constraint", "index_constraint", "primary_key", "foreign_key", "trigger", "rule", "row_security_policy"):
        try:
            nodes(kind, *place, table)
        except AssertionError as error:
            if " 404 " not in str(error):
                failures.append(tap.one_line(error)[:150])
    assert not failures, "; ".join(failures)


@check()
def properties_and_sql_of_a_table():
    place = "/".join(map(str, ("1", known["server"], known["database"], known["schema"], known["table"])))
    equal(call("get", f"/browser/table/obj/{place}")["name"], "items")
    sql = str(call("get", f"/browser/table/sql/{place}"))
    assert "CREATE TABLE" in sql and "numeric(10,2)" in sql and "PRIMARY KEY" in sql, sql
    call("get", f"/browser/table/stats/{place}")
    call("get", f"/browser/table/dependency/{place}")
    call("get", f"/browser/table/dependent/{place}")
    for kind in ("select_sql", "insert_sql", "update_sql", "delete_sql", "count_rows"):
        call("get", f"/browser/table/{kind}/{place}")


@check()
def sql_of_a_view():
    place = (known["server"], known["database"], known["schema"])
    view = nodes("view", *place)["cheap"]
    sql = str(call("get", "/browser/view/sql/1/" + "/".join(map(str, (*place, view)))))
    assert "cheap" in sql and "price <" in sql, sql


def query_tool(sql):
    identifier = known["identifier"] = known.get("identifier", 7000000) + 1
    call("post", f"/sqleditor/initialize/sqleditor/{identifier}/1/{known['server']}/{known['database']}",
         {"user": tap.user(), "password": tap.password(), "dbname": tap.database()})
    call("post", f"/sqleditor/query_tool/start/{identifier}", {"sql": sql, "explain_plan": None})
    for _ in range(100):
        answer = call("get", f"/sqleditor/poll/{identifier}")["data"]
        if answer["status"] != "Busy":
            return answer
    raise AssertionError("the query did not end")


@check()
def query_tool_rows():
    answer = query_tool("SELECT id, name FROM items ORDER BY id LIMIT 3")
    equal((answer["status"], [row[:2] if isinstance(row, list) else row for row in answer["result"]]), ("Success", [["1", "n1"], ["2", "n2"], ["3", "n3"]]))


@check()
def query_tool_error():
    with raises(AssertionError) as caught:
        query_tool("SELECT no_such FROM items")
    # It draws the line and the character of the position.
    assert "SQL state: 42703\\nCharacter: 8" in str(caught.error), str(caught.error)


@check()
def view_data_of_a_table():
    identifier = 8000001
    call("post", f"/sqleditor/initialize/viewdata/{identifier}/3/table/1/{known['server']}/{known['database']}/{known['table']}",
         {"user": tap.user(), "password": tap.password(), "dbname": tap.database()})
    call("get", f"/sqleditor/view_data/start/{identifier}")
    for _ in range(100):
        answer = call("get", f"/sqleditor/poll/{identifier}")["data"]
        if answer["status"] != "Busy":
            break
    equal((answer["status"], answer["primary_keys"]), ("Success", {"id": "int8"}))


@check()
def dashboard():
    server, database = known["server"], known["database"]
    for path in (f"/dashboard/dashboard_stats/{server}?chart_names=session_stats,tps_stats,ti_stats,to_stats,bio_stats",
                 f"/dashboard/dashboard_stats/{server}/{database}?chart_names=session_stats,tps_stats,ti_stats,to_stats,bio_stats",
                 f"/dashboard/activity/{server}", f"/dashboard/activity/{server}/{database}"):
        call("get", path)


@check()
def search_objects():
    answer = call("get", f"/search_objects/search/{known['server']}/{known['database']}?text=item&type=all")
    assert any("items" in str(found) for found in answer["data"]), answer


tap.run(f"pgAdmin {config.APP_VERSION}")
