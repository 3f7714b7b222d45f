"""
The client address of a request, by which throttles and lockouts count.

Any client can send ``X-Forwarded-For``. Each proxy appends, on the right, the address of its peer, so only the entries
appended by trusted proxies can be believed. Addresses are therefore read from the right, beginning with the peer of the
connection; the first one that is not a trusted proxy is the client's. Entries further left are the client's own claim.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

# Either the number of trusted proxies that each request passes, or the networks that the trusted proxies are in.
Proxies = int | tuple[Any, ...]
UNKNOWN_ADDRESS = "0.0.0.0"  # noqa: S104  # used for a client without an address; no socket is bound to it
# The length of the prefix in bits; an IPv6 client usually controls all addresses with the same prefix.
IPV6_PREFIX_LENGTH = 64


def parse_trusted_proxies(text: str) -> Proxies:
    """Parse the setting: a number of proxies, or networks separated by commas. Raise ``ImproperlyConfigured``."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        networks = tuple(ip_network(part.strip()) for part in text.split(","))
    except ValueError:
        message = f"TRUSTED_PROXIES must be a number of proxies, or networks separated by commas, not {text!r}."
        raise ImproperlyConfigured(message) from None
    if not all(network.prefixlen for network in networks):
        # Every address would be a trusted proxy, and a client could claim another address for each login attempt.
        raise ImproperlyConfigured(f"TRUSTED_PROXIES must not be the whole internet, {text!r}.")
    return networks


def client_address(request: HttpRequest) -> str:
    """Return the client's address; for IPv6, the address of its network of 64 bits."""
    peer = _parse(request.META.get("REMOTE_ADDR", ""))
    proxies: Proxies = settings.TRUSTED_PROXIES
    if peer is None or not proxies:
        return _format(peer)
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if isinstance(proxies, int):
        # With fewer entries than proxies, the request bypassed a proxy, and no entry can be believed.
        return _format((_parse(forwarded[-proxies]) if len(forwarded) >= proxies else None) or peer)
    client = peer
    for text in reversed(forwarded):
        if not any(client in network for network in proxies):
            break
        previous = _parse(text)
        if previous is None:
            break
        client = previous
    return _format(client)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a text that may include a port; None if there is none."""
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


def _format(address: IPv4Address | IPv6Address | None) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), IPV6_PREFIX_LENGTH), strict=False).network_address)
    return str(address or UNKNOWN_ADDRESS)
