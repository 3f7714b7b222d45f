"""
Machines as network namespaces, which can be killed, frozen, cut off from everything, or cut off from each other.

The harness itself runs in namespaces of its own (``run_in_own_namespaces``). When it ends, in whatever way, the kernel
ends all processes that it has started, and nothing is left on the machine.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench.processes import Failed

ACCOUNT = "postgres"
BRIDGE = "nodes"
NETWORK = "10.77.0"
MARK = "SCHOOL_STRESS_FOLDER"


def in_own_namespaces() -> bool:
    """Return True if this process was started by ``run_in_own_namespaces``."""
    return MARK in os.environ


def run_in_own_namespaces(arguments: Sequence[str]) -> int:
    """
    Run Python with these arguments in new namespaces for the network and for processes; return its exit code.

    Its folder for temporary files is removed at the end.
    """
    folder = Path(tempfile.mkdtemp(prefix="school-failover-"))
    command = ["unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child=KILL"]
    # The shell is the first process, which has to wait for orphans: Patroni takes a dead server that nobody has waited
    # for as running.
    command += ["sh", "-c", '"$@"; exit $?', "sh", sys.executable]
    process = subprocess.Popen([*command, *arguments], env={**os.environ, MARK: str(folder)})
    try:
        return process.wait()
    finally:
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while folder.exists() and time.monotonic() < deadline:  # the last processes may still write
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.1)


def own_folder() -> Path:
    """Return the folder for files of the harness."""
    return Path(os.environ[MARK])


def make_network() -> None:
    """Set up the loopback and the bridge that connects the machines."""
    for line in (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"addr add {NETWORK}.1/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ):
        _ip(line)


class Machine:
    """A network namespace with an address, and the programs in it, which run as the account ``ACCOUNT``."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = f"node{number}"
        self.address = f"{NETWORK}.{10 + number}"
        # An idle process keeps the namespace.
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], start_new_session=True)
        self.namespace = self._namespace()
        pid, link = self.holder.pid, f"veth{number}"
        _ip(f"link add {link} type veth peer name eth0 netns {pid}")
        _ip(f"link set {link} master {BRIDGE} up")
        for line in (f"addr add {self.address}/24 dev eth0", "link set eth0 up", "link set lo up"):
            self._ip_inside(line)

    def start(self, command: Sequence[str | Path], log: Path, environment: dict[str, str] | None = None) -> None:
        """Start a program on the machine."""
        account = pwd.getpwnam(ACCOUNT)
        inside = ["nsenter", "-t", str(self.holder.pid), "--net"]
        inside += ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups"]
        clean = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(log.parent), **(environment or {})}
        with log.open("ab") as output:
            subprocess.Popen(
                [*inside, *command], stdout=output, stderr=output, cwd=log.parent, env=clean, start_new_session=True
            )

    def pids(self, *names: str) -> list[int]:
        """Return the processes on the machine whose program has one of these names; all without names."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (folder / "ns/net").stat().st_ino == self.namespace and int(folder.name) != self.holder.pid:
                    name = (folder / "comm").read_text().strip()
                    if not names or name in names:
                        found.append(int(folder.name))
        return found

    def signal(self, number: signal.Signals, *names: str) -> int:
        """Send a signal to the processes on the machine; return their number."""
        pids = self.pids(*names)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(pids)

    def kill(self, *names: str) -> None:
        """Kill the processes on the machine, also those that were started meanwhile, and wait for their end."""
        deadline = time.monotonic() + 10
        while self.signal(signal.SIGKILL, *names) and time.monotonic() < deadline:
            time.sleep(0.02)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def cut_off(self) -> None:
        """Drop all packets from and to the machine."""
        _ip(f"link set veth{self.number} down")

    def reconnect(self) -> None:
        _ip(f"link set veth{self.number} up")

    def cut_off_from(self, others: Sequence["Machine"]) -> None:
        """Drop the packets to other machines, so that no connection with them works; the bridge is still reached."""
        for other in others:
            self._ip_inside(f"route add blackhole {other.address}/32")

    def reconnect_with(self, others: Sequence["Machine"]) -> None:
        for other in others:
            self._ip_inside(f"route del blackhole {other.address}/32")

    def remove(self) -> None:
        self.thaw()
        self.kill()
        self.holder.kill()
        self.holder.wait()

    def _namespace(self) -> int:
        own = Path("/proc/self/ns/net").stat().st_ino
        for _attempt in range(500):
            inode = Path(f"/proc/{self.holder.pid}/ns/net").stat().st_ino
            if inode != own:
                return inode
            time.sleep(0.01)
        raise Failed("There is no network namespace for a machine.")

    def _ip_inside(self, line: str) -> None:
        subprocess.run(["nsenter", "-t", str(self.holder.pid), "--net", "ip", *line.split()], check=True)


def _ip(line: str) -> None:
    subprocess.run(["ip", *line.split()], check=True)


def find_program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
