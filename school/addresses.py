"""
Where a request comes from: the one address that throttles and lockouts go by.

``X-Forwarded-For`` is a text that anybody can send. Each proxy adds on the right whom it was asked by, so only what
proxies of one's own have added is true: addresses are read from the right, beginning with the peer itself, and the
first one that is no proxy of one's own is the client's. What stands further left is what the client claims.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

# How many proxies each request has come through, or the networks that they are in.
Proxies = int | tuple[Any, ...]
UNKNOWN = "0.0.0.0"  # noqa: S104  # stands for who has no address: nothing is bound to it
HOME_NETWORK = 64  # bits: whoever has one address of IPv6 has all that begin like it


def trusted_proxies(text: str) -> Proxies:
    """Read the setting: a count, or networks parted by commas. Raise ``ImproperlyConfigured``."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        return tuple(ip_network(part.strip()) for part in text.split(","))
    except ValueError:
        message = f"TRUSTED_PROXIES must be a number of proxies or networks parted by commas, not {text!r}."
        raise ImproperlyConfigured(message) from None


def client_address(request: HttpRequest) -> str:
    """Return the address of the client; of IPv6 the network of 64 bits that it is one of."""
    peer = _parsed(request.META.get("REMOTE_ADDR", ""))
    proxies: Proxies = settings.TRUSTED_PROXIES
    if peer is None or not proxies:
        return _told(peer)
    claimed = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if isinstance(proxies, int):
        # Fewer than there are proxies: it came past one of them, and nothing in it can be believed.
        return _told((_parsed(claimed[-proxies]) if len(claimed) >= proxies else None) or peer)
    found = peer
    for text in reversed(claimed):
        if not any(found in network for network in proxies):
            break
        before = _parsed(text)
        if before is None:
            break
        found = before
    return _told(found)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a text, with or without a port; None where there is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _told(address: IPv4Address | IPv6Address | None) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), HOME_NETWORK), strict=False).network_address)
    return str(address or UNKNOWN)
