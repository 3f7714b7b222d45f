"""
A registrar's Chromium, that of the system, and what every page must be free of.

A module imports ``page`` and ``pytestmark`` from here. Who runs the tests with ``SCREENSHOTS`` set to a folder gets
pictures.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from playwright.sync_api import ConsoleMessage, Page, Request, Response, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
expect.set_options(timeout=20_000)  # test machines are busy
REQUIRED = os.environ.get("REQUIRE_ALL") == "1"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM and not REQUIRED, reason="there is no Chromium on this machine"),
]

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 400, "height": 860}

# A violation of the policy, with what the console does not say: which directive it is, and where.
TELL_VIOLATIONS = """addEventListener("securitypolicyviolation", event => console.error(
    `policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`))"""


@pytest.fixture
def page(live_server: Any, registrar: User, complaints: list[str]) -> Iterator[Page]:
    """
    A page of a browser. At its end the test fails if there was anything to complain of.

    That is an error in the console, a script that fell, a violation of the policy, a request that failed, or one to
    another host.
    """
    with sync_playwright() as playwright:
        # No sandbox within the sandbox that tests run in, and no calls home.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        )
        page = browser.new_page(base_url=live_server.url, viewport=WIDE)  # type: ignore[arg-type]  # a TypedDict
        page.set_default_timeout(20_000)
        page.add_init_script(TELL_VIOLATIONS)
        watch(page, live_server.url, complaints)
        yield page
        browser.close()
        connections.close_all()  # Playwright's loop has given the test a connection of its own
    assert complaints == []


def watch(page: Page, home: str | tuple[str, ...], complaints: list[str]) -> None:
    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.type}: {message.text}")

    def asked(request: Request) -> None:
        if not request.url.startswith((*([home] if isinstance(home, str) else home), "data:", "blob:")):
            complaints.append(f"another host: {request.url}")

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a page that is left, or a file that is kept
            complaints.append(f"failed: {request.url} {request.failure}")

    def answered(response: Response) -> None:
        if response.status >= 400:
            complaints.append(f"{response.status}: {response.url}")

    page.on("console", console)
    page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    page.on("request", asked)
    page.on("requestfailed", failed)
    page.on("response", answered)


def log_in(page: Page, name: str = "registrar") -> None:
    page.goto("/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="The registrar's desk")).to_be_visible()


def choose(page: Page, field: str, term: str, shown: str) -> None:
    """Pick from an autocomplete by typing."""
    page.locator(f".field-{field} .select2-selection").click()
    page.locator(".select2-dropdown .select2-search__field").fill(term)
    page.locator(".select2-results__option", has_text=shown).click()


def shot(page: Page, name: str, *, whole: bool = False) -> None:
    """Keep a picture where the one who runs the tests asked for pictures."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=whole)


def shots(page: Page, name: str) -> None:
    """Keep four pictures of the page as it stands: wide and narrow, in light and dark."""
    if os.environ.get("SCREENSHOTS"):
        for width, size in {"wide": WIDE, "narrow": NARROW}.items():
            page.set_viewport_size(size)  # type: ignore[arg-type]  # a TypedDict
            for colours in ("light", "dark"):
                page.emulate_media(color_scheme=colours)
                page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", colours == "dark")
                shot(page, f"{re.sub('[^a-z0-9]+', '-', name.lower())}-{width}-{colours}", whole=True)
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        page.emulate_media(color_scheme="light")
        page.evaluate("document.documentElement.classList.remove('dark')")


def in_the_dark(page: Page) -> None:
    """Show pages from now on as to somebody who likes them dark."""
    page.emulate_media(color_scheme="dark")
    page.reload()
    expect(page.locator("html.dark")).to_be_attached()
