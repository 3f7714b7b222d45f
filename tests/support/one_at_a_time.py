"""Middleware that serializes requests to the live server of the tests on SQLite."""

import threading
from typing import Any

from django.http import HttpRequest

_lock = threading.Lock()


class OneAtATimeMiddleware:
    """
    Lets one request of a browser run at a time.

    All threads of the live server share one connection to SQLite's in-memory database. Without this, threads can
    deadlock: one calls a Python function from SQL and waits for the GIL, another holds the GIL and waits for SQLite.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        if "SERVER_SOFTWARE" not in request.META:  # a request of the test's own thread
            return self.get_response(request)
        with _lock:
            return self.get_response(request)
