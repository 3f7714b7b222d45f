"""Forms of requests asked in this process, through the WSGI application."""

import time
from io import BytesIO
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, transaction
from django.test.utils import CaptureQueriesContext

from bench.callers import HOST, make_callers
from bench.forms import Form, filled, forms
from bench.processes import Failed
from bench.rows import make_rows

COURSES, LEAVERS = 13, 10
NO_QUERY = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


class Asking:
    """The forms, the rows that they need, and the callers."""

    def __init__(self) -> None:
        rows = make_rows(courses=COURSES, leavers=LEAVERS, rounds=1)
        self.forms = list(forms(rows))
        self.by_title = {form.title: form for form in self.forms}
        callers = make_callers(rows.term)
        self.callers = {name: _in_environment(headers) for name, headers in callers.items()}
        from school.wsgi import application  # behind the callers: a test client connects the two receivers again

        self.application: Any = application
        for signal in (request_started, request_finished):
            signal.disconnect(close_old_connections)  # a request here is part of a transaction, to be rolled back

    def queries(self, form: Form) -> int:
        """Return how many queries a request takes, after a first one, by which it is compiled."""
        self._once(form)
        with CaptureQueriesContext(connection) as queries:
            self._once(form)
        asked = [query["sql"] for query in queries if not query["sql"].startswith(NO_QUERY)]
        return sum("school_count(" not in sql for sql in asked)

    def seconds(self, form: Form, enough: float) -> float:
        """Return the seconds of processor for a request, of as many as take ``enough``."""
        times, spent = 0, 0.0
        while spent < enough:
            spent += self._once(form)
            times += 1
        return spent / times

    def _once(self, form: Form) -> float:
        """Ask once, and return the seconds of processor. A write is rolled back. Raise ``Failed``."""
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
        address, text = filled(form)
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
