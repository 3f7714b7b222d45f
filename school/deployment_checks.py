"""
The checks of ``manage.py check --deploy``: what is wrong with the environment, by the names of its variables.

They replace those of Django's checks that name settings which an operator of School cannot set.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks

# HSTS, the redirect, the cookies, the key, DEBUG and ALLOWED_HOSTS.
REPLACED_CHECKS = [f"security.W{number:03}" for number in (4, 5, 8, 9, 12, 16, 18, 20, 21)]
LOCAL_HOSTS = {"127.0.0.1", "localhost", "[::1]"}
MIN_TOKEN = 20  # characters of METRICS_TOKEN
MIN_DIFFERENT = 10  # different characters of SECRET_KEY


@checks.register(checks.Tags.security, deploy=True)
def check_environment(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Return a warning for each fault of the environment."""
    return [checks.Warning(message, hint=hint, id=f"school.{code}") for code, message, hint in _faults()]


def _faults() -> Iterator[tuple[str, str, str]]:
    """Yield the code, the description and the remedy of each fault."""
    yield from _secrets()
    yield from _web()
    yield from _files()


def _secrets() -> Iterator[tuple[str, str, str]]:
    if settings.SECRET_KEY.startswith("django-insecure-") or len(set(settings.SECRET_KEY)) < MIN_DIFFERENT:
        yield (
            "W001",
            "SECRET_KEY can be guessed. Anyone with the key can log in as any user.",
            "Make one by: python3 -c 'import secrets; print(secrets.token_urlsafe(50))'",
        )
    if settings.METRICS_TOKEN and len(settings.METRICS_TOKEN) < MIN_TOKEN:
        yield "W002", "METRICS_TOKEN can be guessed.", f"Use {MIN_TOKEN} or more random characters."
    path = Path(os.environ.get("ENV_FILE") or settings.BASE_DIR / ".env")
    if path.is_file() and path.stat().st_mode & stat.S_IROTH:
        yield "W003", f"All users of this machine can read the secrets in {path}.", f"Run: chmod o= {path}"


def _web() -> Iterator[tuple[str, str, str]]:
    if settings.DEBUG:
        yield "W004", "DEBUG=true shows code and settings to everybody who causes an error.", "Remove DEBUG."
    if not settings.HTTPS:
        yield (
            "W005",
            "HTTPS=false: passwords and personal data are sent unencrypted.",
            "Remove HTTPS=false, and set BEHIND_TLS_PROXY=true behind a proxy that speaks HTTPS.",
        )
    elif not settings.SECURE_PROXY_SSL_HEADER:
        yield (
            "W006",
            "BEHIND_TLS_PROXY is not set: the server does not start, because it does not speak HTTPS itself.",
            "Set BEHIND_TLS_PROXY=true and TRUSTED_PROXIES=1 behind one proxy.",
        )
    elif not settings.HSTS_SECONDS:
        yield (
            "W007",
            "HSTS_SECONDS=0: browsers may send the first request of a visit unencrypted.",
            "Remove HSTS_SECONDS, or set 31536000 when HTTPS has worked for some weeks.",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield (
            "W008",
            "ALLOWED_HOSTS has *: a client can choose the host in the links that School sends.",
            "List the host names, ALLOWED_HOSTS=school.example",
        )
    elif set(settings.ALLOWED_HOSTS) <= LOCAL_HOSTS:
        yield (
            "W009",
            "ALLOWED_HOSTS names only this machine: requests by another name are answered with 400.",
            "Set the host name of School, ALLOWED_HOSTS=school.example",
        )


def _files() -> Iterator[tuple[str, str, str]]:
    database = settings.DATABASES["default"]
    if not {"DATABASE_URL", "DATABASE_URL_FILE"} & os.environ.keys():
        yield (
            "W010",
            f"DATABASE_URL is not set: the data is in {database['NAME']}, beside the code.",
            "Set DATABASE_URL, to postgres:///school for example.",
        )
    if settings.STATIC_ROOT and not any(Path(settings.STATIC_ROOT).glob("*")):
        yield "W011", f"STATIC_ROOT, {settings.STATIC_ROOT}, has no files.", "Run: manage.py collectstatic"
