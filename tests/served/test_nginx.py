"""School behind nginx with deploy/nginx.conf, as in production: over HTTPS, with the addresses that nginx passes on."""

import http.client
import ssl
from contextlib import contextmanager

import pytest
from django.db import connection

from tests.support.databases import copy_sqlite
from tests.support.nginx import nginx_before
from tests.support.programs import require
from tests.support.serving import environment_of, serving

HOST = "school.example"
PRODUCTION = {
    "HTTPS": "true",
    "BEHIND_TLS_PROXY": "true",
    "TRUSTED_PROXIES": "1",
    "ALLOWED_HOSTS": HOST,
    "API_RATE_ANONYMOUS": "20",
}
pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="the proxy is the same, so once is enough")


@contextmanager
def school_behind_nginx(folder):
    environment = environment_of(f"sqlite:///{folder}/school.sqlite3", **PRODUCTION)
    copy_sqlite(environment)
    with serving(environment, "--workers=1") as port, nginx_before(require("nginx", "nginx-light"), port) as listening:
        yield listening


@pytest.fixture(scope="module")
def ports(tmp_path_factory):
    with school_behind_nginx(tmp_path_factory.mktemp("nginx")) as listening:
        yield listening


def ask(port, path, *, tls=True, method="GET", **headers):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the certificate is the test's own
    client = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    )
    client.request(method, path, headers={"Host": HOST, **headers})
    answer = client.getresponse()
    body = answer.read()
    client.close()
    return answer, body


def test_pages_are_answered_over_https(ports):
    page, body = ask(ports.https, "/admin/login/")

    assert page.status == 200
    assert b"</html>" in body
    assert page.headers["Strict-Transport-Security"] == "max-age=3600"
    cookies = page.headers.get_all("Set-Cookie")
    assert cookies
    assert all(cookie.startswith("__Host-") and "Secure" in cookie for cookie in cookies)


def test_plain_http_is_redirected_to_https(ports):
    answer, _body = ask(ports.redirect, "/admin/?q=1", tls=False)

    assert (answer.status, answer.headers["Location"]) == (301, f"https://{HOST}/admin/?q=1")


def test_the_health_checks_are_answered(ports):
    assert [ask(ports.https, path)[0].status for path in ("/health", "/health/live")] == [200, 200]


def test_an_answer_is_not_compressed_so_that_its_etag_stays_strong(ports):
    answer, _body = ask(ports.https, "/api/schema", **{"Accept-Encoding": "gzip"})

    assert (answer.status, answer.headers["Content-Encoding"]) == (200, None)


def test_a_body_above_the_limit_of_uploads_is_refused_before_it_is_sent(ports):
    answer, _body = ask(ports.https, "/api/v1/imports", method="POST", **{"Content-Length": str(300_000_000)})

    assert answer.status == 413


def test_a_client_cannot_choose_its_scheme(ports):
    plain, _body = ask(ports.http, "/admin/login/", tls=False, **{"X-Forwarded-Proto": "https"})

    assert (plain.status, plain.headers["Location"]) == (301, f"https://{HOST}/admin/login/")


def test_a_client_cannot_choose_its_address(tmp_path):
    """All requests count for one address: this server has no other tests, because its limit is used up."""
    with school_behind_nginx(tmp_path) as ports:
        answers = [
            ask(ports.https, "/api/v1/students", **{"X-Forwarded-For": f"192.0.2.{number}"})[0].status
            for number in range(30)
        ]

    assert 429 in answers
