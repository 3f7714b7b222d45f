"""
The addresses that webhooks may be sent to.

Refused are all networks of the registries of special-purpose addresses (RFC 6890) and multicast, which include private
networks and those of carriers, the address of this machine, and the metadata services of clouds. IPv6 addresses are
allowed only among the global unicast addresses. ``WEBHOOK_ALLOWED_NETWORKS`` has the exceptions.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings

REFUSED = [
    ip_network(each)
    for each in (
        "0.0.0.0/8",  # this network; connecting to 0.0.0.0 reaches this machine
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by the customers of a carrier
        "127.0.0.0/8",
        "168.63.129.16/32",  # the metadata service of Azure
        "169.254.0.0/16",  # link-local, with the metadata services of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # Teredo and others of the IETF
        "2001:db8::/32",
        "2002::/16",  # 6to4: the address contains one of IPv4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
]
GLOBAL_UNICAST = ip_network("2000::/3")


def is_allowed(text: str) -> bool:
    """Return True if a message may be sent to this address."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in settings.WEBHOOK_ALLOWED_NETWORKS):
        return True
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return not any(address in network for network in REFUSED)
