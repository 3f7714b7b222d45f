"""Many clients at once over HTTP, some of whom do not wait for their answer and ask again."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from bench.processes import Failed
from stress.server import HOST

T = TypeVar("T")

CLIENTS = 64
PATIENT = 30.0  # seconds that a client waits for an answer
HASTY = (0.005, 0.4)  # how long who does not wait has waited
DEADLINE = 300.0  # seconds after which a client gives up altogether
PAUSE = 0.1  # seconds before a client asks again where no server answers


@dataclass
class Heard:
    """What clients were answered, and how long it took."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    timed_out: int = 0
    cut_off: int = 0

    def __iadd__(self, other: "Heard") -> "Heard":
        self.answers += other.answers
        self.seconds += other.seconds
        self.timed_out += other.timed_out
        self.cut_off += other.cut_off
        return self

    @property
    def by_status(self) -> Counter[int]:
        counted: Counter[int] = Counter()
        for (_method, status), count in self.answers.items():
            counted[status] += count
        return counted

    @property
    def errors(self) -> list[str]:
        """A sentence for each kind of answer that blames the server."""
        return [
            f"{count} times {method} was answered {status}."
            for (method, status), count in sorted(self.answers.items())
            if status >= 500
        ]


class Client:
    """One connection that is kept; ``haste`` is how likely it is that a call is given up early and made again."""

    def __init__(self, port: int, token: str, *, seed: int, haste: float = 0) -> None:
        self.port = port
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.dice = random.Random(seed)
        self.haste = haste
        self.heard = Heard()
        self.gives_up_at = time.monotonic() + DEADLINE
        self.connection = HTTPConnection(HOST, port, timeout=PATIENT)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any, bool]:
        """
        Return the status and the content of an answer, and whether it is the answer to the first time of asking.

        Ask again, patiently, where the answer does not come in time or not at all.
        """
        timeout = self.dice.uniform(*HASTY) if self.dice.random() < self.haste else PATIENT
        is_first = True
        while time.monotonic() < self.gives_up_at:
            if timeout != self.connection.timeout:
                self._open_anew(timeout)
            try:
                return *self._ask(method, path, body), is_first
            except TimeoutError:
                self.heard.timed_out += 1
            except (OSError, HTTPException):
                self.heard.cut_off += 1
                time.sleep(PAUSE)
            timeout, is_first = PATIENT, False
            self._open_anew(timeout)
        raise Failed(f"{method} was not answered in {DEADLINE:.0f} seconds.")

    def close(self) -> None:
        self.connection.close()

    def _ask(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        started = time.perf_counter()
        self.connection.request(method, f"/api/v1/{path}", None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        self.heard.seconds.append(time.perf_counter() - started)
        self.heard.answers[method, answer.status] += 1
        return answer.status, json.loads(content) if content else None

    def _open_anew(self, timeout: float) -> None:
        self.connection.close()
        self.connection = HTTPConnection(HOST, self.port, timeout=timeout)


def let_all(
    tasks: Iterable[T], do: Callable[[Client, T], object], make_client: Callable[[int], Client]
) -> tuple[Heard, float]:
    """
    Let ``CLIENTS`` clients at once do all the tasks, each taking the next one.

    Return what they heard, and how many seconds it took.
    """
    waiting: SimpleQueue[T] = SimpleQueue()
    for task in tasks:
        waiting.put(task)

    def work(number: int) -> Heard:
        client = make_client(number)
        try:
            while True:
                do(client, waiting.get_nowait())
        except Empty:
            return client.heard
        finally:
            client.close()

    heard = Heard()
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        try:
            for each in pool.map(work, range(CLIENTS)):
                heard += each
        finally:
            with suppress(Empty):  # where it ends early, nobody begins anything more
                while True:
                    waiting.get_nowait()
    return heard, time.perf_counter() - started
