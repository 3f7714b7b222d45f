"""The manual in the admin: the pages of ``docs/``, with their pictures and links, and no other file."""

import re

import pytest

from school.settings import VERSION

pytestmark = pytest.mark.django_db

MANUAL = "/admin/manual/"


def test_the_manual_shows_a_page_of_the_documentation_with_its_headings(registrar_client):
    page = registrar_client.get(f"{MANUAL}registrar.md").content.decode()

    assert '<h2 id="home">Home</h2>' in page
    assert '<img src="desk-home.png"' in page


def test_links_and_pictures_of_the_first_page_lead_to_the_manual(registrar_client):
    page = registrar_client.get(f"{MANUAL}registrar.md").content.decode()
    article = page.partition("<article")[2].partition("</article>")[0]
    targets = {target.partition("#")[0] for target in re.findall(r'(?:href|src)="([^"]+)"', article)} - {""}

    assert {name: registrar_client.get(MANUAL + name).status_code for name in targets} == dict.fromkeys(targets, 200)
    ids = set(re.findall(r' id="([^"]+)"', article))
    assert set(re.findall(r'href="#([^"]+)"', article)) <= ids


@pytest.mark.parametrize("name", ["nothing.md", "../README.md", "..%2Fpyproject.toml", "openapi.yaml", "nginx.conf"])
def test_no_other_file_is_a_page_of_the_manual(registrar_client, name):
    assert registrar_client.get(MANUAL + name).status_code == 404


def test_each_page_ends_with_the_version_and_links_to_manual_and_api(registrar_client):
    page = registrar_client.get("/admin/students/student/").content.decode()
    footer = page.partition("<footer")[2].partition("</footer>")[0]

    assert f"School {VERSION}" in footer
    assert re.findall(r'href="([^"]+)"', footer) == [f"{MANUAL}registrar.md", "/api/docs"]
