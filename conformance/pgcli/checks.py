"""pgcli: its completion metadata, its backslash commands, and the program itself on a pseudo terminal."""

import os
import pty
import select
import sys
import time

import pgcli
import psycopg
import tap
from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial
from tap import check, equal, raises

EXTRA = {"sslmode": os.environ.get("PGSSLMODE", "prefer"), **({"sslrootcert": tap.certificate()} if tap.certificate() else {})}


def connect():
    return PGExecute(tap.database(), tap.user(), tap.password(), tap.host(), str(tap.port()), **EXTRA)


def run(statement):
    return [(title, list(rows) if rows else rows, headers, status, sql, success)
            for title, rows, headers, status, sql, success, _ in connect().run(statement, PGSpecial())]


@check()
def statements():
    run("CREATE TABLE fruits (id integer PRIMARY KEY, name text NOT NULL)")
    run("CREATE VIEW sweet AS SELECT * FROM fruits")
    equal(run("SELECT 1 AS a, 'x' AS b")[0][1], [(1, "x")])


@check()
def completion_metadata():
    executor = connect()
    assert "public" in executor.schemata()
    assert ("public", "fruits") in list(executor.tables())
    assert ("public", "sweet") in list(executor.views())
    columns = [(column[1], column[2], column[3]) for column in executor.table_columns()]
    assert ("fruits", "id", "integer") in columns and ("fruits", "name", "text") in columns, columns
    assert any(column[1] == "sweet" for column in executor.view_columns())
    assert tap.database() in executor.databases()
    assert list(executor.functions()) is not None
    assert list(executor.datatypes()) is not None
    equal(list(executor.foreignkeys()), [])
    assert "public" in executor.search_path()
    executor.casing()


@check()
def backslash_commands():
    failures = []
    for command in ["\\d", "\\dt", "\\dv", "\\d fruits", "\\d+ fruits", "\\dn", "\\du", "\\l", "\\df", "\\di", "\\ds", "\\dT", "\\dx", "\\dp", "\\db",
                    "\\dt+", "\\l+", "\\ddp", "\\dm", "\\dD"]:
        try:
            for title, rows, headers, status, sql, success in run(command):
                if not success:
                    failures.append(f"{command}: {status}")
        except Exception as error:
            failures.append(f"{command}: {tap.one_line(error)}")
    assert not failures, "; ".join(failures)
    assert any("fruits" in str(row) for row in run("\\dt")[0][1])


@check()
def errors():
    with raises(psycopg.errors.UndefinedTable, "42P01"):
        run("SELECT * FROM no_such")


@check()
def the_program_on_a_terminal():
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", PAGER="cat", HOME=os.environ["CONFORMANCE_SCRATCH"])
        os.execv(os.path.join(os.path.dirname(sys.executable), "pgcli"), ["pgcli", "--less-chatty", "--no-password", tap.url()])
    seen = b""

    def until(text, limit=60):
        nonlocal seen
        end = time.monotonic() + limit
        while text not in seen:
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"waited for {text!r}, saw {seen[-500:]!r}"
            data = os.read(terminal, 65536)
            seen += data
            if b"\x1b[6n" in data:
                os.write(terminal, b"\x1b[1;1R")

    until(tap.database().encode())
    os.write(terminal, b"SELECT 6 * 7 AS answer;\r")
    until(b"42")
    os.write(terminal, b"\\q\r")
    os.close(terminal)
    os.waitpid(pid, 0)


tap.run(f"pgcli {pgcli.__version__}")
