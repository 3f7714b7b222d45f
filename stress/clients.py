"""Many concurrent HTTP clients, some of which have short timeouts and repeat their requests."""

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
LONG_TIMEOUT = 30.0  # seconds of the timeout for a response
SHORT_TIMEOUTS = (0.005, 0.4)  # seconds of the timeout of an impatient client
DEADLINE = 300.0  # seconds after which a client fails
PAUSE = 0.1  # seconds before a client retries when no server responds


@dataclass
class Responses:
    """The numbers of responses by method and status, and the durations of the requests."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    timed_out: int = 0
    cut_off: int = 0

    def __iadd__(self, other: "Responses") -> "Responses":
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
        """A sentence for each method and 5xx status."""
        return [
            f"{count} times {method} was answered {status}."
            for (method, status), count in sorted(self.answers.items())
            if status >= 500
        ]


class Client:
    """A client with one persistent connection. ``impatience`` is the probability of a short timeout and a retry."""

    def __init__(self, port: int, token: str, *, seed: int, impatience: float = 0) -> None:
        self.port = port
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.rng = random.Random(seed)
        self.impatience = impatience
        self.responses = Responses()
        self.deadline = time.monotonic() + DEADLINE
        self.connection = HTTPConnection(HOST, port, timeout=LONG_TIMEOUT)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any, bool]:
        """
        Return the status and the content of a response, and whether it is the response to the first attempt.

        After a timeout or a connection error, the request is repeated with a long timeout.
        """
        timeout = self.rng.uniform(*SHORT_TIMEOUTS) if self.rng.random() < self.impatience else LONG_TIMEOUT
        is_first = True
        while time.monotonic() < self.deadline:
            if timeout != self.connection.timeout:
                self._reconnect(timeout)
            try:
                return *self._ask(method, path, body), is_first
            except TimeoutError:
                self.responses.timed_out += 1
            except (OSError, HTTPException):
                self.responses.cut_off += 1
                time.sleep(PAUSE)
            timeout, is_first = LONG_TIMEOUT, False
            self._reconnect(timeout)
        raise Failed(f"{method} was not answered in {DEADLINE:.0f} seconds.")

    def close(self) -> None:
        self.connection.close()

    def _ask(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        started = time.perf_counter()
        self.connection.request(method, f"/api/v1/{path}", None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        self.responses.seconds.append(time.perf_counter() - started)
        self.responses.answers[method, answer.status] += 1
        return answer.status, json.loads(content) if content else None

    def _reconnect(self, timeout: float) -> None:
        self.connection.close()
        self.connection = HTTPConnection(HOST, self.port, timeout=timeout)


def run_all(
    tasks: Iterable[T], handle: Callable[[Client, T], object], make_client: Callable[[int], Client]
) -> tuple[Responses, float]:
    """
    Handle all tasks with ``CLIENTS`` concurrent clients, each taking the next task.

    Return the responses, and the duration in seconds.
    """
    queue: SimpleQueue[T] = SimpleQueue()
    for task in tasks:
        queue.put(task)

    def work(number: int) -> Responses:
        client = make_client(number)
        try:
            while True:
                handle(client, queue.get_nowait())
        except Empty:
            return client.responses
        finally:
            client.close()

    responses = Responses()
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        try:
            for each in pool.map(work, range(CLIENTS)):
                responses += each
        finally:
            with suppress(Empty):  # after a failure, no client starts another task
                while True:
                    queue.get_nowait()
    return responses, time.perf_counter() - started
