"""PostgreSQL backend that waits for the server only for a limited time, because a frozen server causes no TCP error."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from django.db import OperationalError
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg import generators
from psycopg.errors import ConnectionTimeout, ReadOnlySqlTransaction, _WaitTimeout, error_from_result
from psycopg.pq import ExecStatus, TransactionStatus

from school.db.postgresql import CommitOutcomeUnknown

CONNECT_TIMEOUT = 2  # seconds to wait for a connection, the least that psycopg accepts
CHECK_TIMEOUT = 1.0  # seconds to wait for the check that a connection works
CHECK_INTERVAL = 0.25  # seconds after an answer of the server during which the connection is not checked
RECONNECT_INTERVAL = 0.2  # seconds between two attempts to connect to a server that does not answer
# The number of prepared statements that each connection keeps, as many as ``school.db.compiled_queries`` keeps.
MAX_PREPARED_STATEMENTS = 500
TRANSACTION_LIMITS = "transaction_limits"  # an option of the settings: timeouts in milliseconds by name
COMMIT = b"SET LOCAL statement_timeout = 0; COMMIT"
OUTDATED_STATES = None, ReadOnlySqlTransaction.sqlstate  # the connection of such an internal error is not used again
LOST_STATES = "08", "57P"  # beginnings of SQLSTATEs: connection exceptions, and the end of the server
UNCOUNTED_WAIT = 0.1  # seconds; a shorter wait does not use up the wait budget


class WaitBudget:
    """The number of seconds that a request may still wait for the database in total; None for no limit."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = self.remaining = seconds

    def reset(self) -> None:
        self.remaining = self.seconds

    def spend(self, seconds: float) -> None:
        if self.remaining is not None and seconds > UNCOUNTED_WAIT:
            self.remaining -= seconds

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Wait at most ``seconds`` in the block."""
        if self.remaining is None:
            yield
            return
        unused = max(self.remaining - seconds, 0)
        self.remaining = min(self.remaining, seconds)
        try:
            yield
        finally:
            self.remaining += unused


class CircuitBreaker:
    """
    Records that the server did not answer a thread of this process in time.

    Then no other thread waits for the server, until a background thread has connected to it again.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.lock = threading.Lock()
        self.connect: Callable[[], psycopg.Connection[Any]] = psycopg.Connection.connect

    def open(self) -> None:
        with self.lock:
            if not self.is_open:
                self.is_open = True
                threading.Thread(target=self._probe, daemon=True).start()

    def _probe(self) -> None:
        while self.is_open:
            try:
                self.connect().close()
            except psycopg.Error:
                time.sleep(RECONNECT_INTERVAL)
            else:
                self.is_open = False


circuit_breaker = CircuitBreaker()


class Connection(psycopg.Connection[Any]):
    """
    A connection that is closed when the wait budget is used up.

    Otherwise a late answer would be read as the answer to the next query.
    """

    wait_budget = WaitBudget(None)
    is_outdated = False  # True once the server cannot be used any more: ``ErrorTranslator``
    last_answer_at = -math.inf  # the ``time.monotonic()`` at which the server last answered

    @cached_property
    def idle_cursors(self) -> list[psycopg.Cursor[Any]]:
        """The cursors of ``run_statements``, used again because a new one looks up all converters of values anew."""
        return []

    def wait(self, *args: Any, **options: Any) -> Any:
        remaining = self.wait_budget.remaining
        if remaining is None or "timeout" in options:
            return super().wait(*args, **options)
        started = time.monotonic()
        try:
            answer = super().wait(*args, **{**options, "timeout": max(remaining, 0)})
            self.last_answer_at = time.monotonic()
            return answer
        except _WaitTimeout:
            self.pgconn.finish()
            if remaining >= CHECK_TIMEOUT:
                circuit_breaker.open()
            raise psycopg.OperationalError("The server did not answer in time.") from None
        finally:
            self.wait_budget.spend(time.monotonic() - started)

    def commit(self) -> None:
        """
        Commit without a statement timeout.

        On a primary with a synchronous standby, the timeout would not undo the commit. It would end the wait for the
        standby, the commit would be reported as successful, and a failover could lose it. Without the timeout it is the
        client that stops waiting, and the outcome is reported as unknown.
        """
        if self.pgconn.transaction_status != TransactionStatus.INTRANS:
            super().commit()
            return
        # Sent without a cursor, as psycopg sends a COMMIT: a cursor takes 30 µs more.
        with self.lock:
            self.pgconn.send_query(COMMIT)
            *_earlier, result = self.wait(generators.execute(self.pgconn))
        if result.status != ExecStatus.COMMAND_OK:
            raise error_from_result(result)


