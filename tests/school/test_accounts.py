"""Settings of MFA and single sign-on: invalid values, and pages that are absent while they are off."""

import os

import pytest
from django.core.exceptions import ImproperlyConfigured

from school.accounts.settings import SingleSignOn, check_settings, installed_apps
from tests.support.serving import manage

NONE = SingleSignOn("", "", "", "preferred_username", "")
SSO = SingleSignOn("https://login.example", "id", "secret", "preferred_username", "")


@pytest.mark.parametrize(
    ("second_factor", "sso", "why"),
    [
        ("maybe", NONE, "SECOND_FACTOR must be off, offered or required."),
        ("off", SingleSignOn("https://login.example", "", "", "", ""), "OIDC_ISSUER needs OIDC_CLIENT_ID"),
        ("off", SingleSignOn("https://login.example", "id", "secret", "", ""), "OIDC_ISSUER needs OIDC_CLAIM"),
    ],
)
def test_invalid_account_settings_stop_the_start(second_factor, sso, why):
    with pytest.raises(ImproperlyConfigured, match=why):
        check_settings(second_factor, sso)


@pytest.mark.parametrize(
    ("second_factor", "sso", "parts"),
    [
        ("offered", NONE, {"allauth.mfa"}),
        ("off", SSO, {"allauth.socialaccount", "allauth.socialaccount.providers.openid_connect"}),
    ],
)
def test_only_enabled_account_features_are_installed(second_factor, sso, parts):
    check_settings(second_factor, sso)

    assert {app for app in installed_apps(second_factor, sso) if app.startswith("allauth.")} == {
        "allauth.account",
        *parts,
    }


def test_no_account_page_exists_when_mfa_and_sso_are_off(settings, client):
    assert [
        name for name in (*settings.INSTALLED_APPS, *settings.MIDDLEWARE) if "allauth" in name or "mfa" in name
    ] == []
    assert client.get("/accounts/login/").status_code == 404


@pytest.mark.parametrize(
    "switched_on",
    [
        {"SECOND_FACTOR": "offered"},
        {"SECOND_FACTOR": "required"},
        {
            "OIDC_ISSUER": "https://login.example",
            "OIDC_CLIENT_ID": "id",
            "OIDC_CLIENT_SECRET": "secret",
            "OIDC_CLAIM": "email",
        },
    ],
)
def test_mfa_and_sso_each_work_without_the_other(switched_on):
    login = "/accounts/login/"
    script = f"""
from django.apps import apps
from django.test import Client
from django.core.management import call_command
for app in ("socialaccount", "mfa", "account"):
    if app in apps.app_configs:
        call_command("migrate", app, verbosity=0)
print(Client(HTTP_HOST="localhost").get({login!r}).status_code)
"""
    environment = {**os.environ, **switched_on, "DATABASE_URL": "sqlite:///:memory:"}

    assert manage(environment, "shell", "-v0", "-c", script).split() == ["200"]
