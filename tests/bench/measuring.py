"""What a process takes while a block runs."""

import pathlib
import threading


class Taken:
    """The most memory that a process has (MiB), and the bytes that it reads and writes by system calls, while the block runs."""

    def __init__(self, pid):
        self.folder, self.most, self.over = pathlib.Path(f"/proc/{pid}"), 0, threading.Event()

    def counted(self):
        lines = dict(line.split(": ") for line in (self.folder / "io").read_text().splitlines())
        return int(lines["rchar"]), int(lines["wchar"])

    def look(self):
        while not self.over.is_set():
            try:
                line = next(line for line in (self.folder / "status").read_text().splitlines() if line.startswith("VmRSS:"))
            except (OSError, StopIteration):
                return
            self.most = max(self.most, int(line.split()[1]) / 1024)
            self.over.wait(0.02)

    def __enter__(self):
        self.before = self.counted()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def end(self):
        """Counts once more; to be called while the process is there."""
        read, written = self.counted()
        self.read, self.written = read - self.before[0], written - self.before[1]

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def figures(self):
        """MB read, MB written, MiB, as a table shows them."""
        return [f"{self.read / 1e6:,.1f}", f"{self.written / 1e6:,.1f}", f"{self.most:,.0f}"]