class Driver:
    """The module ``psycopg`` as Django uses it, but with ``Connection`` for its connections."""

    connect = Connection.connect

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, name)


class ErrorTranslator(DatabaseErrorWrapper):
    """
    Translates errors of psycopg as Django does, except for two that psycopg counts as internal errors.

    They become an ``OperationalError``, and the connection is not used again: a new one may lead to the new primary.
    One is a write in a read-only session: the server is a standby or has been demoted. The other has no SQLSTATE,
    because psycopg raises it itself: the server, or a pooler in front of it, has sent more than the result of the
    statement, such as the reasons why it ends the connection.
    """

    wrapper: Any

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if isinstance(exc_value, psycopg.InternalError) and exc_value.sqlstate in OUTDATED_STATES:
            if self.wrapper.connection is not None:
                self.wrapper.connection.is_outdated = True
            raise OperationalError(*exc_value.args).with_traceback(traceback) from exc_value
        if exc_type is not None:
            super().__exit__(exc_type, exc_value, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    """
    Waits for all queries of a request at most ``wait_budget`` seconds, an option; without the option there is no limit.

    Queries that a streaming response runs after its beginning belong to the same request.
    """

    Database: Any = Driver()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.wait_budget = WaitBudget(self.settings_dict["OPTIONS"].get("wait_budget"))
        self.has_committed = False  # True once a transaction of the request was committed

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        params.pop(TRANSACTION_LIMITS, None)
        if params.pop("wait_budget", None):
            params.setdefault("connect_timeout", CONNECT_TIMEOUT)
            circuit_breaker.connect = partial(psycopg.Connection.connect, **params)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if circuit_breaker.is_open:
            raise OperationalError("The server does not answer.")
        try:
            connection = super().get_new_connection(conn_params)
        except ConnectionTimeout:
            circuit_breaker.open()
            raise
        connection.wait_budget = self.wait_budget
        connection.prepared_max = MAX_PREPARED_STATEMENTS
        return connection

    @cached_property
    def wrap_database_errors(self) -> ErrorTranslator:
        return ErrorTranslator(self)

    def _set_autocommit(self, autocommit: bool) -> None:
        """
        Set the timeouts of a transaction at its beginning, if a pooler is in front of the server.

        The server's connections belong to all clients of the pooler, so nothing may be set for longer.
        """
        super()._set_autocommit(autocommit)  # type: ignore[misc]  # the stubs leave it out
        limits = self.settings_dict["OPTIONS"].get(TRANSACTION_LIMITS)
        if limits and not autocommit:
            with self.wrap_database_errors:
                self.connection.execute("; ".join(f"SET LOCAL {name} = {int(ms)}" for name, ms in limits.items()))

    def is_usable(self) -> bool:
        if circuit_breaker.is_open:
            return False
        if not self.errors_occurred and time.monotonic() - self.connection.last_answer_at < CHECK_INTERVAL:
            return True
        with self.wait_budget.at_most(CHECK_TIMEOUT):
            usable: bool = super().is_usable()
        return usable

    def close_if_unusable_or_obsolete(self) -> None:
        """Forget the last request: Django calls this method at the beginning and at the end of a request."""
        self.wait_budget.reset()
        self.has_committed = False
        # Django forgets errors at a rollback, so it would keep this connection.
        if self.connection is not None and self.connection.is_outdated and not self.in_atomic_block:
            self.close()
            return
        super().close_if_unusable_or_obsolete()

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]  # the stubs leave it out
        except OperationalError as error:
            # A pooler reports the loss of the server, and then closes the connection.
            is_lost = str(getattr(error.__cause__, "sqlstate", "")).startswith(LOST_STATES)
            if is_lost or self.connection is None or self.connection.closed:
                raise CommitOutcomeUnknown(*error.args) from error.__cause__
            raise
        self.has_committed = True
