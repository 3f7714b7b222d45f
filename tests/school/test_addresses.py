"""The client IP: the address of the peer, or the one from trusted proxies, never a header set by the client."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from school.http.client_ip import UNKNOWN_ADDRESS, client_address, parse_trusted_proxies

NETWORKS = "10.0.0.0/8, 2001:db8:1::/48"


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        # Without a proxy the header is the client's own claim.
        ("0", "203.0.113.9", None, "203.0.113.9"),
        ("0", "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("0", "10.0.0.1", "198.51.100.1", "10.0.0.1"),
        # Proxies by network: the first address from the right that is not in a trusted network.
        (NETWORKS, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (NETWORKS, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (NETWORKS, "10.0.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"),
        (NETWORKS, "10.0.0.1", "192.0.2.66, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (NETWORKS, "10.0.0.1", "10.0.0.66, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (NETWORKS, "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (NETWORKS, "10.0.0.1", None, "10.0.0.1"),
        (NETWORKS, "10.0.0.1", "", "10.0.0.1"),
        (NETWORKS, "10.0.0.1", "192.0.2.66, nonsense", "10.0.0.1"),
        (NETWORKS, "10.0.0.1", "192.0.2.66, unknown, 10.0.0.2", "10.0.0.2"),
        (NETWORKS, "10.0.0.1", "198.51.100.1:51234", "198.51.100.1"),
        (NETWORKS, "2001:db8:1::5", "[2001:db8:7:7::9]:443", "2001:db8:7:7::"),
        (NETWORKS, "::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        # Proxies by number: this many addresses from the right, not counting the peer.
        ("1", "10.0.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"),
        ("2", "10.0.0.1", "192.0.2.66, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("2", "203.0.113.9", "192.0.2.66", "203.0.113.9"),
        ("1", "10.0.0.1", None, "10.0.0.1"),
        ("1", "10.0.0.1", "nonsense", "10.0.0.1"),
        # An IPv6 address stands for its whole network; an IPv4 address is the same in every notation.
        ("0", "2001:db8:7:7:1:2:3:4", None, "2001:db8:7:7::"),
        ("0", "::ffff:203.0.113.9", None, "203.0.113.9"),
        ("0", "", None, UNKNOWN_ADDRESS),
    ],
)
def test_client_ip_is_the_rightmost_address_that_is_not_a_trusted_proxy(settings, proxies, peer, forwarded, address):
    settings.TRUSTED_PROXIES = parse_trusted_proxies(proxies)
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}

    assert client_address(RequestFactory().get("/", REMOTE_ADDR=peer, **headers)) == address


@pytest.mark.parametrize("text", ["nginx", "-1", "10.0.0.1/8", "10.0.0.0/8,", "1.5"])
def test_invalid_trusted_proxies_stop_the_start(text):
    with pytest.raises(ImproperlyConfigured) as error:
        parse_trusted_proxies(text)

    assert (
        str(error.value)
        == f"TRUSTED_PROXIES must be a number of proxies, or networks separated by commas, not {text!r}."
    )
