"""
The dispatcher: starts a run for each endpoint that is due, each in a thread with a database connection of its own.

There is one dispatcher in each worker. Endpoints that were slow get at most half of the threads, so that they cannot
keep the others waiting; while endpoints wait for a thread, a run ends after ``RUN_SECONDS``.
"""

import secrets
import threading
import time
from collections.abc import Callable

import structlog
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.db.models import Q
from django.utils import timezone

from bulk.jobs.leases import is_free, process_name
from webhooks.delivery.endpoint_run import EndpointRun, LeaseLost, claim
from webhooks.models import Endpoint, EndpointState
from webhooks.outbox import Positions, latest_positions

logger = structlog.get_logger(__name__)

POLL_INTERVAL = 0.5  # seconds between two looks for endpoints that are due
MAX_THREADS = 8
MAX_SLOW_THREADS = MAX_THREADS // 2
SLOW_SECONDS = 1.0  # an endpoint is slow after a run with an attempt that took longer
RUN_SECONDS = 10.0


def run(*, keep_running: Callable[[], bool], once: bool = False) -> None:
    """Deliver while ``keep_running`` returns True; with ``once``, deliver what is due now, without threads."""
    dispatcher = Dispatcher(keep_running)
    if once:
        dispatcher.run_due_in_sequence()
        return
    while keep_running():
        try:
            dispatcher.start_due()
        except (OperationalError, InterfaceError) as error:
            # If the database is busy or not reachable, try again at the next poll.
            logger.warning("webhooks_wait", exception_type=type(error).__name__)
        except Exception as error:  # an error must not end the delivery
            logger.error("webhooks_failed", exc_info=error)
        close_old_connections()
        dispatcher.watch(POLL_INTERVAL)
    while dispatcher.runs:
        dispatcher.watch(POLL_INTERVAL)


class Dispatcher:
    """The runs of this process. ``runs`` maps the id of an endpoint to its run."""

    def __init__(self, keep_running: Callable[[], bool]) -> None:
        self.keep_running = keep_running
        self.owner = f"{process_name()}:{secrets.token_hex(8)}"
        self.runs: dict[int, EndpointRun] = {}
        self.slow: set[int] = set()
        self.started_at: dict[int, float] = {}
        self.is_crowded = False
        self.ended = threading.Event()

    def start_due(self) -> None:
        """Start a run for each endpoint that is due, those first that have waited longest since their last run."""
        due = [endpoint for endpoint in due_endpoints() if endpoint.pk not in self.runs]
        self.is_crowded = False
        for endpoint in sorted(due, key=lambda each: self.started_at.get(each.pk, 0.0)):
            if self._has_thread_for(endpoint.pk):
                self._start(endpoint)
            else:
                self.is_crowded = True

    def watch(self, seconds: float) -> None:
        """Wait until a run ends, at most for this time, and end requests that last too long."""
        self.ended.wait(seconds)
        self.ended.clear()
        for each in list(self.runs.values()):
            each.sender.abort_if_late()

    def run_due_in_sequence(self) -> None:
        """Deliver to each endpoint that is due, one after the other."""
        stopped = threading.Event()

        def watch() -> None:
            while not stopped.wait(POLL_INTERVAL):
                self.watch(0)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            for endpoint in due_endpoints():
                if self.keep_running() and claim(endpoint, self.owner):
                    self._run(self._new_run(endpoint.pk))
        finally:
            stopped.set()
            watcher.join()

    def _has_thread_for(self, endpoint_id: int) -> bool:
        if len(self.runs) >= MAX_THREADS:
            return False
        return endpoint_id not in self.slow or len(self.slow & self.runs.keys()) < MAX_SLOW_THREADS

    def _start(self, endpoint: Endpoint) -> None:
        if claim(endpoint, self.owner):
            run = self._new_run(endpoint.pk)
            threading.Thread(target=self._run_in_thread, args=[run], daemon=True).start()

    def _new_run(self, endpoint_id: int) -> EndpointRun:
        began = self.started_at[endpoint_id] = time.monotonic()

        def keep_running() -> bool:
            return self.keep_running() and not (self.is_crowded and time.monotonic() - began > RUN_SECONDS)

        self.runs[endpoint_id] = EndpointRun(endpoint_id, self.owner, keep_running)
        return self.runs[endpoint_id]

    def _run_in_thread(self, run: EndpointRun) -> None:
        try:
            self._run(run)
        finally:
            connection.close()
            self.ended.set()

    def _run(self, run: EndpointRun) -> None:
        try:
            run.run()
        except LeaseLost:
            logger.info("webhook_lease_lost", webhook_id=run.endpoint_id)
        except (OperationalError, InterfaceError) as error:
            logger.warning("webhook_interrupted", webhook_id=run.endpoint_id, exception_type=type(error).__name__)
        except Exception as error:  # an error of one endpoint must not end the delivery to the others
            logger.error("webhook_failed", webhook_id=run.endpoint_id, exc_info=error)
        if run.slowest > SLOW_SECONDS:
            self.slow.add(run.endpoint_id)
        elif run.slowest:
            self.slow.discard(run.endpoint_id)
        del self.runs[run.endpoint_id]


def due_endpoints() -> list[Endpoint]:
    """Return the endpoints that no worker delivers to, and for which an attempt, a ping or a replay is due."""
    is_due = Q(state=EndpointState.ACTIVE, next_attempt_at__lte=timezone.now()) | ~Q(requested_ping="")
    endpoints = [endpoint for endpoint in Endpoint.objects.filter(is_due).order_by("pk") if is_free(endpoint)]
    latest = latest_positions({kind for endpoint in endpoints for kind in endpoint.kinds}) if endpoints else {}
    return [endpoint for endpoint in endpoints if has_work(endpoint, latest)]


def has_work(endpoint: Endpoint, latest: Positions) -> bool:
    """Return True if there are changes that the endpoint has not passed, or a request of a user."""
    if endpoint.requested_ping or endpoint.requested_positions is not None:
        return True
    return any(endpoint.positions.get(kind, [0])[0] != latest[kind][0] for kind in endpoint.kinds)
