"""
A page of the system's Chromium, and the errors that fail a test.

A module imports ``browser``, ``page`` and ``pytestmark`` from here. Set ``SCREENSHOTS`` to a folder to save
screenshots.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect, sync_playwright

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

# Logs a violation of the content security policy with its directive and source, which the console omits.
LOG_POLICY_VIOLATIONS = """addEventListener("securitypolicyviolation", event => console.error(
    `policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, started once for a module: Playwright's event loop must not run during the tests of other modules."""
    with sync_playwright() as playwright:
        # Tests run in a sandbox already, and the browser must send no requests of its own.
        yield playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        )


@pytest.fixture
def page(browser: Browser, live_server: Any, registrar: User, page_errors: list[str]) -> Iterator[Page]:
    """
    A browser page in a new context. At the end the test fails if the page had errors.

    Errors are messages in the console, exceptions of scripts, violations of the content security policy, failed
    requests, and requests to other hosts.
    """
    page = browser.new_page(base_url=live_server.url, viewport=WIDE)  # type: ignore[arg-type]  # a TypedDict
    page.set_default_timeout(20_000)
    page.add_init_script(LOG_POLICY_VIOLATIONS)
    collect_errors(page, live_server.url, page_errors)
    yield page
    for context in browser.contexts:
        context.close()
    connections.close_all()  # Playwright's event loop has opened a connection for the test
    assert page_errors == []


def collect_errors(page: Page, allowed_hosts: str | tuple[str, ...], page_errors: list[str]) -> None:
    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            page_errors.append(f"{message.type}: {message.text}")

    def on_request(request: Request) -> None:
        if not request.url.startswith(
            (*([allowed_hosts] if isinstance(allowed_hosts, str) else allowed_hosts), "data:", "blob:")
        ):
            page_errors.append(f"another host: {request.url}")

    def on_failure(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a navigation away from the page, or a download
            page_errors.append(f"failed: {request.url} {request.failure}")

    def on_response(response: Response) -> None:
        if response.status >= 400:
            page_errors.append(f"{response.status}: {response.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: page_errors.append(f"script: {error}"))
    page.on("request", on_request)
    page.on("requestfailed", on_failure)
    page.on("response", on_response)


def log_in(page: Page, name: str = "registrar") -> None:
    """Give the browser the session of a user, and open the start page."""
    start_session(page, User.objects.get(username=name))
    page.goto("/")
    expect(page.get_by_role("heading", name="Registrar's office")).to_be_visible()


def start_session(page: Page, user: User) -> None:
    """Replace the cookies of the browser with the session of a user."""
    client = Client()
    client.force_login(user)
    page.context.clear_cookies()
    page.context.add_cookies(
        [
            {
                "name": settings.SESSION_COOKIE_NAME,
                "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
                "domain": "localhost",
                "path": "/",
            }
        ]
    )


def log_in_by_form(page: Page, name: str = "registrar") -> None:
    page.goto("/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Registrar's office")).to_be_visible()


def choose(page: Page, field: str, term: str, shown: str) -> None:
    """Select an option of an autocomplete field by typing."""
    page.locator(f".field-{field} .select2-selection").click()
    page.locator(".select2-dropdown .select2-search__field").fill(term)
    page.locator(".select2-results__option", has_text=shown).click()


def screenshot(page: Page, name: str, *, whole: bool = False) -> None:
    """Save a screenshot if ``SCREENSHOTS`` is set."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=whole)


def screenshots(page: Page, name: str) -> None:
    """Save four screenshots of the current page: wide and narrow, in light and dark mode."""
    if os.environ.get("SCREENSHOTS"):
        for width, size in {"wide": WIDE, "narrow": NARROW}.items():
            page.set_viewport_size(size)  # type: ignore[arg-type]  # a TypedDict
            for colours in ("light", "dark"):
                page.emulate_media(color_scheme=colours)
                page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", colours == "dark")
                screenshot(page, f"{re.sub('[^a-z0-9]+', '-', name.lower())}-{width}-{colours}", whole=True)
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        page.emulate_media(color_scheme="light")
        page.evaluate("document.documentElement.classList.remove('dark')")


def use_dark_mode(page: Page) -> None:
    """Switch the browser to dark mode."""
    page.emulate_media(color_scheme="dark")
    page.reload()
    expect(page.locator("html.dark")).to_be_attached()
