"""No constant of a statement in a clear column of the logs: the whole corpus of tests/sql is run, every string constant with a canary at its end,
and what an auditor sees of it (who may open no text) is searched, before and after the records have gone into the data plane.

    clear_columns.py

What a user names is in clear by design and is left alone: application names, tags, and URLs of locations.
"""

import os
import re
import subprocess
import sys

from servers import ROOT, lakegate, work_folder

CANARY = "qzcanaryzq"
# Where names are written as strings.
NAMES = re.compile(r"application_name|SET\s+TAGS|UNSET\s+TAGS|LOCATION|COPY\b.*\b(FROM|TO)\s+'|search_path|ROLE\s+'|set_config|"
                   r"DateStyle|TimeZone|CONVERT TO DELTA", re.IGNORECASE)


def with_canaries(text):
    """Every plain '…' of a line, but for lines that name things by strings."""
    def line(one):
        return one if NAMES.search(one) or one.lstrip().startswith("\\") else re.sub(r"'((?:[^']|'')*)'", rf"'\1{CANARY}'", one)
    return "\n".join(line(one) for one in text.split("\n"))


def main():
    folder = work_folder("clear")
    server = lakegate(folder)
    server.sql("CREATE ROLE auditor LOGIN PASSWORD 'auditor-password'; GRANT lakegate_read_audit TO auditor;")
    environment = server.environment()
    sent = 0
    for file in sorted((ROOT / "tests" / "sql").rglob("*.sql")):
        text = file.read_text()
        for each in (text, with_canaries(text)):
            sent += each.count(CANARY)
            subprocess.run(["psql", "-X", "-q"], input=each, text=True, capture_output=True, env=environment, timeout=600)
    auditor = environment | {"PGUSER": "auditor", "PGPASSWORD": "auditor-password"}
    found = 0
    for place in ("in the catalog", "in the data plane"):
        for relation in ("system.query.history", "system.access.audit"):
            who = "executed_by" if "history" in relation else "actor"
            sql = (f"SELECT count(*), count(*) FILTER (WHERE row_to_json(r)::text LIKE '%{CANARY}%') FROM {relation} AS r WHERE {who} <> 'auditor'")
            answer = subprocess.run(["psql", "-X", "-q", "-At", "-c", sql], capture_output=True, text=True, env=auditor)
            if answer.returncode:
                sys.exit(answer.stderr)
            records, hits = map(int, answer.stdout.strip().split("|"))
            print(f"{place}: {relation}: {records} records, {hits} with a canary ({sent} were sent)")
            found += hits
            if hits:
                sql = f"SELECT row_to_json(r) FROM {relation} AS r WHERE {who} <> 'auditor' AND row_to_json(r)::text LIKE '%{CANARY}%' LIMIT 3"
                print(subprocess.run(["psql", "-X", "-q", "-At", "-c", sql], capture_output=True, text=True, env=auditor).stdout)
        server.sql("CALL lakegate.flush_logs('0 seconds');")
    # The search can find: whoever ran them sees the canaries in the texts.
    own = server.sql(f"SELECT count(*) FROM system.query.history WHERE statement_text LIKE '%{CANARY}%';", "-At")
    print(f"texts with a canary, as their own role sees them: {own.strip()}")
    if found or int(own) == 0:
        sys.exit("a constant is in a clear column" if found else "nothing was searched")


if __name__ == "__main__":
    main()
