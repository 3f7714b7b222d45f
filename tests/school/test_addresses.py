"""Whose address a request has: the peer's, or what proxies of one's own say, and never what the client says."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from school.http.client_ip import UNKNOWN, client_address, trusted_proxies

NETWORKS = "10.0.0.0/8, 2001:db8:1::/48"


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        # Without a proxy the header is the client's own claim.
        ("0", "203.0.113.9", None, "203.0.113.9"),
        ("0", "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("0", "10.0.0.1", "198.51.100.1", "10.0.0.1"),
        # By networks: the first from the right that is none of one's own.
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
        # By their number: so many from the right, the peer not counted.
        ("1", "10.0.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"),
        ("2", "10.0.0.1", "192.0.2.66, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("2", "203.0.113.9", "192.0.2.66", "203.0.113.9"),
        ("1", "10.0.0.1", None, "10.0.0.1"),
        ("1", "10.0.0.1", "nonsense", "10.0.0.1"),
        # Whoever has one address of IPv6 has its whole network; an IPv4 address is one, however it is written.
        ("0", "2001:db8:7:7:1:2:3:4", None, "2001:db8:7:7::"),
        ("0", "::ffff:203.0.113.9", None, "203.0.113.9"),
        ("0", "", None, UNKNOWN),
    ],
)
def test_an_address_is_the_first_from_the_right_that_is_no_proxy_of_ones_own(
    settings, proxies, peer, forwarded, address
):
    settings.TRUSTED_PROXIES = trusted_proxies(proxies)
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}

    assert client_address(RequestFactory().get("/", REMOTE_ADDR=peer, **headers)) == address


@pytest.mark.parametrize("text", ["nginx", "-1", "10.0.0.1/8", "10.0.0.0/8,", "1.5"])
def test_proxies_that_cannot_be_stop_the_start(text):
    with pytest.raises(ImproperlyConfigured) as error:
        trusted_proxies(text)

    assert (
        str(error.value)
        == f"TRUSTED_PROXIES must be a number of proxies, or networks separated by commas, not {text!r}."
    )
