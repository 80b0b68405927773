"""dbt's commands over project/, and what they leave in the warehouse."""

import json
import os
import shutil
import subprocess
import sys

import psycopg2
import tap
from tap import check, equal

PROJECT = tap.scratch("project")
shutil.copytree(os.path.join(os.path.dirname(os.path.abspath(__file__)), "project"), PROJECT)
DBT = os.path.join(os.path.dirname(sys.executable), "dbt")


def dbt(*arguments):
    done = subprocess.run([DBT, "--no-use-colors", *arguments, "--project-dir", PROJECT, "--profiles-dir", PROJECT],
                          capture_output=True, text=True, cwd=PROJECT, env={**os.environ, "DO_NOT_TRACK": "1"})
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        lines = done.stdout.splitlines()
        at = next((i for i, line in enumerate(lines) if "Error" in line or "FAIL" in line), max(len(lines) - 5, 0))
        raise AssertionError(" / ".join(line.strip() for line in lines[at:at + 5] if line.strip()) + done.stderr[-300:])
    return done.stdout


def nodes(*arguments):
    """Runs and tells the status of each node, however it went."""
    try:
        dbt(*arguments)
    except AssertionError:
        pass
    with open(os.path.join(PROJECT, "target", "run_results.json"), encoding="utf-8") as file:
        return {result["unique_id"].split(".")[2]: result for result in json.load(file)["results"]}


def node(results, name):
    assert results[name]["status"] in ("success", "pass"), " ".join((results[name]["message"] or "").split())


def query(statement):
    connection = psycopg2.connect("")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(statement)
    return cursor.fetchall() if cursor.description else None


@check()
def debug():
    dbt("debug")


@check()
def seed():
    dbt("seed")
    equal(query("SELECT count(*), sum(amount)::text, max(ordered_at)::text FROM shop.raw_orders"), [(4, "135.74", "2024-02-01 10:00:00")])


@check()
def seed_again():
    dbt("seed")
    dbt("seed", "--full-refresh")
    equal(query("SELECT count(*) FROM shop.raw_orders"), [(4,)])


def results_of_run(names, *arguments):
    results = nodes("run", "--select", *names, *arguments)
    for name in names:
        node(results, name)


@check()
def tables_and_views():
    results_of_run(["orders_view", "customers", "months"])
    equal(query("SELECT name, total::text FROM shop.customers ORDER BY customer_id"), [("Ada", "30.50"), ("Grace", "5.25"), ("Œdipe", "99.99")])


@check()
def tables_and_views_again():
    results_of_run(["orders_view", "customers", "months"])
    equal(query("SELECT month::text, paid::text FROM shop.months ORDER BY 1"), [("2024-01-01", "30.50"), ("2024-02-01", "99.99")])
    left = query("SELECT relname FROM pg_class WHERE relname LIKE '%\\_\\_dbt\\_%'")
    equal(left, [], "left behind")


@check()
def documentation_is_persisted():
    equal(query("SELECT obj_description('shop.customers'::regclass, 'pg_class'), col_description('shop.customers'::regclass, 1)"),
          [("who buys", "their number")])


@check()
def model_contract():
    results_of_run(["contracted"])


@check()
def data_tests():
    results = nodes("test", "--select", "test_type:data")
    assert len(results) == 7, results.keys()
    for name in results:
        node(results, name)


@check()
def unit_test():
    dbt("test", "--select", "test_type:unit")


def incremental(name, expected):
    results_of_run([name], "--full-refresh")
    query("UPDATE shop.raw_orders SET status = 'late' WHERE id = 4")
    query("INSERT INTO shop.raw_orders VALUES (5, 2, 7.00, '2024-02-02 10:00:00', 'open')")
    try:
        results_of_run([name])
        equal(query(f"SELECT id, status FROM shop.{name} ORDER BY id, status"), expected)
    finally:
        query("UPDATE shop.raw_orders SET status = 'paid' WHERE id = 4")
        query("DELETE FROM shop.raw_orders WHERE id = 5")


