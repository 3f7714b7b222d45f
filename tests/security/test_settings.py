"""Insecure settings stop the start, and the settings of production are secure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PRODUCTION = {"SECRET_KEY": "production-" * 6, "HTTPS": "true", "BEHIND_TLS_PROXY": "true", "TRUSTED_PROXIES": "1"}


def run(code, **environment):
    command = [sys.executable, "-c", f"import django; django.setup()\nfrom django.conf import settings\n{code}"]
    variables = {**os.environ, "DJANGO_SETTINGS_MODULE": "school.settings", **PRODUCTION, **environment}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


def test_a_tls_proxy_without_trusted_proxies_stops_the_start():
    refused = run("", TRUSTED_PROXIES="0")

    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        "django.core.exceptions.ImproperlyConfigured: "
        "BEHIND_TLS_PROXY=true needs TRUSTED_PROXIES: 1 for one proxy, or its networks."
    )


@pytest.mark.parametrize("proxies", ["0.0.0.0/0", "::/0", "10.0.0.0/8, 0.0.0.0/0"])
def test_trusting_all_addresses_as_proxies_stops_the_start(proxies):
    refused = run("", TRUSTED_PROXIES=proxies)

    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].endswith(f"TRUSTED_PROXIES must not be the whole internet, {proxies!r}.")


@pytest.mark.parametrize("former", ["", ",", " ", " , "])
def test_a_blank_fallback_secret_key_is_ignored(former):
    assert run("print(settings.SECRET_KEY_FALLBACKS)", SECRET_KEY_FALLBACKS=former).stdout == "[]\n"


def test_a_blank_oidc_claim_stops_the_start():
    provider = {"OIDC_ISSUER": "https://login.invalid", "OIDC_CLIENT_ID": "id", "OIDC_CLIENT_SECRET": "secret"}

    assert "OIDC_ISSUER needs OIDC_CLAIM" in run("", **provider, OIDC_CLAIM=" ").stderr


@pytest.mark.parametrize("proxies", ["1", "10.0.0.0/8"])
def test_a_tls_proxy_with_trusted_proxies_starts(proxies):
    assert run("print(settings.HTTPS)", TRUSTED_PROXIES=proxies).stdout == "True\n"


def test_every_cookie_has_the_host_prefix_with_https():
    names = "settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, settings.LANGUAGE_COOKIE_NAME"

    assert run(f"print({names})").stdout == "__Host-sessionid __Host-csrftoken __Host-django_language\n"


def test_messages_are_stored_in_the_session_and_not_in_a_cookie(settings):
    assert settings.MESSAGE_STORAGE == "django.contrib.messages.storage.session.SessionStorage"


def test_fallback_secret_keys_are_read_from_the_environment():
    former = run("print(settings.SECRET_KEY_FALLBACKS)", SECRET_KEY_FALLBACKS="one,two")

    assert former.stdout == "['one', 'two']\n"


def test_every_pinned_requirement_has_a_hash():
    for name in ("requirements.txt", "requirements-dev.txt"):
        pinned = [line for line in (ROOT / name).read_text().splitlines() if "==" in line and not line.startswith(" ")]

        assert [line for line in pinned if not line.endswith("\\")] == []


def test_an_mfa_secret_can_be_read_with_a_fallback_key_and_no_other_key():
    code = """
from school.accounts.mfa_adapter import SecondFactorAdapter
print(SecondFactorAdapter().{}("{}"))
"""
    former, present = "former-key-" * 6, "present-key" * 6
    encrypted = run(code.format("encrypt", "JBSWY3DP"), SECOND_FACTOR="offered", SECRET_KEY=former).stdout.strip()
    reading = code.format("decrypt", encrypted)

    kept = run(reading, SECOND_FACTOR="offered", SECRET_KEY=present, SECRET_KEY_FALLBACKS=former).stdout.strip()
    lost = run(reading, SECOND_FACTOR="offered", SECRET_KEY=present).stdout.strip()

    assert (kept, lost == kept, len(lost)) == ("JBSWY3DP", False, 32)
