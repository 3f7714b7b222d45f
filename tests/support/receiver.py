"""A receiver of webhooks for tests: an HTTP server in a thread whose answers a test chooses."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        return json.loads(self.body)


def status(code: int, *headers: str, body: bytes = b"") -> bytes:
    """Return an answer with this status."""
    lines = [f"HTTP/1.1 {code} Answer", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Receiver:
    """
    Answers each request with the result of ``answer``, and keeps the requests in order.

    ``answer`` gets the request and the connection. If it returns None, the connection is closed.
    """

    answer: Callable[[Received, socket.socket], bytes | None] = lambda _request, _connection: OK
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def messages(self) -> list[Any]:
        return [each.message for each in self.requests]

    @property
    def ids(self) -> list[str]:
        return [each.headers["webhook-id"] for each in self.requests]

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        with suppress(OSError), connection, connection.makefile("rb") as stream:
            while (request := _read(stream)) is not None:
                self.requests.append(request)
                answer = self.answer(request, connection)
                if answer is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                connection.sendall(answer)


def _read(stream: Any) -> Received | None:
    """Return the next request; None at the end of the connection, also in the middle of a request."""
    first = stream.readline().decode(errors="replace")
    if not first.strip():
        return None
    headers = {}
    while (line := stream.readline().decode(errors="replace")).strip():
        name, _colon, value = line.partition(":")
        headers[name.lower()] = value.strip()
    _method, path, *_version = first.split() * 2  # a request that is no HTTP may have one word
    length = int(headers.get("content-length", 0))
    body = stream.read(length)
    return Received(path, headers, body) if line and len(body) == length else None


@contextmanager
def receiving(
    answer: Callable[[Received, socket.socket], bytes | None] | None = None,
    wrap: Callable[[socket.socket], socket.socket] = lambda connection: connection,
) -> Iterator[Receiver]:
    """Yield a running receiver. ``wrap`` makes a TLS connection of a plain one."""
    receiver = Receiver(answer) if answer else Receiver()
    listener = socket.create_server(("127.0.0.1", 0), backlog=50)
    receiver.port = listener.getsockname()[1]
    open_connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:  # the test has ended
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            open_connections.append(connection)

            def serve(connection: socket.socket = connection) -> None:
                with suppress(OSError):
                    receiver.serve(wrap(connection))

            threading.Thread(target=serve, daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in open_connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