MERGED = [(1, "paid"), (2, "paid"), (3, "open"), (4, "late"), (5, "open")]


@check()
def incremental_append():
    incremental("incremental_append", [(1, "paid"), (2, "paid"), (3, "open"), (4, "late"), (4, "paid"), (5, "open")])


@check()
def incremental_delete_and_insert():
    incremental("incremental_delete_insert", MERGED)


@check()
def incremental_merge():
    incremental("incremental_merge", MERGED)


@check()
def incremental_microbatch():
    results_of_run(["incremental_microbatch"], "--event-time-start", "2024-01-01", "--event-time-end", "2024-03-01")
    results_of_run(["incremental_microbatch"], "--event-time-start", "2024-02-01", "--event-time-end", "2024-03-01")
    equal(query("SELECT count(*) FROM shop.incremental_microbatch"), [(4,)])


@check()
def incremental_new_column():
    results_of_run(["incremental_new_column"], "--full-refresh")
    results_of_run(["incremental_new_column"])
    equal(query("SELECT count(*), count(status) FROM shop.incremental_new_column"), [(4, 4)])


@check()
def materialized_view():
    results_of_run(["status_counts"])
    results_of_run(["status_counts"])
    equal(query("SELECT status, n FROM shop.status_counts ORDER BY 1"), [("open", 1), ("paid", 3)])


def snapshot(name):
    results = nodes("snapshot", "--select", name)
    node(results, name)
    query("UPDATE shop.raw_orders SET status = 'paid', ordered_at = '2024-03-01' WHERE id = 3")
    try:
        node(nodes("snapshot", "--select", name), name)
        equal(query(f"SELECT count(*), count(dbt_valid_to) FROM shop.{name}"), [(5, 1)])
    finally:
        query("UPDATE shop.raw_orders SET status = 'open', ordered_at = '2024-01-03 10:00:00' WHERE id = 3")


@check()
def snapshot_by_check():
    snapshot("order_states")


@check()
def snapshot_by_timestamp():
    snapshot("order_times")


@check()
def source_freshness():
    dbt("source", "freshness")


@check()
def docs_generate():
    dbt("docs", "generate")
    with open(os.path.join(PROJECT, "target", "catalog.json"), encoding="utf-8") as file:
        catalog = json.load(file)
    customers = catalog["nodes"]["model.shop.customers"]
    equal((customers["metadata"]["type"], list(customers["columns"])[:3]), ("BASE TABLE", ["customer_id", "name", "country"]))


@check()
def show():
    assert "Œdipe" in dbt("show", "--select", "customers", "--limit", "5")
    assert "42" in dbt("show", "--inline", "select 42 as answer")


@check()
def a_role_is_granted():
    query("CREATE ROLE dbt_reader")
    try:
        path = os.path.join(PROJECT, "models", "granted.sql")
        with open(path, "w", encoding="utf-8") as file:
            file.write("{{ config(materialized='table', grants={'select': ['dbt_reader']}) }} select 1 as a")
        results_of_run(["granted"])
        results_of_run(["granted"])
        equal(query("SELECT has_table_privilege('dbt_reader', 'shop.granted', 'SELECT')"), [(True,)])
    finally:
        query("DROP TABLE IF EXISTS shop.granted")
        query("DROP ROLE dbt_reader")


@check()
def run_operation():
    os.makedirs(os.path.join(PROJECT, "macros"), exist_ok=True)
    with open(os.path.join(PROJECT, "macros", "drop_it.sql"), "w", encoding="utf-8") as file:
        file.write("{% macro drop_it() %}{% do run_query('drop table if exists shop.contracted') %}{% endmacro %}")
    dbt("run-operation", "drop_it")
    equal(query("SELECT to_regclass('shop.contracted')"), [(None,)])


tap.run("dbt-core 1.10.23, dbt-postgres 1.11.0")
