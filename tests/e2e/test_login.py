"""
Logging in with a second factor and by single sign-on, in the system's Chromium.

The server runs in a separate process, because some settings take effect only at its start.
"""

import base64
import hashlib
import hmac
import os
import re
import struct
import time
from collections.abc import Iterator
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.accessible import accessibility_violations
from tests.support.browser import CHROMIUM, LOG_POLICY_VIOLATIONS, REQUIRED, collect_errors, screenshot
from tests.support.databases import copy_sqlite
from tests.support.provider import CLIENT_ID, CLIENT_SECRET, running_provider
from tests.support.serving import manage, serving

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM and not REQUIRED, reason="there is no Chromium on this machine"),
]

PASSWORD = "open sesame"
USERS = f"""
from django.contrib.auth.models import User
for name in ("ada", "mary", "grace", "rosa", "locked"):
    User.objects.create_superuser(name, email=name + "@school.example", password={PASSWORD!r})
User.objects.create_user("student", password={PASSWORD!r})
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server that requires a second factor, and the identity provider that it uses."""
    with running_provider() as provider:
        environment = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('login')}/school.sqlite3",
            "SECOND_FACTOR": "required",
            "OIDC_ISSUER": provider.issuer,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_CLAIM": "preferred_username",
            "OIDC_NAME": "University login",
        }
        copy_sqlite(environment)
        manage(environment, "migrate", "--verbosity", "0")  # the tables of the second factor
        manage(environment, "shell", "-c", USERS)
        with serving(environment, "--workers", "1", "--threads", "4") as port:
            yield SimpleNamespace(home=f"http://localhost:{port}", provider=provider)


@pytest.fixture
def page(world: Any) -> Iterator[Page]:
    page_errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(base_url=world.home)
        page.set_default_timeout(20_000)
        page.add_init_script(LOG_POLICY_VIOLATIONS)
        collect_errors(page, (world.home, world.provider.issuer), page_errors)
        yield page
        browser.close()
    expected = ("403", "429", "error: Failed to load resource")
    assert [each for each in page_errors if not each.startswith(expected)] == []


