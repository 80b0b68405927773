"""SQLMesh: a project planned, applied, run, audited and changed; its state lives in the warehouse too."""

import datetime as dt
import os

os.environ.update({"SQLMESH__DISABLE_ANONYMIZED_ANALYTICS": "true", "HOME": os.environ["CONFORMANCE_SCRATCH"]})

import psycopg2  # noqa: E402
import sqlmesh  # noqa: E402
import tap  # noqa: E402
from sqlmesh import Context  # noqa: E402
from tap import check, equal  # noqa: E402

ROOT = tap.scratch("project")
FILES = {
    "config.yaml": f"""
gateways:
  lake:
    connection:
      type: postgres
      host: {tap.host()}
      port: {tap.port()}
      user: {tap.user()}
      password: "{tap.password()}"
      database: {tap.database()}
      sslmode: {os.environ.get('PGSSLMODE', 'prefer')}
default_gateway: lake
model_defaults:
  dialect: postgres
  start: 2024-01-01
""",
    "seeds/orders.csv": "id,customer,amount,day\n1,a,10.5,2024-01-01\n2,a,20,2024-01-02\n3,b,5.25,2024-01-03\n",
    "models/orders.sql": "MODEL (name shop.orders, kind SEED (path '../seeds/orders.csv'), columns (id INT, customer TEXT, amount NUMERIC(10,2), day DATE));",
    "models/totals.sql": "MODEL (name shop.totals, kind FULL, audits (not_null(columns := (customer)), positive));\n"
                         "SELECT customer, SUM(amount) AS total FROM shop.orders GROUP BY customer;",
    "models/daily.sql": "MODEL (name shop.daily, kind INCREMENTAL_BY_TIME_RANGE (time_column day), cron '@daily');\n"
                        "SELECT day, COUNT(*)::INT AS n FROM shop.orders WHERE day BETWEEN @start_date AND @end_date GROUP BY day;",
    "models/latest.sql": "MODEL (name shop.latest, kind INCREMENTAL_BY_UNIQUE_KEY (unique_key customer));\n"
                         "SELECT customer, MAX(day) AS day FROM shop.orders GROUP BY customer;",
    "models/shown.sql": "MODEL (name shop.shown, kind VIEW);\nSELECT customer, total FROM shop.totals WHERE total > 6;",
    "audits/positive.sql": "AUDIT (name positive);\nSELECT * FROM @this_model WHERE total < 0;",
    "tests/test_totals.yaml": "test_totals:\n  model: shop.totals\n  inputs:\n    shop.orders:\n      rows:\n      - {id: 1, customer: a, amount: 1}\n"
                              "      - {id: 2, customer: a, amount: 2}\n  outputs:\n    query:\n      rows:\n      - {customer: a, total: 3}\n",
}
for name, text in FILES.items():
    path = os.path.join(ROOT, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def context():
    return Context(paths=ROOT)


def query(statement):
    connection = psycopg2.connect("")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(statement)
    return cursor.fetchall()


@check()
def plan_and_apply():
    context().plan(auto_apply=True, no_prompts=True, skip_tests=True)
    equal(query("SELECT customer, total::text FROM shop.totals ORDER BY 1"), [("a", "30.50"), ("b", "5.25")])


@check()
def every_kind_of_model():
    equal(query("SELECT count(*), sum(n) FROM shop.daily"), [(3, 3)])
    equal(query("SELECT customer, day FROM shop.latest ORDER BY 1"), [("a", dt.date(2024, 1, 2)), ("b", dt.date(2024, 1, 3))])
    equal(query("SELECT customer FROM shop.shown"), [("a",)])


@check()
def plan_again_changes_nothing():
    assert not context().plan(auto_apply=True, no_prompts=True, skip_tests=True).has_changes


@check()
def fetch_a_frame():
    equal(len(context().fetchdf("SELECT * FROM shop.totals")), 2)


@check()
def audit():
    context().audit(start="2024-01-01", end="2024-02-01")


@check()
def unit_tests():
    assert context().test().wasSuccessful()


@check()
def a_change_in_a_virtual_environment():
    path = os.path.join(ROOT, "models/totals.sql")
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n")
    with open(path, encoding="utf-8") as file:
        text = file.read().replace("SUM(amount) AS total", "SUM(amount) AS total, COUNT(*)::INT AS n")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    context().plan("dev", auto_apply=True, no_prompts=True, skip_tests=True, include_unmodified=True)
    equal(query("SELECT customer, n FROM shop__dev.totals ORDER BY 1"), [("a", 2), ("b", 1)])
    context().plan(auto_apply=True, no_prompts=True, skip_tests=True)
    equal(query("SELECT customer, n FROM shop.totals ORDER BY 1"), [("a", 2), ("b", 1)])


@check()
def run_and_janitor():
    context().run(ignore_cron=True)
    context().invalidate_environment("dev", sync=True)
    context().run_janitor(ignore_ttl=True)
    equal(query("SELECT to_regclass('shop__dev.totals')"), [(None,)])


tap.run(f"SQLMesh {sqlmesh.__version__}")
