"""What the clients talk to: a Lakegate, a PostgreSQL 15 or a server that runs already."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
READY_LIMIT_S = 90


class Target:
    """An address, with the PG* variables that lead there."""

    def __init__(self, scratch, environment, has_gaps, log=None, process=None):
        self.scratch = scratch
        self.environment = environment
        # PostgreSQL has none.
        self.has_gaps = has_gaps
        self._log = log
        self._process = process

    def database_of(self, client):
        """Makes the client's database: no client sees what another left."""
        name = "client_" + client.replace("-", "_")
        for statement in (f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"'):
            self._psql(statement)
        return {**self.environment, "PGDATABASE": name}

    @property
    def version(self):
        """Of the Lakegate that ran."""
        done = subprocess.run([self._process.args[0], "--version"], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def faults(self):
        """What no client should be able to do to a server."""
        faults = []
        if self._process and self._process.poll() is not None:
            faults.append(f"it ended with {self._process.returncode} while clients ran")
        if self._log:
            text = self._log.read_text(errors="replace")
            faults += [f"in its log: {line}" for line in text.splitlines() if "panicked" in line or "PANIC:" in line][:5]
        return faults

    def _psql(self, statement):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement],
                              env={**os.environ, **self.environment}, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"conformance: {statement}: {done.stderr.strip()}")


@contextlib.contextmanager
def start(options):
    scratch = Path(tempfile.mkdtemp(prefix="lakegate-conformance-"))
    # The reference drops its rights to a user who must be able to get in.
    scratch.chmod(0o755)
    kind = _external if options.external else _postgres if options.reference else _lakegate
    try:
        with kind(scratch) as target:
            yield target
    finally:
        if options.keep:
            print(f"kept: {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _lakegate(scratch):
    password = secrets.token_urlsafe(18)
    data = scratch / "data"
    log = scratch / "server.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [_binary(), "serve", "--data-dir", data, "--listen", "127.0.0.1:0", "--metrics-listen", "off"],
            env={**os.environ, "LAKEGATE_ADMIN_PASSWORD": password, "LAKEGATE_LOG": os.environ.get("LAKEGATE_LOG", "warn")},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        ready = process.stdout.readline()
    if not ready.startswith("ready: "):
        sys.exit(f"conformance: the server did not start: {log.read_text()}")
    # The data dir is its owner's alone; a client may be another program under another user.
    certificate = Path(shutil.copy(data / "ca.crt", scratch / "ca.crt"))
    environment = {
        "PGHOST": "localhost",
        "PGPORT": ready.strip().rpartition(":")[2].partition("/")[0],
        "PGUSER": "admin",
        "PGPASSWORD": password,
        "PGDATABASE": "main",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(certificate),
    }
    try:
        yield Target(scratch, environment, True, log, process)
    finally:
        _stop(process, signal.SIGTERM)


def _binary():
    if given := os.environ.get("LAKEGATE_BIN"):
        return given
    subprocess.run(["cargo", "build", "--release", "--locked", "--workspace", "--bins"], cwd=ROOT, check=True)
    metadata = subprocess.run(["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"], cwd=ROOT, check=True,
                              capture_output=True, text=True)
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release" / "lakegate"


@contextlib.contextmanager
def _postgres(scratch):
    """A PostgreSQL 15 with TLS and a password: what a check means is what it says there."""
    binaries = Path(os.environ.get("PG15_BIN", "/usr/lib/postgresql/15/bin"))
    # It refuses to run as root.
    prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    password = secrets.token_urlsafe(18)
    home = scratch / "postgres"
    home.mkdir()
    (home / "password").write_text(password)
    certificate = home / "ca.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    # Its own authority, and for rustls still no authority that serves.
                    "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", home / "server.key", "-out", certificate], check=True, capture_output=True)
    (home / "server.key").chmod(0o600)
    if prefix:
        subprocess.run(["chown", "-R", "postgres", home], check=True)
    data = home / "data"
    subprocess.run([*prefix, binaries / "initdb", "-D", data, "-U", "admin", "--auth=scram-sha-256", f"--pwfile={home}/password",
                    "-E", "UTF8", "--locale=C.UTF-8"], check=True, capture_output=True, cwd=home)
    port = _free_port()
    log = scratch / "server.log"
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "ssl": "on", "ssl_cert_file": certificate,
                "ssl_key_file": home / "server.key", "fsync": "off", "max_connections": 200, "TimeZone": "UTC"}
    arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
    with log.open("wb") as errors:
        process = subprocess.Popen([*prefix, binaries / "postgres", "-D", data, *arguments], stdin=subprocess.DEVNULL,
                                   stdout=errors, stderr=errors, cwd=home)
    environment = {"PGHOST": "localhost", "PGPORT": str(port), "PGUSER": "admin", "PGPASSWORD": password, "PGDATABASE": "postgres",
                   "PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(certificate)}
    target = Target(scratch, environment, False, log, process)
    try:
        _wait_for(environment, log)
        yield target
    finally:
        # runuser passes SIGTERM on; the postmaster then waits for its clients, which are gone.
        _stop(process, signal.SIGTERM)


@contextlib.contextmanager
def _external(scratch):
    environment = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    yield Target(scratch, environment, False)


def _wait_for(environment, log):
    end = time.monotonic() + READY_LIMIT_S
    while subprocess.run(["psql", "-X", "-c", "SELECT 1"], env={**os.environ, **environment}, capture_output=True).returncode:
        if time.monotonic() > end:
            sys.exit(f"conformance: PostgreSQL did not start: {log.read_text()}")
        time.sleep(0.2)


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _stop(process, how):
    process.send_signal(how)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
