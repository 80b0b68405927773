"""Servers for the benchmarks: Lakegate, PostgreSQL 15 and SeaweedFS, each on free loopback ports, stopped at the end."""

import atexit
import http.client
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PASSWORD = "bench-password"
ROOT = pathlib.Path(__file__).resolve().parents[2]
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}


def work_folder(name):
    """A folder for one run, removed at its end; under BENCH_DIR where that is set."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"lakegate-bench-{name}-", dir=os.environ.get("BENCH_DIR")))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def target_folder():
    output = subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"], cwd=ROOT)
    return pathlib.Path(json.loads(output)["target_directory"])


def binary(name):
    """A program of this repository: LAKEGATE_BIN for the server, else the release build."""
    if name == "lakegate" and os.environ.get("LAKEGATE_BIN"):
        return os.environ["LAKEGATE_BIN"]
    folder = target_folder() / os.environ.get("BENCH_PROFILE", "release")
    path = folder / name if name == "lakegate" else folder / "examples" / name
    if not path.exists():
        sys.exit(f"{path} is missing: cargo build --release --workspace --bins --examples")
    return str(path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit(f"nothing listens on {port}")


def spawn(command, stop=signal.SIGKILL, **more):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)

    def end():
        if process.poll() is None:
            process.send_signal(stop)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()

    atexit.register(end)
    return process


class Server:
    """Something that speaks PostgreSQL's protocol."""

    def __init__(self, name, port, process):
        self.name, self.port, self.process = name, port, process

    def environment(self):
        return os.environ | {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "admin", "PGPASSWORD": PASSWORD,
                             "PGDATABASE": "main", "PGSSLMODE": "disable"}

    def sql(self, text, *options):
        result = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *options], input=text, text=True, capture_output=True, env=self.environment())
        if result.returncode != 0:
            sys.exit(f"{self.name}: {text[:200]}\n{result.stderr}")
        return result.stdout

    def resident_mib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return None


def lakegate(folder, *options, environment=None):
    data = folder / "lakegate"
    out = open(folder / "lakegate.out", "w+")
    metrics = free_port()
    command = [binary("lakegate"), "serve", "--data-dir", str(data), "--listen", "127.0.0.1:0", "--metrics-listen", f"127.0.0.1:{metrics}", *options]
    process = spawn(command, stdout=out, stderr=open(folder / "lakegate.err", "w"), env=os.environ | (environment or {}) | {"LAKEGATE_ADMIN_PASSWORD": PASSWORD})
    for _ in range(600):
        time.sleep(0.1)
        line = pathlib.Path(out.name).read_text()
        if line.startswith("ready: ") and line.endswith("\n"):
            return Server("lakegate", int(line.rsplit("/", 1)[0].rsplit(":", 1)[1]), process)
        if process.poll() is not None:
            break
    sys.exit("lakegate did not start:\n" + (folder / "lakegate.err").read_text()[-2000:])


def postgres(folder):
    """PostgreSQL 15 as installed, with a quarter of the machine's memory as shared buffers."""
    binaries = pathlib.Path(os.environ.get("PG15_BIN", "/usr/lib/postgresql/15/bin"))
    data, port = folder / "postgres", free_port()
    data.mkdir()
    who = {}
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(data, account.pw_uid, account.pw_gid)
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    secret = folder / "postgres-password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    subprocess.run([binaries / "initdb", "-D", data, "-U", "admin", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C"],
                   check=True, capture_output=True, cwd="/", **who)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 // 2**20
    settings = {"shared_buffers": f"{memory}MB", "max_wal_size": "8GB", "listen_addresses": "127.0.0.1", "max_connections": 200, "jit": "off"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    process = spawn([binaries / "postgres", "-D", data, "-p", str(port), "-k", data, *options], stop=signal.SIGQUIT, cwd="/",
                    stdout=subprocess.DEVNULL, stderr=open(folder / "postgres.err", "w"), **who)
    wait_for_port(port)
    server = Server("postgres", port, process)
    time.sleep(1)
    server.sql("CREATE DATABASE main", "-d", "postgres")
    return server


def s3(folder):
    """SeaweedFS; gives the environment that clients need."""
    config = folder / "s3.json"
    identity = {"name": "bench", "credentials": [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}],
                "actions": ["Admin", "Read", "List", "Tagging", "Write"]}
    config.write_text(json.dumps({"identities": [identity]}))
    (folder / "s3").mkdir()
    port = free_port()
    command = [str(pathlib.Path(sys.executable).parent / "weed"), "server", "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-filer", "-s3",
               "-dir", str(folder / "s3"), "-s3.port", str(port), "-s3.config", str(config), "-master.telemetry=false", "-volume.max=200",
               "-master.volumeSizeLimitMB=1024", "-volume.preStopSeconds=0", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    filer_port = free_port()
    command += ["-filer.port", str(filer_port)]
    for name in ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port.grpc", "s3.port.grpc"]:
        command += [f"-{name}", str(free_port())]
    spawn(command, stdout=subprocess.DEVNULL, stderr=open(folder / "s3.err", "w"))
    wait_for_port(port)
    wait_for_port(filer_port)
    # The file interface knows no signatures: a bucket is a folder.
    for _ in range(60):
        connection = http.client.HTTPConnection("127.0.0.1", filer_port)
        connection.putrequest("POST", "/buckets/tpch/?op=mkdir")
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()
        if status in (200, 201, 204):
            break
        time.sleep(0.5)  # no volume has joined yet
    else:
        sys.exit(f"the S3 server makes no bucket: status {status}")
    return KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


def report(name, result, markdown):
    """Prints a table and leaves the figures in target/bench/NAME.json."""
    print(markdown)
    folder = target_folder() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"command": " ".join(sys.argv), "time": time.strftime("%Y-%m-%d %H:%M"), "machine": machine()} | result, indent=1))
    (folder / f"{name}.md").write_text(markdown + "\n")


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {model}, {memory:.0f} GiB"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])