def code_for(secret: str, *, later: int = 0) -> str:
    """Return the code of an authenticator app (RFC 6238), now or some periods later."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30 + later), hashlib.sha1)
    place = digest[-1] & 15
    number = struct.unpack(">I", digest[place : place + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def give_password(page: Page, name: str, password: str = PASSWORD) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in", exact=True).click()


def confirm_password(page: Page) -> None:
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()


def desk(page: Page) -> Any:
    return page.get_by_role("heading", name="Registrar's office")


def log_out(page: Page) -> None:
    page.goto("/accounts/2fa/")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_user_without_a_second_factor_must_set_up_an_app_and_use_it_from_then_on(page):
    give_password(page, "ada")
    expect(page.get_by_text("Set up a second factor first")).to_be_visible()
    page.goto("/admin/students/student/")
    expect(page.get_by_text("Set up a second factor first")).to_be_visible()
    screenshot(page, "second-factor", whole=True)
    assert accessibility_violations(page) == []

    page.get_by_role("link", name="Activate").click()
    confirm_password(page)
    secret = page.locator("#authenticator_secret").input_value()
    screenshot(page, "authenticator-app", whole=True)
    assert accessibility_violations(page) == []
    page.locator("#id_code").fill(code_for(secret))
    page.get_by_role("button", name="Activate").click()
    page.goto("/admin/")
    expect(desk(page)).to_be_visible()

    log_out(page)
    give_password(page, "ada")
    page.locator("#id_code").fill("000000")
    page.get_by_role("button", name="Sign In").click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()
    page.locator("#id_code").fill(code_for(secret, later=1))
    page.get_by_role("button", name="Sign In").click()
    expect(desk(page)).to_be_visible()
    page.goto("/admin/access/")
    expect(page.get_by_role("row", name="ada")).to_contain_text("TOTP Authenticator")


def test_a_passkey_is_a_second_factor_and_logs_in_without_a_password(page):
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    give_password(page, "mary")
    page.get_by_role("link", name="Add").click()
    confirm_password(page)
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("Security key added.")).to_be_visible()
    page.goto("/admin/")
    expect(desk(page)).to_be_visible()

    log_out(page)
    screenshot(page, "login", whole=True)
    assert accessibility_violations(page) == []
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url("**/admin/")
    expect(desk(page)).to_be_visible()


def by_single_sign_on(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_role("link", name="University login").click()


def test_single_sign_on_logs_in_the_staff_user_named_by_the_claim(page, world):
    world.provider.claims = {"sub": "77", "preferred_username": "grace"}
    by_single_sign_on(page)
    expect(desk(page)).to_be_visible()

    log_out(page)
    world.provider.claims = {
        "sub": "77",
        "preferred_username": "grace.hopper",
    }  # renamed since: the sub is still the same
    by_single_sign_on(page)
    expect(desk(page)).to_be_visible()


@pytest.mark.parametrize("name", ["nobody", "student", ""])
def test_single_sign_on_refuses_users_who_are_not_staff(page, world, name):
    world.provider.claims = {"sub": f"sub of {name}", "preferred_username": name, "email": "grace@school.example"}
    by_single_sign_on(page)
    expect(page.get_by_role("heading", name="No account in School")).to_be_visible()

    page.goto("/admin/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_guessing_a_password_locks_this_login_too(page):
    for _guess in range(5):
        give_password(page, "locked", "a guess")
    expect(page.get_by_role("heading", name="Too many failed logins")).to_be_visible()

    give_password(page, "locked")
    expect(page.get_by_role("heading", name="Too many failed logins")).to_be_visible()


# Texts that are identical in English: names, and words that are German too.
SAME = {"de": {"School", "University login", "Code", "Code:", "Name:"}, "es": {"School", "University login"}}


def english_phrases(page: Page, *paths: str) -> dict[str, set[str]]:
    """Return the English phrases, except those in SAME, that these pages contain in German or Spanish."""
    left: dict[str, set[str]] = {}
    for path in paths:
        english = texts_of(page, path, "en")
        for language, proper in SAME.items():
            same = english & texts_of(page, path, language) - proper
            left |= {f"{path} {language}": same} if same else {}
    return left


def texts_of(page: Page, path: str, language: str) -> set[str]:
    answer = page.request.get(f"/accounts/{path}", headers={"Accept-Language": language})
    assert (answer.status, f'<html lang="{language}">' in answer.text()) == (200, True)
    html = re.sub(r"<(script|style)\b.*?</\1>", "", answer.text(), flags=re.DOTALL)
    texts = [*re.findall(r'(?:placeholder|aria-label|title|alt)="([^"]*)"', html), *re.split(r"<[^>]*>", html)]
    return {unescape(text).strip() for text in texts if re.search("[a-z]{2}", text)}


def test_pages_of_the_second_factor_are_in_the_language_of_the_browser(page):
    assert english_phrases(page, "login/") == {}
    give_password(page, "rosa")
    page.get_by_role("link", name="Activate").click()
    confirm_password(page)
    factors = ("2fa/", "2fa/webauthn/add/", "2fa/webauthn/", "reauthenticate/", "logout/")
    assert english_phrases(page, *factors, "2fa/totp/activate/") == {}
    page.reload()  # each view of the page creates another secret
    secret = page.locator("#authenticator_secret").input_value()
    page.locator("#id_code").fill(code_for(secret))
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("Authenticator app activated.")).to_be_visible()

    assert (
        english_phrases(page, "2fa/", "2fa/recovery-codes/", "2fa/recovery-codes/generate/", "2fa/totp/deactivate/")
        == {}
    )
    log_out(page)
    give_password(page, "rosa")
    assert english_phrases(page, "2fa/authenticate/") == {}
