"""Django's PostgreSQL, with an end to waiting: a server that is frozen says nothing, and TCP sees nothing wrong."""

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
from django.utils.functional import cached_property
from psycopg.errors import ConnectionTimeout, _WaitTimeout

from school.postgresql import Unanswered
from school.postgresql.wire import Wire

CONNECT = 2  # seconds to wait for a connection, the least that psycopg takes
CHECK = 1.0  # seconds to wait for word that a connection works
HEARD = 0.25  # seconds for which a connection that has answered is not asked again whether it works
PAUSE = 0.2  # seconds between two questions to a server that does not answer
SHORT = 0.1  # seconds; a wait below it is work, and is not counted


class Patience:
    """How many seconds a request may wait for the database from now on, altogether. None: as long as it takes."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = self.left = seconds

    def renew(self) -> None:
        self.left = self.seconds

    def spend(self, seconds: float) -> None:
        if self.left is not None and seconds > SHORT:
            self.left -= seconds

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Wait no longer than this in the block."""
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
    Whether the server has kept somebody of this process waiting in vain.

    Then nobody else waits, until a thread that does nothing but ask is answered.
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
    """A connection that is closed when patience ends: a late answer would be taken for that to another question."""

    patience = Patience(None)
    heard = -math.inf  # when the server has answered last

    @cached_property
    def wire(self) -> Wire:
        return Wire(self)

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
    """What Django asks of psycopg, with connections of our own."""

    connect = Connection.connect

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, name)


class DatabaseWrapper(base.DatabaseWrapper):
    """
    Waits as long as the option ``patience`` says for all that a request asks, in seconds; without it, for ever.

    What a stream goes on to ask behind the answer's beginning is of the same request.
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
        """Begin or end a request."""
        self.patience.renew()
        super().close_if_unusable_or_obsolete()

    def _commit(self) -> None:
        try:
            super()._commit()  # type: ignore[misc]  # the stubs leave it out
        except OperationalError as error:
            if self.connection is None or self.connection.closed:
                raise Unanswered(*error.args) from error.__cause__
            raise
