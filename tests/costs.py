"""
What a request costs, beside the budget of every request: a second of CPU time, 100 MB, and an answer below 100 kB.

The seconds are CPU time of the process, as on an idle machine: other processes of a busy one share the caches and the
cores, so a request that seems to cost too much is compared with a fixed piece of work beside it.
"""

import gc
import json
import re
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

from students.models import Student as Row

MAX_SECONDS = 1.0
MAX_BYTES = 100_000_000
MAX_ANSWER = 100_000
SIZE = settings.DATA_UPLOAD_MAX_MEMORY_SIZE - 1_000
MULTIPART = "multipart/form-data; boundary=x"
STATUS = Path("/proc/self/status")

MARKS = "\N{COMBINING ACUTE ACCENT}\N{COMBINING GRAVE ACCENT BELOW}"  # out of order
# Texts for which the time that a function takes may grow with the square of their length, or its memory tenfold.
UNITS = ["a\N{CYRILLIC SMALL LETTER A}", "1", "\N{NO-BREAK SPACE}", "a ", "1,", "<'", "\U0001f600"]


class Cost(NamedTuple):
    seconds: float
    bytes: int
    answer: int
    status: int


def memory(name: str) -> int:
    """Return a figure of the memory of this process, in bytes; 0 where the system tells none."""
    found = re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    return int(found[1]) * 1024 if found else 0


REFERENCE = json.dumps({f"{n:05x}": [n, f"{n}"] for n in range(20_000)})
REFERENCE_SECONDS = 0.065  # CPU time of ``slowness``'s work on an idle core of 2026


def slowness() -> float:
    """Return by which factor this process is slower now than on an idle machine: at least 1."""
    began = time.process_time()
    for _each in range(2):
        found = json.loads(REFERENCE)
        names = {name.upper(): value[1] + "x" for name, value in found.items() if "a" in name or value[0] % 3}
        sorted(names, key=names.__getitem__)
        "".join(chr(65 + ord(each) % 26) for each in REFERENCE[:200_000])
        rows = [Row(pk=number) for number in range(2_000)]
        assert not any(row == other for row, other in pairwise(rows))
    return max((time.process_time() - began) / REFERENCE_SECONDS, 1)


def cost_of(send: Callable[[], Any]) -> Cost:
    """
    Send a request. Where it seems to cost too much, send it up to seven times more, and return the least cost.

    The clock of a virtual machine counts time that its host has given to others.
    """
    costs = [_cost_of(send)]
    while costs[-1].seconds > MAX_SECONDS and len(costs) < 8:
        before, cost = slowness(), _cost_of(send)
        costs.append(cost._replace(seconds=cost.seconds / ((before + slowness()) / 2)))
    return min(costs)


def _cost_of(send: Callable[[], Any]) -> Cost:
    gc.freeze()  # what there was before is not looked through while the request is at work
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")  # the peak of the memory begins anew
    before, began = memory("VmRSS"), time.process_time()
    answer = send()
    size = len(b"".join(answer.streaming_content) if answer.streaming else answer.content)
    seconds = time.process_time() - began
    gc.unfreeze()
    return Cost(seconds, memory("VmHWM") - before, size, answer.status_code)


def too_much(costs: dict[Any, Cost]) -> dict[Any, Cost]:
    """Return those of the costs that are beyond the budget, which has no exceptions."""
    return {
        key: cost
        for key, cost in costs.items()
        if cost.seconds > MAX_SECONDS or cost.bytes > MAX_BYTES or cost.answer >= MAX_ANSWER or cost.status == 500
    }


def filled(unit: str, size: int) -> str:
    """Return as many repetitions of a text as fit into this many bytes."""
    return unit * max(size // len(unit.encode()), 1)
