"""
Sends one request to a receiver, and only to an address that is allowed.

The host name is resolved once for an attempt. All its addresses must be allowed, and the connection is made to one of
the addresses that were checked, so that a second look-up cannot lead elsewhere. Redirects are not followed, and proxies
of the environment are not used.
"""

import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from http.client import HTTPException
from typing import NamedTuple

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeout

from webhooks.addresses import is_allowed
from webhooks.models import Outcome
from webhooks.target_url import Target

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0  # the time from the beginning of the attempt to the end of the answer
MAX_ANSWER = 4_096  # bytes of an answer that are read, so that the connection can be used again
FAILURES = (HTTPError, HTTPException, OSError)


class Answer(NamedTuple):
    """The outcome of an attempt. ``retry_after`` is the header of that name, "" if there is none."""

    outcome: Outcome
    status: int | None = None
    retry_after: str = ""


class Sender:
    """
    Sends requests one after the other, on the same connection if the receiver keeps it open.

    Another thread must call ``abort_if_late`` regularly: a receiver that sends its answer byte by byte would otherwise
    keep the sender for longer than ``ANSWER_SECONDS``.
    """

    def __init__(self) -> None:
        self.connection: HTTPConnection | None = None
        self.key: tuple[Target, str] | None = None  # what the connection is connected to
        self.deadline: float | None = None
        self.is_late = False

    def post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request, and return its outcome."""
        self.is_late, self.deadline = False, time.monotonic() + ANSWER_SECONDS
        try:
            answer = self._post(target, headers, body)
        except FAILURES as error:
            answer = Answer(_outcome_of(error))
        if self.is_late or time.monotonic() > self.deadline:
            answer = Answer(Outcome.TIMEOUT)
        if answer.status is None:
            self.close()
        self.deadline = None
        return answer

    def abort_if_late(self) -> None:
        """End a request that lasts too long. Called by another thread."""
        deadline, connection = self.deadline, self.connection
        if deadline is None or connection is None or time.monotonic() < deadline:
            return
        self.is_late = True
        with suppress(OSError, AttributeError):  # the request has just ended
            connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = self.key = None

    def _post(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            addresses = resolve(target)
        except OSError:
            return Answer(Outcome.NAME)
        if not addresses or not all(map(is_allowed, addresses)):
            return Answer(Outcome.ADDRESS)
        if self.key is not None and self.key[0] == target and self.key[1] in addresses:
            try:
                return self._request(target, headers, body)
            except FAILURES as error:
                # A receiver may close an idle connection at any time. Then the request is sent on a new one.
                if self.is_late or _outcome_of(error) != Outcome.CONNECTION:
                    raise
        self.close()
        self._connect(target, addresses)
        return self._request(target, headers, body)

    def _connect(self, target: Target, addresses: Sequence[str]) -> None:
        """Connect to the first of the addresses that accepts the connection."""
        for address in addresses:
            if self.deadline is not None and time.monotonic() > self.deadline:
                raise TimeoutError
            if target.is_https:
                self.connection = HTTPSConnection(
                    address,
                    target.port,
                    timeout=CONNECT_SECONDS,
                    ssl_context=tls_context(),
                    server_hostname=target.host,
                )
            else:
                self.connection = HTTPConnection(address, target.port, timeout=CONNECT_SECONDS)
            try:
                self.connection.connect()
            except FAILURES:
                if address == addresses[-1]:
                    raise
                self.close()
            else:
                self.connection.timeout = ANSWER_SECONDS
                self.key = (target, address)
                return

    def _request(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        connection = self.connection
        assert connection is not None
        connection.request(
            "POST",
            target.path,
            body,
            {"Host": target.authority, **headers},
            preload_content=False,
            decode_content=False,
        )
        response = connection.getresponse()
        content = response.read(MAX_ANSWER, decode_content=False)
        if len(content) == MAX_ANSWER or response.headers.get("Connection", "").lower() == "close":
            self.close()  # the rest of the answer is not read
        is_delivered = 200 <= response.status < 300
        return Answer(
            Outcome.DELIVERED if is_delivered else Outcome.STATUS,
            response.status,
            response.headers.get("Retry-After", ""),
        )


def resolve(target: Target) -> list[str]:
    """Return the addresses of the host; raise ``OSError`` if it has none."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of the name is too long
        raise OSError(str(error)) from None
    return list(dict.fromkeys(str(address[0]) for _family, _type, _protocol, _name, address in found))


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context that checks certificates by the authorities of this machine, and host names."""
    return ssl.create_default_context()


def _outcome_of(error: Exception) -> Outcome:
    is_timeout = isinstance(error, HTTPTimeout | TimeoutError)
    if is_timeout and not isinstance(error, NewConnectionError):  # which is a kind of timeout for urllib3
        return Outcome.TIMEOUT
    return Outcome.TLS if isinstance(error, SSLError | ssl.SSLError) else Outcome.CONNECTION
