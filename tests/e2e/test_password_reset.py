"""A registrar who has forgotten the password sets a new one, by the link in a mail, in the system's Chromium."""

import re

import pytest
from django.contrib.auth.models import User
from django.core import mail
from playwright.sync_api import Page, expect

from school.accounts.password_reset import mail_thread
from tests.support.accessible import accessibility_violations
from tests.support.browser import browser, page, pytestmark, screenshots

__all__ = ["browser", "page", "pytestmark"]

NEW = "a long new password"


@pytest.fixture(autouse=True)
def mail_server(settings):
    settings.EMAIL_HOST = "mail.invalid"
    settings.DEFAULT_FROM_EMAIL = "school@school.example"


def check(page: Page, name: str) -> None:
    assert accessibility_violations(page) == [], name
    screenshots(page, f"password reset {name}")


def test_a_forgotten_password_is_replaced(page, registrar):
    User.objects.filter(pk=registrar.pk).update(email="registrar@school.example")
    page.goto("/admin/login/")
    page.get_by_role("link", name="Forgotten your password?").click()
    check(page, "form")
    page.get_by_label("Email").fill("registrar@school.example")
    page.keyboard.press("Enter")
    expect(page.get_by_text("a mail with a link is on its way")).to_be_visible()
    check(page, "sent")
    mail_thread.submit(lambda: None).result()
    [path] = re.findall(r"https?://[^/]+(/admin/password-reset/\S+)", str(mail.outbox[0].body))

    page.goto(path)
    page.get_by_label("New password", exact=False).first.fill("short")
    page.get_by_label("New password confirmation").fill("short")
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_text("This password is too short")).to_be_visible()
    check(page, "refused")
    page.get_by_label("New password", exact=False).first.fill(NEW)
    page.get_by_label("New password confirmation").fill(NEW)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_text("The password is set.")).to_be_visible()
    check(page, "done")
    page.get_by_role("link", name="Log in").click()
    page.get_by_label("Username").fill(registrar.username)
    page.get_by_label("Password").fill(NEW)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Registrar's office")).to_be_visible()

    page.context.clear_cookies()
    page.goto(path)
    expect(page.get_by_text("The link is not valid")).to_be_visible()
    check(page, "used")
