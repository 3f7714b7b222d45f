"""``GET students/{id}/courses`` through the production server, loaded by wrk."""

import json
import random
import shutil
import socket
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from django.db.models import Max, Min

from bench.database import postmaster
from bench.processes import MANAGE, Failed, cpu_seconds, listens_alone, manage, stop
from bench.table import print_table
from students.models import Student, StudentCourse

HOST = "127.0.0.1"
SCRIPT = Path(__file__).with_name("get.lua")
PATIENCE = 60  # seconds
WARM_UP = 3
SAMPLE = 20

LISTS = {
    "GET students/{id}/courses": "",
    "GET students/{id}/courses?status=all": "?status=all",
}


@dataclass(frozen=True, slots=True)
class Load:
    connections: int
    seconds: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Round:
    """What wrk saw, and the processor time that an answer took in the server and in PostgreSQL."""

    rate: float
    p50: float
    p99: float
    errors: int
    timeouts: int
    server_cpu: float
    database_cpu: float | None


def measure(load: Load) -> None:
    """Print the table; raise ``Failed`` for any answer that is not right."""
    if shutil.which("wrk") is None:
        raise Failed("wrk is missing, requests a second were not measured: apt-get install wrk")
    students = Student.objects.aggregate(first=Min("pk"), last=Max("pk"))
    first, count = students["first"], Student.objects.count()
    if students["last"] != first + count - 1:
        raise Failed("The ids of the students have gaps.")
    rounds: dict[str, list[Round]] = {title: [] for title in LISTS}
    with _server() as (process, port):
        token = _token(port)
        means = {title: _verify(port, token, query, first, count) for title, query in LISTS.items()}
        database = postmaster()

        def run(query: str, seconds: int, seed: int) -> Round:
            command = [
                "wrk",
                "--threads=1",
                f"--connections={load.connections}",
                f"--duration={seconds}s",
                "--timeout=5s",
                f"--script={SCRIPT}",
                f"--header=Authorization: Bearer {token}",
                "--",
                f"http://{HOST}:{port}",
                *(str(first), str(count), query, str(seed)),
            ]
            return _round(command, process.pid, database)

        for query in LISTS.values():
            run(query, WARM_UP, seed=0)
        for number in range(1, load.rounds + 1):
            for title, query in LISTS.items():
                rounds[title].append(run(query, load.seconds, seed=number))
        for query in LISTS.values():
            _verify(port, token, query, first, count)
    print_table(
        f"Requests through `manage.py serve`, {load.connections} connections, over all students at random; the median "
        f"of {load.rounds} rounds of {load.seconds} s",
        ["request", "courses", "requests/s", "p50 ms", "p99 ms", "errors", "timeouts", "CPU server", "CPU PostgreSQL"],
        [_line(title, means[title], rounds[title]) for title in LISTS],
    )
    print("courses: in a sample's answers on average. CPU: microseconds a request, of all processes of the server.")
    if any(each.errors or each.timeouts for taken in rounds.values() for each in taken):
        raise Failed("Some requests failed: answers other than 2xx, broken connections or timeouts.")


def _line(title: str, mean: float, rounds: list[Round]) -> list[str]:
    median = sorted(rounds, key=lambda each: each.rate)[len(rounds) // 2]
    return [
        title,
        f"{mean:.1f}",
        f"{median.rate:,.0f}",
        f"{median.p50:.1f}",
        f"{median.p99:.1f}",
        str(sum(each.errors for each in rounds)),
        str(sum(each.timeouts for each in rounds)),
        f"{median.server_cpu:,.0f}",
        "-" if median.database_cpu is None else f"{median.database_cpu:,.0f}",
    ]


def _round(command: list[str], server: int, database: int | None) -> Round:
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
    each = [seconds * 1e6 / seen["requests"] for seconds in cpu]
    return Round(
        rate=seen["requests"] * 1e6 / seen["microseconds"],
        p50=seen["p50"] / 1000,
        p99=seen["p99"] / 1000,
        errors=seen["not_2xx"] + seen["broken"],
        timeouts=seen["timeouts"],
        server_cpu=each[0],
        database_cpu=None if database is None else each[1],
    )


@contextmanager
def _server() -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Start the production server on a free port and yield it with its port; stop it at the end."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryFile("w+") as log:
        command = [*MANAGE, "serve", "--host", HOST, "--port", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            if not _comes_up(process, port):
                log.seek(0)
                raise Failed(f"The server did not start:\n{log.read()[-2000:]}")
            if not listens_alone(process.pid, port):
                raise Failed(f"Another program listens on {HOST}:{port}.")
            yield process, port
        finally:
            stop(process)


def _comes_up(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            _ask(port, "GET", "/health")
        except (OSError, HTTPException):
            time.sleep(0.1)
        else:
            return True
    return False


def _token(port: int) -> str:
    """Make a client by `create_api_client` and let it ask for a token."""
    created = manage("create_api_client", "bench", "--scope", "students:read enrollments:read", "--json")
    keys = json.loads(created.output)
    basic = b64encode(f"{keys['client_id']}:{keys['client_secret']}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    return str(_ask(port, "POST", "/oauth/token", "grant_type=client_credentials", headers)["access_token"])


def _verify(port: int, token: str, query: str, first: int, count: int) -> float:
    """Compare a sample of answers with the database; return how many courses they have on average."""
    dice = random.Random(count)
    students = [first, first + count - 1, *(first + dice.randrange(count) for _ in range(SAMPLE))]
    total = 0
    for student in students:
        path = f"/api/v1/students/{student}/courses{query}"
        results = _ask(port, "GET", path, headers={"Authorization": f"Bearer {token}"})["results"]
        enrollments = StudentCourse.objects.filter(student=student)
        expected = (enrollments if query else enrollments.open()).order_by("pk").values_list("pk", flat=True)
        if [each["id"] for each in results] != list(expected[:50]):
            raise Failed(f"{path} does not answer what the database has.")
        if any(each["student"]["id"] != student for each in results):
            raise Failed(f"{path} answers with another student's courses.")
        total += len(results)
    return total / len(students)


def _ask(port: int, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> Any:
    """Return the JSON of an answer with status 200; raise ``Failed`` for another status."""
    with closing(HTTPConnection(HOST, port, timeout=10)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
    if answer.status != 200:
        raise Failed(f"{method} {path} answers {answer.status}.")
    return json.loads(text)
