"""Load by wrk: what it saw, and the processor time that an answer took."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.forms import Form
from bench.processes import Failed, cpu_seconds
from bench.rows import STEP
from bench.servers import Server

SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, slots=True)
class Round:
    """Requests a second, milliseconds, and microseconds of processor a request: of the server and of PostgreSQL."""

    rate: float
    p50: float
    p99: float
    errors: int
    server_cpu: float
    database_cpu: float


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise Failed("wrk is missing, requests a second were not measured: apt-get install wrk")


def load(
    server: Server,
    form: Form,
    headers: Mapping[str, str],
    *,
    prefix: str,
    connections: int,
    seconds: int,
    seed: int,
    database: int | None,
) -> Round:
    """Load a server by a form whose path stands behind a prefix; raise ``Failed`` where it does not answer."""
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--timeout=5s"]
    command += [f"--header={name}: {value}" for name, value in headers.items()]
    command += [f"--script={SCRIPT}", "--", server.origin, form.method, f"{prefix}{form.path}", form.body]
    numbers = [form.times, form.rows.first, form.rows.count, form.others.first, form.others.count, STEP, seed]
    command += map(str, numbers)
    watched = [server.pid] if database is None else [server.pid, database]
    before = [cpu_seconds(pid) for pid in watched]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    cpu = [cpu_seconds(pid) - earlier for pid, earlier in zip(watched, before, strict=True)]
    lines = result.stdout.splitlines()
    if result.returncode or not lines or not lines[-1].startswith("{"):
        raise Failed(f"wrk failed at {form.title}, {server.origin}{prefix}: {result.stderr or result.stdout}")
    seen = json.loads(lines[-1])
    if not seen["requests"]:
        raise Failed(f"The server answered no request: {form.title}.")
    wrong = seen["requests"] - seen["not_2xx"] if form.status >= 400 else seen["not_2xx"]
    each = [spent * 1e6 / seen["requests"] for spent in cpu]
    return Round(
        rate=seen["requests"] * 1e6 / seen["microseconds"],
        p50=seen["p50"] / 1000,
        p99=seen["p99"] / 1000,
        errors=wrong + seen["broken"] + seen["timeouts"],
        server_cpu=each[0],
        database_cpu=each[1] if database is not None else float("nan"),
    )
