"""Reports of errors to Sentry: off by default, and without personal data."""

import gzip
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import brotli
import pytest
from django.db import connection

from tests.support.databases import ROOT

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="the reports are the same, so once is enough")
DECODERS = {"gzip": gzip.decompress, "br": brotli.decompress, None: bytes}
# A page fails while it has the name of a student in a variable, in the error and in the request.
FAILING_REQUEST = """
import django
django.setup()
from django.test import Client
from students import models
def fail(*args, **kwargs):
    name = "Canary Byron"
    raise RuntimeError(f"no course for {name}")
from school.observability import health
health.connection = property(fail)
from school import urls
from django.urls import path
from django.contrib.auth.models import AnonymousUser
urls.urlpatterns.insert(0, path("fail", fail))
import sys, sentry_sdk
client = Client(raise_request_exception=False)
answer = client.post("/fail?q=Canary", {"name": "Canary"}, headers={"X-Name": "Canary", "Cookie": "c=Canary"})
print(answer.status_code)
sentry_sdk.flush(5)
"""


def run(code, **variables):
    environment = {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "SECRET_KEY": os.environ["SECRET_KEY"],
        "DATABASE_URL": "sqlite:///:memory:",
        "HTTPS": "false",
        "DJANGO_SETTINGS_MODULE": "school.settings",
        "ALLOWED_HOSTS": "testserver",
        **variables,
    }
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_the_library_is_not_imported_without_a_dsn():
    said = run("import django; django.setup(); import sys; print('sentry_sdk' in sys.modules)")

    assert said.stdout == "False\n"


def test_a_dsn_without_the_library_stops_the_start():
    said = run(
        "import sys; sys.modules['sentry_sdk'] = None; import django; django.setup()",
        SENTRY_DSN="https://key@sentry.invalid/1",
    )

    assert said.stderr.splitlines()[-1].endswith("SENTRY_DSN needs: pip install -r requirements-sentry.txt")


def test_a_report_has_the_type_and_the_stack_of_an_error_and_no_personal_data():
    reports = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reports.append(DECODERS[self.headers["Content-Encoding"]](body).decode())
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        said = run(FAILING_REQUEST, SENTRY_DSN=f"http://key@127.0.0.1:{server.server_port}/1")
        server.shutdown()

    assert said.stdout == "500\n", said.stderr
    text = "".join(reports)
    assert "Canary" not in text
    [event] = [json.loads(line) for line in text.splitlines() if '"exception"' in line]
    [error] = event["exception"]["values"]
    assert (error["type"], error["stacktrace"]["frames"][-1]["function"]) == ("RuntimeError", "fail")
    assert set(event) <= {
        "event_id",
        "timestamp",
        "platform",
        "level",
        "logger",
        "release",
        "environment",
        "sdk",
        "exception",
        "modules",
        "tags",
        "contexts",
    }
