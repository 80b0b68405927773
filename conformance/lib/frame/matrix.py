"""docs/clients.md: which client was seen to work, with what."""

import datetime
import re

from .client import Client, names

HEAD = """# Clients

What `conformance/run --publish` measured: real clients and tools, each against a Lakegate that was started for them, over TLS with
a verified certificate and a password. Each check of a client passes against PostgreSQL 15 too (`conformance/run --reference`).
A known gap is a check that fails on Lakegate, with the reason. What a check does stands in its folder under
[conformance/](../conformance). This page is written by the program: change it there.

"""
TABLE = """| client | version | passed | failed | known gaps |
|---|---|---|---|---|
"""
FOOT = """
## Not measured

These cannot be installed where the tests run. What they are known to send is tested instead, each statement on Lakegate and on
PostgreSQL 15, which have to answer alike: questions to the catalogs in
[client_queries.sql](../tests/introspection/client_queries.sql), everything else in [bi_tools.sql](../tests/sql/logic/bi_tools.sql).
That is less than a run of the program.

| client | its driver | measured above |
|---|---|---|
| Power BI, Excel | Npgsql | no .NET driver |
| Tableau | psqlODBC or pgjdbc | odbc, pgjdbc |
| DBeaver, DataGrip | pgjdbc | pgjdbc |
| Metabase, Looker, QuickSight, Domo | pgjdbc | pgjdbc |
| Grafana | lib/pq, pgx | go |
| Sigma, Hex, Mode and other services | node-postgres, psycopg, pgjdbc | node-pg, psycopg2, psycopg3, pgjdbc |
"""
ROW = re.compile(r"\| (\S+) \| (.*) \| (\d+) \| (\d+) \| (\d+) \|")


def publish(conformance, results, server):
    """Replaces the rows of the clients that ran; the others stay as they were measured. `server`: its name and version."""
    path = conformance.parent / "docs" / "clients.md"
    rows = {}
    if path.exists():
        rows = {found[1]: found[0] for found in map(ROW.fullmatch, path.read_text().splitlines()) if found}
    for result in results:
        if result.skipped is None:
            counts = f"{len(result.passed)} | {len(result.unexpected)} | {len(result.known)}"
            rows[result.name] = f"| {result.name} | {result.version.replace('|', '/')} | {counts} |"
    existing = names(conformance)
    shown = [rows[name] for name in existing if name in rows]
    ran = {result.name for result in results if result.skipped is None}
    when = datetime.datetime.now(datetime.timezone.utc).date()
    scope = "all" if ran.issuperset(existing) else f"of them {len(ran)}"
    text = HEAD + f"Last written on {when}: {len(shown)} clients, {scope} run with {server}.\n\n" + TABLE
    text += "".join(row + "\n" for row in shown)
    gaps = [(name, check, reason) for name in existing for check, reason in Client(conformance / name).gaps().items()]
    if gaps:
        text += "\n## Known gaps\n\n| client | check | reason |\n|---|---|---|\n"
        text += "".join(f"| {name} | {check} | {reason.replace('|', '/')} |\n" for name, check, reason in gaps)
    path.write_text(text + FOOT)
