"""One client's folder, what it printed and what that means."""

import os
import re
import signal
import subprocess
import tempfile
import threading
from pathlib import Path


def names(conformance):
    """The clients: folders with an executable `run`."""
    return sorted(path.parent.name for path in conformance.glob("*/run") if os.access(path, os.X_OK))


class Client:
    def __init__(self, folder):
        self.folder = folder
        self.name = folder.name

    def gaps(self):
        """`known-gaps.txt`: NAME to the reason why this check may fail."""
        return read_gaps(self.folder / "known-gaps.txt")

    def run(self, target, cache, timeout_s):
        own = self.folder / "timeout"
        if own.exists():
            timeout_s = int(own.read_text())
        result = Result(self.name, self.gaps() if target.has_gaps else {})
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-", dir=target.scratch) as scratch:
            log = target.scratch / f"{self.name}.log"
            environment = {
                **os.environ,
                **target.database_of(self.name),
                "CONFORMANCE_CACHE": str(cache),
                "CONFORMANCE_SCRATCH": scratch,
            }
            with log.open("wb") as errors:
                self._follow(environment, scratch, errors, timeout_s, result)
        result.end(log.read_text(errors="replace"))
        return result

    def _follow(self, environment, scratch, errors, timeout_s, result):
        # A session of its own: whatever the client started ends with it.
        process = subprocess.Popen([self.folder / "run"], cwd=scratch, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=errors, start_new_session=True)

        def end():
            result.fault = f"not done after {timeout_s} s"
            stop_group(process)

        timer = threading.Timer(timeout_s, end)
        timer.start()
        try:
            for line in process.stdout:
                result.take(line.decode(errors="replace").rstrip("\n"))
            code = process.wait()
        finally:
            timer.cancel()
            stop_group(process)
        if code != 0 and not result.fault:
            result.fault = f"`run` ended with {code}"


class Result:
    """The lines that a client printed, each judged with the known gaps."""

    def __init__(self, name, gaps):
        self.name = name
        self.gaps = gaps
        self.version = ""
        self.passed = []
        # Failed, and known to.
        self.known = []
        # Failed, and not known to; with the reason.
        self.unexpected = []
        self.skipped = None
        self.fault = None
        self.done = False

    @property
    def failed(self):
        return bool(self.unexpected)

    def take(self, line):
        if found := re.fullmatch(r"# version (.+)", line):
            self.version = found[1]
        elif found := re.fullmatch(r"# skip (.+)", line):
            self.skipped = found[1]
        elif line == "# done":
            self.done = True
        elif found := re.fullmatch(r"ok ([^:]+)", line):
            self._passed(found[1].strip())
        elif found := re.fullmatch(r"not ok ([^:]+)(?:: (.*))?", line):
            self._failed(found[1].strip(), found[2] or "no reason given")
        # Whatever else a client prints is its own business.

    def end(self, log):
        seen = {*self.passed, *self.known, *(name for name, _ in self.unexpected)}
        if not self.done and not self.fault and self.skipped is None:
            self.fault = "ended without `# done`"
        if self.done and not self.fault:
            for name in self.gaps.keys() - seen:
                self._unexpected(name, "known-gaps.txt names a check that does not exist")
        if self.fault:
            last = "\n".join(log.strip().splitlines()[-15:])
            self._unexpected("(run)", self.fault + (f"\n{last}" if last else ""))
        elif self.skipped is not None:
            say(self.name, f"skipped: {self.skipped}")

    def _passed(self, name):
        if name in self.gaps:
            self._unexpected(name, "gap closed, remove its line from known-gaps.txt")
        else:
            self.passed.append(name)
            say(self.name, f"ok {name}")

    def _failed(self, name, reason):
        if name in self.gaps:
            self.known.append(name)
            say(self.name, f"gap {name}: {self.gaps[name]} ({reason})")
        else:
            self._unexpected(name, reason)

    def _unexpected(self, name, reason):
        self.unexpected.append((name, reason))
        say(self.name, f"NOT OK {name}: {reason}")

    def summary(self):
        if self.skipped is not None:
            return f"{self.name}: skipped, {self.skipped}"
        counts = f"{len(self.passed)} passed, {len(self.unexpected)} failed, {len(self.known)} known gaps"
        return f"{self.name} ({self.version}): {counts}"


def read_gaps(path):
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    return {name.strip(): reason.strip() for name, _, reason in (line.partition(":") for line in lines if line and line[0] != "#")}


def stop_group(process):
    """Ends the process and all that it started. The group outlives its leader where a child does."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


_printing = threading.Lock()


def say(name, line):
    with _printing:
        print(f"{name}: {line}", flush=True)
