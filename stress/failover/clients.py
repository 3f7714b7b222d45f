"""Clients that enroll and drop their own students at a steady rate, through whichever School server answers."""

import json
import math
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from itertools import pairwise
from typing import Any

from stress.failover.history import Act, History, Outcome, Pair

HOST = "127.0.0.1"
CLIENTS = 32
TIMEOUT = 10.0  # seconds; School answers within 6, whatever the state of the database
PAUSE = 0.2  # seconds before another attempt
LAST_ACT_WITHIN = 30.0  # seconds after the end of a run
DROPS = 0.45  # the share of acts that drop an enrollment
UNKNOWN = "may have been applied"  # in the answer of a commit whose outcome is unknown


class Access:
    """The present token of an API client; a token lives an hour."""

    token = ""


class Link:
    """A connection to one of the servers, and after a failure to the next one."""

    def __init__(self, ports: Sequence[int], access: Access, number: int = 0) -> None:
        self.ports, self.access, self.turn = ports, access, number
        self.connection: HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Any = None, *, timeout: float = TIMEOUT) -> tuple[int, Any, str]:
        """Return status, content and request id of the answer; status 0 if there is none."""
        headers = {"Authorization": f"Bearer {self.access.token}", "Content-Type": "application/json"}
        if isinstance(body, str):
            headers["Content-Type"] = "text/csv"
        elif body is not None:
            body = json.dumps(body)
        try:
            if self.connection is None:
                self.connection = HTTPConnection(HOST, self.ports[self.turn % len(self.ports)], timeout=timeout)
            self.connection.request(method, f"/api/v1/{path}", body, headers)
            answer = self.connection.getresponse()
            content = answer.read()
            parsed = json.loads(content) if content else None
        except (OSError, HTTPException, ValueError):
            self.close()
            self.turn += 1
            return 0, None, ""
        if answer.status == 503:  # a load balancer would try another server too
            self.close()
            self.turn += 1
        return answer.status, parsed, answer.headers.get("X-Request-ID", "")

    def close(self) -> None:
        if self.connection is not None:
            with suppress(OSError):
                self.connection.close()
            self.connection = None


class Client:
    """Enrolls its own students in random courses and drops them; repeats an act until it is answered."""

    def __init__(self, link: Link, students: Sequence[int], courses: Sequence[int], seed: int) -> None:
        self.link, self.students, self.courses = link, students, courses
        self.rng = random.Random(seed)
        self.history = History()
        self.open: list[Pair] = []  # the pairs whose last act was an enrollment
        self.unanswered: Pair | None = None
        self.may_be_done = False  # an earlier attempt of the unanswered act may have made the change

    def act(self) -> None:
        pair = self.unanswered or self._next_pair()
        self.may_be_done &= self.unanswered is not None
        self.unanswered = None
        action = "drop" if pair in self.open else "enroll"
        student, course = pair
        if action == "enroll":
            body = {"course_id": course, "on_full": "waitlist"}
            status, content, request_id = self.link.ask("POST", f"students/{student}/courses", body)
        else:
            status, content, request_id = self.link.ask("DELETE", f"students/{student}/courses/{course}")
        self.history.statuses[status] = self.history.statuses.get(status, 0) + 1
        outcome = self._outcome(action, status, content)
        self.may_be_done |= outcome is Outcome.UNKNOWN
        if outcome is Outcome.REFUSED and status == 503:
            self.history.not_applied.append(request_id)
        enrollment_id = content["id"] if status in (200, 201) else None
        self.history.record(pair, Act(action, outcome, request_id, enrollment_id))
        if outcome in (Outcome.DONE, Outcome.REPEATED):
            if action == "enroll":
                self.open.append(pair)
            else:
                self.open.remove(pair)
        elif outcome is Outcome.UNKNOWN or status == 503:
            self.unanswered = pair
            time.sleep(PAUSE)

    def _next_pair(self) -> Pair:
        if self.open and self.rng.random() < DROPS:
            return self.rng.choice(self.open)
        return self.rng.choice(self.students), self.rng.choice(self.courses)

    def _outcome(self, action: str, status: int, content: Any) -> Outcome:
        if status == 0:
            return Outcome.UNKNOWN
        if status == 503:
            return Outcome.UNKNOWN if UNKNOWN in content["detail"] else Outcome.REFUSED
        if (action, status) == ("enroll", 201):
            return Outcome.DONE
        if (action, status) == ("enroll", 200):
            return Outcome.REPEATED
        if (action, status) == ("drop", 204):
            # A drop that is repeated is answered 204 too.
            return Outcome.REPEATED if self.may_be_done else Outcome.DONE
        if status == 409:
            return Outcome.REFUSED
        self.history.unexpected.setdefault(f"{action} was answered {status}", content)
        return Outcome.REFUSED if status < 500 else Outcome.UNKNOWN


@contextmanager
def acting(clients: Sequence[Client], rate: float) -> Iterator[None]:
    """Let the clients act during the block, together ``rate`` times a second; each finishes its last act."""
    over = threading.Event()
    last = math.inf
    interval = len(clients) / rate

    def work(client: Client) -> None:
        due = time.monotonic() + client.rng.uniform(0, interval)
        while not over.wait(max(due - time.monotonic(), 0)) or (client.unanswered and time.monotonic() < last):
            client.act()
            due = max(due + interval, time.monotonic() - interval)
        client.link.close()

    threads = [threading.Thread(target=work, args=[client], daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    yield
    last = time.monotonic() + LAST_ACT_WITHIN
    over.set()
    for thread in threads:
        thread.join()


def longest_gap(histories: Sequence[History], start: float, end: float) -> float:
    """Return the longest time between two acknowledged acts of any client from ``start`` to ``end``."""
    times = sorted(at for history in histories for at in tuple(history.acknowledged_at) if start <= at <= end)
    edges = [start, *times, end]
    return max(after - before for before, after in pairwise(edges))
