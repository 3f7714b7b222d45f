"""Sends the forms of requests in this process, through the WSGI application."""

import time
from io import BytesIO
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, transaction
from django.test.utils import CaptureQueriesContext

from bench.callers import HOST, make_callers
from bench.extra_rows import make_rows
from bench.processes import Failed
from bench.request_forms import Form, first_request, forms

COURSES, LEAVERS = 13, 10
NO_QUERY = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


class InProcessClient:
    """Sends the forms of requests; creates the rows and the callers that they need."""

    def __init__(self) -> None:
        rows = make_rows(courses=COURSES, leavers=LEAVERS, rounds=1)
        self.forms = list(forms(rows))
        self.by_title = {form.title: form for form in self.forms}
        callers = make_callers(rows.term)
        self.callers = {name: _in_environment(headers) for name, headers in callers.items()}
        # After the creation of the callers, because a test client connects these two receivers again.
        from school.wsgi import application

        self.application: Any = application
        for signal in (request_started, request_finished):
            # Do not close connections, because requests run inside a transaction that is rolled back.
            signal.disconnect(close_old_connections)

    def queries(self, form: Form) -> int:
        """Return the number of queries of a request, after a first one that compiles the statements."""
        self._once(form)
        with CaptureQueriesContext(connection) as queries:
            self._once(form)
        statements = [query["sql"] for query in queries if not query["sql"].startswith(NO_QUERY)]
        return sum("school_count(" not in sql for sql in statements)

    def seconds(self, form: Form, min_seconds: float) -> float:
        """Return the CPU seconds of a request, the mean of as many requests as take ``min_seconds``."""
        times, spent = 0, 0.0
        while spent < min_seconds:
            spent += self._once(form)
            times += 1
        return spent / times

    def _once(self, form: Form) -> float:
        """Send a request, and return the CPU seconds. A write is rolled back. Raise ``Failed`` for another status."""
        environ = self._environ(form)
        statuses: list[str] = []
        with transaction.atomic():
            began = time.process_time()
            answer = self.application(environ, lambda status, _headers: statuses.append(status))
            content = b"".join(answer)
            answer.close()
            spent = time.process_time() - began
            transaction.set_rollback(form.method != "GET")
        if not statuses[0].startswith(str(form.status)):
            raise Failed(f"{form.title} answers {statuses[0]}: {content[:300]!r}")
        return spent

    def _environ(self, form: Form) -> dict[str, Any]:
        address, text = first_request(form)
        path, _mark, query = f"/api/v1/{address}".partition("?")
        body = text.encode()
        environ = {
            "REQUEST_METHOD": form.method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": HOST,
            "SERVER_PORT": "80",
            "HTTP_HOST": HOST,
            "HTTP_ACCEPT": "*/*",
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.input": BytesIO(body),
            "wsgi.url_scheme": "http",
            **self.callers[form.caller],
        }
        return environ | ({"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json"} if body else {})


def _in_environment(headers: dict[str, str]) -> dict[str, str]:
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
