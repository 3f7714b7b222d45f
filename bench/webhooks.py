"""Measure webhooks: the entries that a worker delivers in a second, and the cost of webhooks for an enrollment."""

import os
import subprocess
import sys
import time
from statistics import median

from bench.in_process import InProcessClient
from bench.processes import MANAGE, Failed, cpu_seconds, stop
from bench.table import print_table
from students.events.feed import cursor_of
from students.models import EnrollmentEvent
from webhooks.endpoints import register, replay
from webhooks.models import Endpoint

ENTRIES, WARM_UP = 10_000, 500
WEBHOOKS = 10
ROUNDS, SECONDS_PER_ROUND = 40, 0.1
ENVIRONMENT = {"WEBHOOK_HTTP": "true", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}


def measure() -> None:
    """Print the tables; raise ``Failed`` if entries do not arrive."""
    _measure_delivery()
    _measure_enrolling()


def _measure_delivery() -> None:
    """Deliver entries of the journal to a receiver on this machine."""
    command = [sys.executable, "-m", "bench.webhook_receiver", str(WARM_UP), str(WARM_UP + ENTRIES)]
    worker = None
    receiver = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        endpoint = Endpoint(url=f"http://127.0.0.1:{_line_of(receiver)}/", kinds=["enrollments"])
        register(endpoint)
        newest = EnrollmentEvent.objects.order_by("-pk")
        replay(endpoint, cursor_of(newest[WARM_UP + ENTRIES]))
        worker = subprocess.Popen([*MANAGE, "work"], env={**os.environ, **ENVIRONMENT}, start_new_session=True)
        _line_of(receiver)
        began, cpu = time.perf_counter(), cpu_seconds(worker.pid)
        _line_of(receiver)
        seconds, cpu = time.perf_counter() - began, cpu_seconds(worker.pid) - cpu
    finally:
        for process in (worker, receiver):
            if process is not None:
                stop(process)
        Endpoint.objects.all().delete()
    figures = [f"{ENTRIES / seconds:,.0f}", f"{1_000 * cpu / ENTRIES:.2f}"]
    title = f"Webhooks: {ENTRIES:,} entries to one receiver on this machine"
    print_table(title, ["what", "entries/s", "worker's CPU ms/entry"], [["one worker", *figures]])


def _line_of(receiver: "subprocess.Popen[bytes]") -> str:
    assert receiver.stdout is not None
    if not (line := receiver.stdout.readline()):
        raise Failed("The entries did not arrive at the receiver in time.")
    return line.decode().strip()


def _measure_enrolling() -> None:
    """Enroll without and with webhooks in alternation."""
    client = InProcessClient()
    form = next(each for each in client.forms if each.method == "POST")
    ratios, without = [], []
    for _round in range(ROUNDS):
        plain = client.seconds(form, SECONDS_PER_ROUND)
        for _number in range(WEBHOOKS):
            register(Endpoint(url="https://hook.example/", kinds=["enrollments"]))
        ratios.append(client.seconds(form, SECONDS_PER_ROUND) / plain)
        without.append(plain)
        Endpoint.objects.all().delete()
    figures = [f"{1e6 * median(without):,.0f}", f"{median(ratios):.3f}"]
    head = ["form", "CPU µs without webhooks", f"with {WEBHOOKS} webhooks: ratio"]
    print_table(f"Webhooks: the cost for an enrollment, medians of {ROUNDS} rounds", head, [[form.title, *figures]])
