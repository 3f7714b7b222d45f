"""PostgreSQL backend with a limit on waiting: a frozen server sends nothing, and TCP detects no error."""

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
from psycopg.errors import ConnectionTimeout, _WaitTimeout

from school.db.postgresql import Unanswered

CONNECT = 2  # seconds to wait for a connection, the least that psycopg accepts
CHECK = 1.0  # seconds to wait for the check that a connection works
HEARD = 0.25  # seconds after an answer in which a connection is not checked again
PAUSE = 0.2  # seconds between two attempts to connect to a server that does not answer
PREPARED = 500  # statements that each connection keeps, as many as ``school.db.compiled_queries`` does
SHORT = 0.1  # seconds; a shorter wait is normal work, and is not counted


class Patience:
    """The seconds that a request may still wait for the database in total. None: without a limit."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = self.left = seconds

    def renew(self) -> None:
        self.left = self.seconds

    def spend(self, seconds: float) -> None:
        if self.left is not None and seconds > SHORT:
            self.left -= seconds

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Wait at most ``seconds`` in the block."""
        if self.left is None:
            yield
            return
        saved = max(self.left - seconds, 0)
        self.left = min(self.left, seconds)
        try:
            yield
        finally:
            self.left += saved


class Absence:
    """
    Records that the server did not answer a thread of this process in time.

    Then no other thread waits for the server, until a background thread has connected to it again.
    """

    def __init__(self) -> None:
        self.is_noticed = False
        self.lock = threading.Lock()
        self.connect: Callable[[], psycopg.Connection[Any]] = psycopg.Connection.connect

    def notice(self) -> None:
        with self.lock:
            if not self.is_noticed:
                self.is_noticed = True
                threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        while self.is_noticed:
            try:
                self.connect().close()
            except psycopg.Error:
                time.sleep(PAUSE)
            else:
                self.is_noticed = False


absence = Absence()


class Connection(psycopg.Connection[Any]):
    """A connection that is closed when the patience ends: a late answer would be taken for that of the next query."""

    patience = Patience(None)
    heard = -math.inf  # ``time.monotonic()`` of the server's last answer

    def wait(self, *args: Any, **options: Any) -> Any:
        left = self.patience.left
        if left is None or "timeout" in options:
            return super().wait(*args, **options)
        began = time.monotonic()
        try:
            answer = super().wait(*args, **{**options, "timeout": max(left, 0)})
            self.heard = time.monotonic()
            return answer
        except _WaitTimeout:
            self.pgconn.finish()
            if left >= CHECK:
                absence.notice()
            raise psycopg.OperationalError("The server did not answer in time.") from None
        finally:
            self.patience.spend(time.monotonic() - began)


class Driver:
    """The module ``psycopg`` as Django uses it, but with ``Connection`` for its connections."""

    connect = Connection.connect

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, name)


class DatabaseWrapper(base.DatabaseWrapper):
    """
    Waits for all queries of a request at most ``patience`` seconds, an option; without the option there is no limit.

    Queries that a streaming response runs after its beginning belong to the same request.
    """

    Database: Any = Driver()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.patience = Patience(self.settings_dict["OPTIONS"].get("patience"))

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        if params.pop("patience", None):
            params.setdefault("connect_timeout", CONNECT)
            absence.connect = partial(psycopg.Connection.connect, **params)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if absence.is_noticed:
            raise OperationalError("The server does not answer.")
        try:
            connection = super().get_new_connection(conn_params)
        except ConnectionTimeout:
            absence.notice()
            raise
        connection.patience = self.patience
        connection.prepared_max = PREPARED
        return connection

    def is_usable(self) -> bool:
        if absence.is_noticed:
            return False
        if not self.errors_occurred and time.monotonic() - self.connection.heard < HEARD:
            return True
        with self.patience.limited(CHECK):
            usable: bool = super().is_usable()
        return usable

    def close_if_unusable_or_obsolete(self) -> None:
        """Renew the patience: Django calls this method at the beginning and at the end of a request."""
        self.patience.renew()
        super().close_if_unusable_or_obsolete()

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]  # the stubs leave it out
        except OperationalError as error:
            if self.connection is None or self.connection.closed:
                raise Unanswered(*error.args) from error.__cause__
            raise
