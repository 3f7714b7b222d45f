"""Loads a server with wrk, and measures the CPU time of a response."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.extra_rows import STEP
from bench.processes import Failed, cpu_seconds
from bench.request_forms import Form
from bench.servers import Server

SCRIPT = Path(__file__).with_name("requests.lua")


@dataclass(frozen=True, slots=True)
class Round:
    """
    The results of one load: requests per second, latencies in ms, and CPU microseconds per request in the server and in
    PostgreSQL.
    """

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
    """Load a server with a form whose path follows a prefix; raise ``Failed`` if it does not respond."""
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s", "--timeout=5s"]
    command += [f"--header={name}: {value}" for name, value in headers.items()]
    command += [f"--script={SCRIPT}", "--", server.origin, form.method, f"{prefix}{form.path}", form.body]
    numbers = [form.times, form.rows.first, form.rows.count, form.others.first, form.others.count, STEP, seed]
    command += map(str, numbers)
    measured = [server.pid] if database is None else [server.pid, database]
    before = [cpu_seconds(pid) for pid in measured]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    cpu = [cpu_seconds(pid) - start for pid, start in zip(measured, before, strict=True)]
    lines = result.stdout.splitlines()
    if result.returncode or not lines or not lines[-1].startswith("{"):
        raise Failed(f"wrk failed at {form.title}, {server.origin}{prefix}: {result.stderr or result.stdout}")
    summary = json.loads(lines[-1])
    if not summary["requests"]:
        raise Failed(f"The server answered no request: {form.title}.")
    wrong = summary["requests"] - summary["not_2xx"] if form.status >= 400 else summary["not_2xx"]
    each = [spent * 1e6 / summary["requests"] for spent in cpu]
    return Round(
        rate=summary["requests"] * 1e6 / summary["microseconds"],
        p50=summary["p50"] / 1000,
        p99=summary["p99"] / 1000,
        errors=wrong + summary["broken"] + summary["timeouts"],
        server_cpu=each[0],
        database_cpu=each[1] if database is not None else float("nan"),
    )
