"""
Slow senders: 500 connections that send headers, or a body, one byte at a time do not block other clients.

The server itself is not blocked by slow headers. Against slow bodies it needs nginx in front, configured as in
deploy/nginx.conf.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException

from bench.table import print_table
from stress.server import HOST, running_server
from tests.support.nginx import nginx_before
from tests.support.programs import find_program

SLOW = 500
SECONDS = 10
MAX_SECONDS = 1.0  # seconds that another client may wait
HEAD = b"POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\n"
REST = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\n"


def run(*, short: bool) -> list[str]:
    """Send requests beside the slow senders; return a sentence for each slow or failed series."""
    seconds = SECONDS / 2 if short else SECONDS
    lines, found = [], []
    with running_server() as server, ExitStack() as stack:
        targets = {"server": server.port}
        if nginx := find_program("nginx"):
            targets["nginx before it"] = stack.enter_context(nginx_before(nginx, server.port)).http
        else:
            print("There is no nginx on this machine: slow bodies were not tried.", flush=True)
        for target, port in targets.items():
            for part, prefix in (("heads", HEAD), ("bodies", HEAD + REST)):
                if part == "bodies" and target == "server":
                    continue  # slow bodies block the server itself, so it needs nginx in front
                with slow_senders(port, prefix):
                    took, failed = ask(port, seconds)
                lines.append(
                    [target, part, str(len(took)), f"{took[len(took) // 2] * 1000:.1f}", f"{took[-1] * 1000:.0f}"]
                )
                if failed or took[-1] > MAX_SECONDS:
                    found.append(f"{target}, slow {part}: {failed} failed, the longest took {took[-1]:.1f} s.")
    print_table(f"Beside {SLOW} slow senders", ["target", "slow", "answers", "p50 ms", "longest ms"], lines)
    return found


def ask(port: int, seconds: float) -> tuple[list[float], int]:
    """Send requests for this time; return the sorted durations, and the number of failures."""
    took, failed, end = [], 0, time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        client = HTTPConnection(HOST, port, timeout=5)
        try:
            client.request("GET", "/health")
            failed += client.getresponse().status != 200
        except (OSError, HTTPException):
            failed += 1
        finally:
            client.close()
        took.append(time.monotonic() - began)
    return sorted(took), failed


@contextmanager
def slow_senders(port: int, prefix: bytes) -> Iterator[None]:
    """Hold connections that send one byte a second, and reopen those that the server closes."""
    over = threading.Event()

    def connect() -> socket.socket:
        connected = socket.create_connection((HOST, port), timeout=5)
        connected.sendall(prefix)
        connected.setblocking(False)
        return connected

    def send() -> None:
        while not over.wait(1):
            for place, each in enumerate(senders):
                try:
                    each.send(b"a")
                except OSError:
                    each.close()
                    senders[place] = connect()

    senders = [connect() for _ in range(SLOW)]
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for each in senders:
            each.close()
