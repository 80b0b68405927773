"""Twelve attacks among ordinary work, through real clients (psycopg, psql), against the rules that come with the program.

    attack_replay.py        REPLAY_STATEMENTS=20000 (statements in all), REPLAY_WORKERS=6 (ordinary clients at a time)

Each client comes from an address of its own (a relay binds 127.0.x.y). Every attack has to be in system.access.findings within a minute of its
last act, under its actor's name; findings about anybody else are false and are counted. Ends with an error where an attack was missed.
"""

import os
import pathlib
import random
import select
import socket
import subprocess
import sys
import threading
import time

import psycopg

from servers import PASSWORD, ROOT, lakegate, work_folder

STATEMENTS = int(os.environ.get("REPLAY_STATEMENTS", "20000"))
WORKERS = int(os.environ.get("REPLAY_WORKERS", "6"))
FOUND_WITHIN = 60
# The rules' own minute, the round itself, and the ends of statements that are written behind.
WAIT = 180
BENIGN = ["dash_sales", "dash_ops", "etl_orders", "app_shop", "ana_ines", "ana_otto", "rep_month", "sci_kay"]


class Relay:
    """Takes connections on a port of its own and passes them on from another address."""

    def __init__(self, address, port):
        self.address, self.target = address, port
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.pump, args=(client,), daemon=True).start()

    def pump(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target), source_address=(self.address, 0))
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    try:
                        data = ready.recv(65536)
                        if not data:
                            return
                        (server if ready is client else client).sendall(data)
                    except OSError:
                        return


class Host:
    """A machine of one actor."""

    def __init__(self, server, address):
        self.address, self.relay = address, Relay(address, server.port)

    def connect(self, user, password, application, database="demo"):
        return psycopg.connect(host="127.0.0.1", port=self.relay.port, user=user, password=password, dbname=database, sslmode="require",
                               application_name=application, autocommit=True, prepare_threshold=5)

    def fails(self, user, password):
        try:
            self.connect(user, password, "client").close()
        except psycopg.OperationalError:
            return
        sys.exit(f"{user} came in with a wrong password")

    def psql(self, user, password, text, application="psql"):
        environment = os.environ | {"PGHOST": "127.0.0.1", "PGPORT": str(self.relay.port), "PGUSER": user, "PGPASSWORD": password,
                                    "PGDATABASE": "demo", "PGSSLMODE": "require", "PGAPPNAME": application}
        subprocess.run(["psql", "-X", "-q"], input=text, text=True, capture_output=True, env=environment)


class Count:
    def __init__(self):
        self.lock, self.value = threading.Lock(), 0

    def add(self, number=1):
        with self.lock:
            self.value += number


done = Count()
failed = Count()


def run(connection, text, parameters=None):
    """Whether it succeeded."""
    done.add()
    try:
        cursor = connection.execute(text, parameters)
        if cursor.description:
            cursor.fetchall()
        return True
    except psycopg.Error:
        return False


# ---------------------------------------------------------------- ordinary work

def ordinary(server, worker, until):
    """Sessions of changing roles, each from its own machine: point queries, reports, inserts, a wrong password now and then."""
    chance = random.Random(worker)
    hosts = {role: Host(server, f"127.1.{number}.{worker + 1}") for number, role in enumerate(BENIGN) if number % WORKERS == worker}
    while not until():
        for role, host in hosts.items():
            if chance.random() < 0.02:
                host.fails(role, "mistyped")
                time.sleep(1)
            with host.connect(role, "benign-" + role, role.split("_")[0]) as connection:
                for _ in range(chance.randrange(40, 120)):
                    if until():
                        return
                    statement, parameters = work_of(role, chance)
                    if not run(connection, statement, parameters):
                        failed.add()


def work_of(role, chance):
    key = chance.randrange(1, 2000)
    if role.startswith("etl"):
        return ("INSERT INTO loads (id, note) VALUES (%s, %s)", (key, "batch")) if chance.random() < 0.05 else \
            ("SELECT count(*) FROM loads WHERE id < %s", (key,))
    if role.startswith("ana") and chance.random() < 0.1:
        return "SELECT relname FROM pg_catalog.pg_class WHERE relname = %s", ("orders",)
    return chance.choice([
        ("SELECT 1", None),
        ("SELECT * FROM orders WHERE order_id = %s", (key,)),
        ("SELECT count(*), max(order_id) FROM orders WHERE order_id > %s", (key,)),
        ("SELECT status, count(*) FROM orders GROUP BY status", None),
        ("SELECT o.order_id FROM orders o WHERE o.order_id BETWEEN %s AND %s", (key, key + 20)),
        ("SHOW search_path", None),
    ])


