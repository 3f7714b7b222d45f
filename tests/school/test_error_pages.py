"""Error pages are in the language of the user and need no database."""

import re

import pytest
from django.test import Client, RequestFactory

from school.http.error_handlers import server_error


def language_and_heading_of(page):
    return re.findall(r'<html lang="(..)">|<h1>(.*)</h1>', page.content.decode())


@pytest.mark.parametrize(
    ("path", "status", "title", "title_in_german"),
    [
        ("/admin/auth/user/", 403, "Not allowed", "Nicht erlaubt"),
        ("/admin/nowhere/", 404, "Not found", "Nicht gefunden"),
        ("/nowhere", 404, "Not found", "Nicht gefunden"),
        ("/admin/students/student/?q=%00", 400, "Malformed request", "Fehlerhafte Anfrage"),
    ],
)
def test_4xx_errors_have_an_error_page_in_the_admin_theme(registrar_client, path, status, title, title_in_german):
    for language, words in {"en": title, "de": title_in_german}.items():
        page = registrar_client.get(path, headers={"Accept-Language": language})
        assert (page.status_code, language_and_heading_of(page)) == (status, [(language, ""), ("", words)])


def test_a_csrf_failure_page_is_in_the_language_of_the_browser():
    page = Client(enforce_csrf_checks=True).post("/admin/login/", headers={"Accept-Language": "es"})

    assert (page.status_code, language_and_heading_of(page)) == (403, [("es", ""), ("", "Formulario no aceptado")])


def test_the_500_page_uses_neither_the_database_nor_the_request(caplog):
    page = server_error(RequestFactory().get("/admin/"))

    assert (page.status_code, language_and_heading_of(page)) == (
        500,
        [("en", ""), ("", "An unexpected error occurred")],
    )
