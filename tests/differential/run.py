"""Random queries on Lakegate and on PostgreSQL with equal data: answers must be the same.

    run.py --lakegate URI --postgres URI [--from SEED] [--count N] [--known FILE]

Each query is of a seed. A difference is told with its seed and both answers; differences that a line of the file of known ones explains (a
regular expression over the query, a tab, why; `error:` before it: where one of the two fails for the data's sake) are counted by reason. Exits with 1 where one is not explained."""

import argparse
import pathlib
import re
import sys
from collections import Counter

import psycopg

from generator import COLUMNS, TABLES, Generator

ROWS = """
(1, 1, 10, 100, 1.5, 0.5, 2.5, 'abc', 'abc', true, '2024-02-29', '2024-02-29 12:34:56.789', '2024-03-31 00:30:00+00', '1 day', '12:34:56', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff', '{1,2,3}', '{a,b}', '{"a": 1, "b": [1, 2]}'),
(2, 2, -1, -5, -2.25, 1e10, -1.5, 'Abc def', 'x,y', false, '1999-12-31', '1999-12-31 23:59:59', '1999-12-31 23:00:00+00', '-1 mon 2 days', '00:00', '00000000-0000-0000-0000-000000000000', '', '{}', '{}', '[1, "two", 3.5]'),
(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(4, 32767, 2147483647, 9223372036854775807, 123456.789, -0.25, 0.1, '', '', true, '2000-01-01', '2000-01-01', '2000-01-01 00:00:00+00', '01:02:03.5', '23:59:59.999', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'abc', '{4,NULL,6}', '{x,NULL,"y z"}', 'null'),
(5, -7, 0, 0, 0, 0, 0, '10', '10', false, '0004-03-01', '1969-12-31 23:59:59.5', '1969-12-31 23:59:59+00', '1 year 2 mons', '12:00', '12345678-1234-1234-1234-123456789abc', '\\x01', '{7}', '{""}', '{"a": "x", "c": null}'),
(6, 1, 10, 7, 1.5, 0.5, 2.5, 'abc', 'ABC', NULL, '2024-02-29', '2024-01-31 00:00:00', '2024-10-27 00:30:00+00', '30 days', '06:30', NULL, NULL, '{3,2,1}', '{b,a}', '"s"'),
(7, 100, 42, 10000000000, 0.001, 3.141592653589793, 3.25, 'ünï', 'ü', true, NULL, '2024-12-31 23:59:59.999999', NULL, '-00:00:01', NULL, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\xdeadbeef', NULL, '{ünï}', '{}'),
(8, 0, -2147483648, -9223372036854775808, -0.5, -1e-5, 100, E'x,y,z\\n', 'b', false, '2024-12-30', NULL, '2024-06-15 12:00:00+00', '0', '01:02:03', NULL, 'x', '{1}', NULL, NULL)
"""


def prepare(connection):
    columns = ", ".join(f"{name} {data_type}" for name, data_type in COLUMNS.items())
    for number, table in enumerate(TABLES):
        execute(connection, f"DROP TABLE IF EXISTS {table}")
        execute(connection, f"CREATE TABLE {table} (id integer, {columns})")
        execute(connection, f"INSERT INTO {table} VALUES {ROWS}")
        # Unlike each other, in ways that all servers agree upon.
        if number == 1:
            execute(connection, f"DELETE FROM {table} WHERE id > 5")
            execute(connection, f"INSERT INTO {table} SELECT * FROM {TABLES[0]} WHERE id IN (1, 2)")
        if number == 2:
            execute(connection, f"DELETE FROM {table} WHERE id IN (1, 3)")
            execute(connection, f"UPDATE {table} SET i4 = id, t = t || 'x' WHERE id > 4")


def execute(connection, sql):
    result = connection.pgconn.exec_(sql.encode())
    if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
        raise SystemExit(f"{sql}: {result.error_message.decode()}")


def answer(connection, sql, is_ordered):
    """("rows", …) or ("error", SQLSTATE)."""
    result = connection.pgconn.exec_(sql.encode())
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        return "error", (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"").decode(), result.error_message.decode().strip()
    types = tuple(result.ftype(at) for at in range(result.nfields))
    rows = [tuple(result.get_value(row, at) for at in range(result.nfields)) for row in range(result.ntuples)]
    if not is_ordered:
        rows.sort(key=lambda row: [(value is None, value or b"") for value in row])
    return "rows", types, rows


def same(expected, came):
    if expected[0] != came[0]:
        return False
    # Which of several mistakes is met first is nobody's promise: the class must be the same.
    return expected[1][:2] == came[1][:2] if expected[0] == "error" else expected[1:] == came[1:]


def known_differences(path):
    known = []
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            pattern, reason = line.split("\t")
            of_errors = pattern.startswith("error:")
            known.append((re.compile(pattern.removeprefix("error:")), of_errors, reason))
    return known


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lakegate", required=True)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--known", type=pathlib.Path, default=pathlib.Path(__file__).with_name("known.tsv"))
    parser.add_argument("--show", type=int, default=20, help="differences to print whole")
    arguments = parser.parse_args()
    lakegate, postgres = (psycopg.connect(uri, autocommit=True) for uri in (arguments.lakegate, arguments.postgres))
    for connection in (lakegate, postgres):
        for setting in ("TimeZone = 'UTC'", "IntervalStyle = 'postgres'", "statement_timeout = '20s'", "extra_float_digits = 1"):
            execute(connection, f"SET {setting}")
        prepare(connection)
    known = known_differences(arguments.known) if arguments.known.exists() else []
    reasons, errors, unexplained = Counter(), 0, 0
    for seed in range(arguments.first, arguments.first + arguments.count):
        sql, is_ordered = Generator(seed).statement()
        expected, came = answer(postgres, sql, is_ordered), answer(lakegate, sql, is_ordered)
        errors += expected[0] == "error"
        if same(expected, came):
            continue
        # Of the data alone: whether a value that nobody needs is looked at.
        is_error = all(answer[0] == "rows" or answer[1][:2] == "22" for answer in (expected, came)) and expected[0] != came[0]
        reason = next((reason for pattern, of_errors, reason in known if pattern.search(sql) and (is_error or not of_errors)), None)
        if reason:
            reasons[reason] += 1
            continue
        unexplained += 1
        if unexplained <= arguments.show:
            print(f"-- seed {seed}\n{sql}\n  postgres {str(expected)[:600]}\n  lakegate {str(came)[:600]}", flush=True)
    print(f"{arguments.count} queries, {errors} of them errors in PostgreSQL; {unexplained} differences that nobody explains")
    for reason, count in reasons.most_common():
        print(f"  {count} known: {reason}")
    sys.exit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
