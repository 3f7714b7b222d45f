"""Checks the URLs of webhook endpoints."""

import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from webhooks.addresses import is_allowed

MAX_URL = 2_000
# The characters that RFC 3986 allows in a path and in a query.
_URL = re.compile(
    r"(?i:https?)://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?(/[!$%&'()*+,./:;=?@\w~-]*)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a URL: ``authority`` is the header ``Host``, ``path`` includes the query."""

    is_https: bool
    host: str
    port: int
    authority: str
    path: str


def parse_target(url: str) -> Target:
    """Return the parts of a URL; raise ``ValidationError`` for one that no webhook may have."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValidationError(_("The URL has no valid host and port."), code="invalid_url") from None
    if parts.scheme not in ("https", "http") or (parts.scheme == "http" and not settings.WEBHOOK_HTTP):
        raise ValidationError(_("The URL must begin with https://."), code="invalid_scheme")
    if "@" in parts.netloc:
        raise ValidationError(_("The URL must not have a user name or a password."), code="has_credentials")
    if "#" in url:
        raise ValidationError(_("The URL must not have a fragment (#)."), code="has_fragment")
    if len(url) > MAX_URL or not _URL.fullmatch(url):
        raise ValidationError(
            _("This is not a URL. Percent-encode other characters, and write an international host name as xn--…."),
            code="invalid_url",
        )
    if not parts.hostname or port == 0:
        raise ValidationError(_("The URL has no valid host and port."), code="invalid_url")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    is_https = parts.scheme == "https"
    return Target(is_https, parts.hostname, port or (443 if is_https else 80), parts.netloc, path)


def validate_target_url(url: str) -> None:
    """
    Raise ``ValidationError`` for a URL that no webhook may have, or with an address that is not allowed.

    A name is resolved only when a message is sent, since its addresses may change.
    """
    target = parse_target(url)
    if target.host == "localhost" or target.host.endswith(".localhost"):
        addresses = ["127.0.0.1", "::1"]
    else:
        try:
            numeric = socket.getaddrinfo(target.host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):  # this is a name
            return
        addresses = [str(each[4][0]) for each in numeric]
    if not all(map(is_allowed, addresses)):
        raise ValidationError(_("Webhooks to this address are not allowed."), code="address_refused")
