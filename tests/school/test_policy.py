"""Every page has a content security policy."""

import pytest
from django.test import Client

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
IN_THE_ADMIN = POLICY.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'")


def policy_of(answer):
    return answer.headers.get("Content-Security-Policy")


@pytest.mark.parametrize(
    ("path", "status", "policy"),
    [
        ("/admin/login/", 200, IN_THE_ADMIN),
        ("/api/docs", 200, POLICY),
        ("/problems/course_full", 200, POLICY),
        ("/api/docs?script=", 200, None),
        ("/api/v1/students", 401, None),
        ("/api/v1/nowhere", 404, None),
        ("/health", 200, None),
    ],
)
@pytest.mark.django_db
def test_pages_have_a_content_security_policy_and_api_responses_have_none(path, status, policy):
    answer = Client().get(path)

    assert (answer.status_code, policy_of(answer)) == (status, policy)


def test_admin_pages_have_the_policy_for_logged_in_users(registrar_client):
    assert policy_of(registrar_client.get("/admin/")) == IN_THE_ADMIN


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/nowhere", "/nowhere", "/admin/login/"])
def test_error_pages_have_the_policy(path):
    answer = Client(enforce_csrf_checks=True).post(path)

    is_page = answer.headers["Content-Type"].startswith("text/html")
    assert (policy_of(answer) is not None) == is_page


def test_no_own_template_has_an_inline_script_style_or_event_handler():
    import re
    from pathlib import Path

    from django.conf import settings

    within = re.compile(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)
    found = [
        (str(path), line)
        for app in ("school", "bulk", "courses", "students")
        for path in (Path(settings.BASE_DIR) / app).rglob("*.html")
        for line in path.read_text().splitlines()
        if within.search(line)
    ]

    assert found == []
