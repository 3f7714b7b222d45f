"""Insecure settings stop the start, and the settings of production are secure."""

import json
import os
import re
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


def read_settings(environment):
    """Return the settings of an environment that has nothing else, as text; or the last line of the error."""
    code = (
        "import json; from school import settings;"
        "kinds = (str, int, list, dict, type(settings.SSO), type(None));"
        "plain = {k: v for k, v in vars(settings).items() if k.isupper() and k != 'UNFOLD' and isinstance(v, kinds)};"
        "print(json.dumps({k: repr(v) for k, v in plain.items()}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.splitlines()[-1].partition(": ")[2]


def test_the_example_of_settings_has_the_defaults(tmp_path):
    """But for the key, and for the timeouts, which have the defaults of the server."""
    key = "SECRET_KEY=" + "production-" * 6
    text = re.sub(r"^#(?=[A-Z_]+=)", "", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    text = re.sub(r"^(SECRET_KEY|LOCK_TIMEOUT|DATABASE_TIMEOUT|ENV_FILE)=.*\n", "", text, flags=re.MULTILINE)
    example, empty = tmp_path / "example", tmp_path / "empty"
    example.write_text(f"{text}\n{key}\n")
    empty.write_text(f"{key}\nDATABASE_URL=sqlite:///school.sqlite3\nLOG_JSON=true\n")

    written, by_default = (read_settings({"ENV_FILE": str(path)}) for path in (example, empty))

    written, by_default = (
        {name: re.sub(" at 0x[0-9a-f]+", "", value) for name, value in each.items()} for each in (written, by_default)
    )
    assert {name: value for name, value in written.items() if by_default[name] != value} == {}


SECRETS = ["SECRET_KEY", "DATABASE_PASSWORD", "METRICS_TOKEN", "EMAIL_PASSWORD", "OIDC_CLIENT_SECRET"]
MINIMAL = {"ENV_FILE": os.devnull, "SECRET_KEY": PRODUCTION["SECRET_KEY"], "DATABASE_URL": "postgres://a@b/c"}
NAMES = {"EMAIL_PASSWORD": "EMAIL_HOST_PASSWORD", "DATABASE_PASSWORD": "DATABASES", "OIDC_CLIENT_SECRET": "SSO"}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_can_be_in_a_file(tmp_path, name):
    secret = '$ec"ret with % and \\$ ' + "x" * 50
    (tmp_path / "secret").write_text(f"{secret}\n")
    given = {**MINIMAL, f"{name}_FILE": str(tmp_path / "secret")}
    given.pop(name, None)

    assert repr(secret)[1:-1] in read_settings(given)[NAMES.get(name, name)]


def test_a_file_and_a_value_for_the_same_secret_stop_the_start(tmp_path):
    assert read_settings({**MINIMAL, "SECRET_KEY_FILE": "x"}) == "Set SECRET_KEY or SECRET_KEY_FILE, not both."


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    reasons = {"nowhere": "No such file or directory", ".": "Is a directory", "binary": "it is not UTF-8"}

    for name, reason in reasons.items():
        path = f"{tmp_path}/{name}"
        assert read_settings({**MINIMAL, "METRICS_TOKEN_FILE": path}) == (
            f"Cannot read METRICS_TOKEN_FILE, {path}: {reason}."
        )


def test_a_key_in_the_environment_that_begins_with_a_dollar_is_taken_as_it_is():
    key = "$" + "production-" * 6

    assert read_settings({**MINIMAL, "SECRET_KEY": key})["SECRET_KEY"] == repr(key)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"EMAIL_HOST": "mail.invalid"}, "EMAIL_HOST needs EMAIL_FROM, the address that mails come from."),
        ({"EMAIL_SECURITY": "ssl"}, "EMAIL_SECURITY must be starttls, tls or off."),
        ({"HSTS_SECONDS": "-1"}, "HSTS_SECONDS must be 0 or more."),
        ({"HSTS_SECONDS": "long"}, "HSTS_SECONDS must be a number."),
        ({"SENTRY_DSN": "secret"}, "SENTRY_DSN is malformed."),
    ],
)
def test_malformed_settings_stop_the_start(changes, message):
    assert read_settings({**MINIMAL, **changes}) == message


@pytest.mark.parametrize(
    ("https", "seconds", "expected"), [("true", None, "3600"), ("true", "7", "7"), ("false", "7", "0")]
)
def test_hsts_is_short_by_default_and_never_includes_other_hosts(https, seconds, expected):
    settings = read_settings({**MINIMAL, "HTTPS": https, **({"HSTS_SECONDS": seconds} if seconds else {})})

    assert settings["SECURE_HSTS_SECONDS"] == expected
    assert not {"SECURE_HSTS_PRELOAD", "SECURE_HSTS_INCLUDE_SUBDOMAINS"} & settings.keys()


@pytest.mark.parametrize(("in_file", "expected"), [("", 5), ("LOCK_TIMEOUT=3", 3), ("LOCK_TIMEOUT=0", 0)])
def test_the_server_takes_its_timeouts_from_the_file_of_settings(tmp_path, in_file, expected):
    file = tmp_path / "env"
    file.write_text(f"{in_file}\n")
    code = (
        "import school.wsgi; from django.conf import settings; print(settings.LOCK_TIMEOUT, settings.DATABASE_TIMEOUT)"
    )
    environment = {**MINIMAL, "ENV_FILE": str(file), "DATABASE_URL": "sqlite:///:memory:"}

    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)

    assert said.stdout == f"{expected} 5\n"


GOOD = {**MINIMAL, "ALLOWED_HOSTS": "school.example", "BEHIND_TLS_PROXY": "true", "TRUSTED_PROXIES": "1"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY can be guessed."),
        ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN can be guessed."),
        ({"DEBUG": "true"}, "DEBUG=true shows code and settings"),
        ({"HTTPS": "false"}, "HTTPS=false: passwords and personal data are sent unencrypted."),
        ({"BEHIND_TLS_PROXY": "false"}, "BEHIND_TLS_PROXY is not set: the server does not start"),
        ({"HSTS_SECONDS": "0"}, "HSTS_SECONDS=0:"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS has *"),
        ({"ALLOWED_HOSTS": "localhost,127.0.0.1"}, "ALLOWED_HOSTS names only this machine"),
        ({"DATABASE_URL": None}, "DATABASE_URL is not set: the data is in"),
        ({"STATIC_ROOT": "/nowhere"}, "STATIC_ROOT, /nowhere, has no files."),
    ],
)
def test_check_names_what_is_wrong_with_the_environment(changes, words):
    environment = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level=WARNING"]

    checked = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert checked.returncode == 1
    assert words in checked.stderr
    assert "1 issue" in checked.stderr


def test_check_finds_nothing_wrong_with_a_good_environment_and_names_a_readable_file(tmp_path):
    file = tmp_path / "env"
    file.write_text("")
    command = [sys.executable, "manage.py", "check", "--deploy"]
    found = {}
    for mode in (0o640, 0o644):
        file.chmod(mode)
        checked = subprocess.run(command, cwd=ROOT, env={**GOOD, "ENV_FILE": str(file)}, capture_output=True, text=True)
        found[mode] = checked.stdout + checked.stderr

    assert "no issues" in found[0o640]
    assert f"Run: chmod o= {file}" in found[0o644]
