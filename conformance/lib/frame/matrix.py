"""docs/clients.md: which client was seen to work, with what."""

import re

from .client import Client, names

HEAD = """# Clients

What `conformance/run --publish` measured: real clients and tools, each against a Lakegate that was started for them, over TLS with
a verified certificate and a password. Each check of a client passes against PostgreSQL 15 too (`conformance/run --reference`).
A known gap is a check that fails on Lakegate, with the reason. What a check does stands in its folder under
[conformance/](../conformance).

| client | version | passed | failed | known gaps |
|---|---|---|---|---|
"""
ROW = re.compile(r"\| (\S+) \| (.*) \| (\d+) \| (\d+) \| (\d+) \|")


def publish(conformance, results):
    """Replaces the rows of the clients that ran; the others stay as they were measured."""
    path = conformance.parent / "docs" / "clients.md"
    rows = {}
    if path.exists():
        rows = {found[1]: found[0] for found in map(ROW.fullmatch, path.read_text().splitlines()) if found}
    for result in results:
        if result.skipped is None:
            counts = f"{len(result.passed)} | {len(result.unexpected)} | {len(result.known)}"
            rows[result.name] = f"| {result.name} | {result.version.replace('|', '/')} | {counts} |"
    existing = names(conformance)
    text = HEAD + "".join(rows[name] + "\n" for name in existing if name in rows)
    gaps = [(name, check, reason) for name in existing for check, reason in Client(conformance / name).gaps().items()]
    if gaps:
        text += "\n## Known gaps\n\n| client | check | reason |\n|---|---|---|\n"
        text += "".join(f"| {name} | {check} | {reason.replace('|', '/')} |\n" for name, check, reason in gaps)
    path.write_text(text)
