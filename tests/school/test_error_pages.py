"""What people are shown who have lost their way, in their language and without the database."""

import re

import pytest
from django.test import Client, RequestFactory

from school.http.problems import server_error


def told_by(page):
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
def test_who_is_in_the_wrong_place_is_told_so_on_a_page_of_ours(registrars_desk, path, status, title, title_in_german):
    for language, words in {"en": title, "de": title_in_german}.items():
        page = registrars_desk.get(path, headers={"Accept-Language": language})
        assert (page.status_code, told_by(page)) == (status, [(language, ""), ("", words)])


def test_a_form_that_comes_without_its_cookie_is_told_of_in_the_language_of_the_browser():
    page = Client(enforce_csrf_checks=True).post("/admin/login/", headers={"Accept-Language": "es"})

    assert (page.status_code, told_by(page)) == (403, [("es", ""), ("", "No enviado")])


def test_what_went_wrong_here_has_a_page_that_asks_neither_the_database_nor_the_request(caplog):
    page = server_error(RequestFactory().get("/admin/"))

    assert (page.status_code, told_by(page)) == (500, [("en", ""), ("", "An unexpected error occurred")])