# ---------------------------------------------------------------- the attacks

def brute_force(host, _):
    for number in range(11):
        host.fails("victim_a", f"guess{number}")


def spray(host, _):
    for number in range(6):
        host.fails(f"nobody_{number}", "Winter2026")


def burst_then_success(host, _):
    for number in range(6):
        host.fails("victim_b", f"guess{number}")
    host.connect("victim_b", "hostile-victim_b", "client").close()


def enumeration(host, password):
    with host.connect("mallory_enum", password, "recon") as connection:
        for table in ["pg_class", "pg_namespace", "pg_attribute", "pg_roles", "pg_database", "pg_tables", "pg_views", "pg_proc", "pg_type"]:
            for _ in range(5):
                run(connection, f"SELECT count(*) FROM pg_catalog.{table}")


def denials(host, password):
    with host.connect("mallory_deny", password, "client") as connection:
        for number in range(12):
            run(connection, f"SELECT {', '.join(['*'] * (number % 4 + 1))} FROM demo.security.events LIMIT 1")


def export(host, password):
    host.psql("mallory_copy", password, "COPY (SELECT customer_id, email FROM customers) TO STDOUT;")
    done.add()


def staged(host, password):
    host.psql("mallory_stage", password, "CREATE TABLE stage_x AS SELECT customer_id, email FROM customers;\nCOPY stage_x TO STDOUT;")
    done.add(2)


def destruction(host, password):
    with host.connect("mallory_drop", password, "client") as connection:
        for number in range(6):
            run(connection, f"CREATE TABLE junk_{number} AS SELECT 1 AS a")
            run(connection, f"DROP TABLE junk_{number}")


def administrator(host, password):
    with host.connect("mallory_root", password, "client") as connection:
        run(connection, "CREATE ROLE backdoor LOGIN SUPERUSER PASSWORD 'backdoor-password'")


def escalation(host, password):
    with host.connect("mallory_esc", password, "client") as connection:
        run(connection, "GRANT SELECT ON customers TO mallory_esc")
        run(connection, "SELECT email FROM customers LIMIT 5")
        run(connection, "REVOKE SELECT ON customers FROM mallory_esc")


def throwaway(host, password):
    with host.connect("mallory_temp", password, "client") as connection:
        run(connection, "CREATE ROLE temp_account LOGIN PASSWORD 'temp-password'")
        run(connection, "GRANT CONNECT ON DATABASE demo TO temp_account")
        host.connect("temp_account", "temp-password", "client").close()
        run(connection, "REVOKE CONNECT ON DATABASE demo FROM temp_account")
        run(connection, "DROP ROLE temp_account")


def cover_up(host, password):
    with host.connect("mallory_log", password, "client") as connection:
        run(connection, "ALTER DETECTION mass_read DISABLE")


# name, act, role (None: no login of its own), rule, actor in the finding (None: the address)
ATTACKS = [
    ("a password guessed, role by role", brute_force, "victim_a", "brute_force_by_role", "victim_a"),
    ("one password for many roles", spray, None, "password_spray", None),
    ("failures, then in", burst_then_success, "victim_b", "failed_burst_then_success", "victim_b"),
    ("catalogs enumerated", enumeration, "mallory_enum", "schema_enumeration", "mallory_enum"),
    ("closed doors tried", denials, "mallory_deny", "repeated_denials", "mallory_deny"),
    ("tagged columns copied out", export, "mallory_copy", "export_of_tagged_columns", "mallory_copy"),
    ("staged, then copied out", staged, "mallory_stage", "staged_export", "mallory_stage"),
    ("tables destroyed", destruction, "mallory_drop", "destructive_activity", "mallory_drop"),
    ("a second administrator", administrator, "mallory_root", "administrator_made", "mallory_root"),
    ("granted, read, revoked", escalation, "mallory_esc", "privilege_escalation_sequence", "mallory_esc"),
    ("an account made, used, dropped", throwaway, "mallory_temp", "account_made_used_dropped", "temp_account"),
    ("a detection disabled", cover_up, "mallory_log", "audit_configuration_changed", "mallory_log"),
]
# What an attack sets off besides its own rule.
ALSO = {"mallory_stage": {"export_of_tagged_columns", "first_access_to_tagged_data"}, "mallory_esc": {"self_grant"},
        "victim_b": set(), "mallory_copy": {"first_access_to_tagged_data"}}
