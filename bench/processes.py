"""Run a process and measure it, or inspect a tree of processes in /proc."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MANAGE = [sys.executable, str(Path(__file__).resolve().parent.parent / "manage.py")]
POLL = 0.02  # seconds


class Failed(Exception):
    """A measurement is not possible, or its result is wrong."""


@dataclass(frozen=True, slots=True)
class Finished:
    seconds: float
    peak_mb: float
    output: str


def manage(*arguments: str) -> Finished:
    """Run a management command to its end; raise ``Failed`` for an exit code other than 0."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen([*MANAGE, *arguments], stdout=output, stderr=errors, start_new_session=True)
        try:
            # Not ru_maxrss: a child starts with the value of its parent.
            peak = 0
            while process.poll() is None:
                peak = max(peak, _peak_kb(process.pid))
                time.sleep(POLL)
        finally:
            stop(process)
        seconds = time.perf_counter() - started
        output.seek(0)
        if process.returncode:
            errors.seek(0)
            tail = "".join(errors.readlines()[-10:])
            raise Failed(f"manage.py {arguments[0]} ended with {process.returncode}:\n{tail}")
        return Finished(seconds, peak / 1024, output.read())


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process that leads a session, and all its descendants."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tree(root: int) -> list[int]:
    """Return the process ids of ``root`` and of all its descendants."""
    children = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            children[int(_stat(int(folder.name))[1])].append(int(folder.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def cpu_seconds(root: int) -> float:
    """Return the CPU seconds of a tree of processes, including ended children."""
    ticks = 0
    for pid in tree(root):
        with suppress(OSError):
            ticks += sum(map(int, _stat(pid)[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def listens_alone(root: int, port: int) -> bool:
    """Return True if every socket that listens on this IPv4 TCP port belongs to this tree of processes."""
    listeners = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _number, local, _remote, state, *_others, inode = line.split()[:10]
        if state == "0A" and int(local.partition(":")[2], 16) == port:
            listeners.add(f"socket:[{inode}]")
    held = set()
    for pid in tree(root):
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(OSError):
                held.add(str(descriptor.readlink()))
    return bool(listeners) and listeners <= held


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, which may contain spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _peak_kb(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
