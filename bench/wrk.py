"""Load by wrk: what it saw, and the processor time that an answer took."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Failed, cpu_seconds

SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, slots=True)
class Walk:
    """Requests over many rows: a method, the ids, and what stands around them in the address."""

    method: str
    first: int
    count: int
    before: str
    behind: str
    body: tuple[str, int, int] | None = None  # a field, the first of its values and how many there are
    refused: bool = False  # that is the right answer to each


@dataclass(frozen=True, slots=True)
class Round:
    """Requests a second, milliseconds, and microseconds of processor a request: of the server and of PostgreSQL."""

    rate: float
    p50: float
    p99: float
    errors: int
    timeouts: int
    server_cpu: float
    database_cpu: float


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise Failed("wrk is missing, requests a second were not measured: apt-get install wrk")


def load(
    origin: str, walk: Walk, token: str, *, connections: int, seconds: int, seed: int, server: int, database: int | None
) -> Round:
    """Load a server; raise ``Failed`` where it does not answer."""
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--timeout=5s"]
    command += [f"--script={SCRIPT}", f"--header=Authorization: Bearer {token}", "--", origin]
    command += [walk.method, str(walk.first), str(walk.count), walk.before, walk.behind, str(seed)]
    command += [str(part) for part in walk.body or ()]
    watched = [server] if database is None else [server, database]
    before = [cpu_seconds(pid) for pid in watched]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    cpu = [cpu_seconds(pid) - earlier for pid, earlier in zip(watched, before, strict=True)]
    lines = result.stdout.splitlines()
    if result.returncode or not lines or not lines[-1].startswith("{"):
        raise Failed(f"wrk failed: {result.stderr or result.stdout}")
    seen = json.loads(lines[-1])
    if not seen["requests"]:
        raise Failed("The server answered no request.")
    wrong = seen["requests"] - seen["not_2xx"] if walk.refused else seen["not_2xx"]
    each = [spent * 1e6 / seen["requests"] for spent in cpu]
    return Round(
        rate=seen["requests"] * 1e6 / seen["microseconds"],
        p50=seen["p50"] / 1000,
        p99=seen["p99"] / 1000,
        errors=wrong + seen["broken"],
        timeouts=seen["timeouts"],
        server_cpu=each[0],
        database_cpu=each[1] if database is not None else float("nan"),
    )