SUPERUSERS = {"mallory_root", "mallory_temp", "mallory_log", "mallory_esc"}


def roles(server):
    statements = ["CREATE TABLE loads (id int, note text)"]
    for role in BENIGN:
        statements += [f"CREATE ROLE {role} LOGIN PASSWORD 'benign-{role}'"]
    statements += [f"GRANT SELECT ON orders TO {', '.join(BENIGN)}", "GRANT SELECT, INSERT ON loads TO etl_orders"]
    for _, _, role, _, _ in ATTACKS:
        if role:
            statements.append(f"CREATE ROLE {role} LOGIN PASSWORD 'hostile-{role}'")
    statements += ["GRANT SELECT ON customers TO mallory_copy, mallory_stage", "GRANT CREATE ON SCHEMA public TO mallory_stage, mallory_drop"]
    server.sql(";\n".join(statements) + ";\n", "-d", "demo")
    # By its own hand, before anything is watched for: who may do it is no part of the replay.
    return sorted(SUPERUSERS)


def main():
    folder = work_folder("replay")
    server = lakegate(folder, "--demo")
    supers = roles(server)
    server.sql("".join(f"ALTER ROLE {role} SUPERUSER;\n" for role in supers))
    ends = threading.Event()
    begun = time.time()
    workers = [threading.Thread(target=ordinary, args=(server, number, ends.is_set), daemon=True) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    acted = {}
    for number, (name, act, role, _, _) in enumerate(ATTACKS):
        # Spread over the run.
        while done.value < STATEMENTS * (number + 1) // (len(ATTACKS) + 2) and any(worker.is_alive() for worker in workers):
            time.sleep(0.05)
        host = Host(server, f"127.9.{number + 1}.1")
        act(host, f"hostile-{role}" if role else None)
        acted[name] = (time.time(), host.address)
    while done.value < STATEMENTS and any(worker.is_alive() for worker in workers):
        time.sleep(0.05)
    ends.set()
    for worker in workers:
        worker.join(30)
    took = time.time() - begun
    report(server, acted, took)


def report(server, acted, took):
    admin = psycopg.connect(host="127.0.0.1", port=server.port, user="admin", password=PASSWORD, dbname="main", sslmode="require", autocommit=True)
    query = "SELECT detection, actor, extract(epoch FROM found_time)::float8 FROM system.access.findings ORDER BY found_time"
    end = time.time() + WAIT
    while True:
        findings = admin.execute(query).fetchall()
        expected = {(rule, actor or acted[name][1]) for name, _, _, rule, actor in ATTACKS}
        if expected <= {(rule, actor) for rule, actor, _ in findings} or time.time() > end:
            break
        time.sleep(1)
    statements, = admin.execute("SELECT count(*) FROM system.query.history").fetchone()
    lines = [f"{done.value} statements sent, {statements} in the history, {failed.value} ordinary ones failed, in {took:.0f} s "
             f"({done.value / took:.0f}/s)", "", "| attack | rule | found after, s |", "|---|---|---|"]
    missed = late = 0
    for name, _, _, rule, actor in ATTACKS:
        at, address = acted[name]
        found = [time_found for known, who, time_found in findings if (known, who) == (rule, actor or address)]
        missed += not found
        late += bool(found) and found[0] - at > FOUND_WITHIN
        lines.append(f"| {name} | {rule} | {f'{found[0] - at:.0f}' if found else 'not found'} |")
    hostile = {actor or acted[name][1] for name, _, _, _, actor in ATTACKS} | {role for _, _, role, _, _ in ATTACKS if role}
    hostile |= {address for _, address in acted.values()} | {"backdoor"}
    false = [(rule, actor) for rule, actor, _ in findings if actor not in hostile]
    own = [(rule, actor) for rule, actor, _ in findings if actor == "admin"]
    benign = [finding for finding in false if finding not in own]
    lines += ["", f"missed: {missed}; later than {FOUND_WITHIN} s: {late}; findings in all: {len(findings)}",
              f"false findings about ordinary roles and their addresses: {len(benign)} {benign or ''}",
              f"findings about the administrator who set the replay up: {len(own)} {sorted(set(rule for rule, _ in own)) or ''}"]
    print("\n".join(lines))
    target = ROOT / "target" / "bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "attack_replay.md").write_text("\n".join(lines) + "\n")
    if missed:
        sys.exit("an attack was not found")


if __name__ == "__main__":
    main()
