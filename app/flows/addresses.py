"""What an IP address leads to, by the IANA special-purpose registries.

The table is our own: some versions of `ipaddress` call 3fff::/20, ff02::1 and 2002::/16 global.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

Kind = Literal[
    "public", "loopback", "private", "shared", "link-local", "multicast", "unspecified", "reserved"
]
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL: tuple[tuple[Kind, str], ...] = (
    ("unspecified", "0.0.0.0/8 ::/128"),
    ("loopback", "127.0.0.0/8 ::1/128"),
    ("private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"),
    ("shared", "100.64.0.0/10"),
    (
        "link-local",
        "169.254.0.0/16 fe80::/10 168.63.129.16/32",
    ),  # the last one: Azure's host, from any of its VMs
    ("multicast", "224.0.0.0/4 ff00::/8"),
    ("reserved", "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24"),
    ("reserved", "240.0.0.0/4 2001::/23 2001:db8::/32 2002::/16 3fff::/20"),
)
_NETWORKS: tuple[tuple[Kind, Network], ...] = tuple(
    (kind, ip_network(network)) for kind, networks in _SPECIAL for network in networks.split()
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def plain(text: str) -> Address:
    """The address that packets go to: an IPv4-mapped IPv6 address is its IPv4 address (RFC 4291 §2.5.5.2)."""
    address = ip_address(text)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def kind_of(address: Address) -> Kind:
    """Whether `address`, as `plain` gives it, is public, or else what it is."""
    if isinstance(address, IPv6Address) and address in _NAT64:  # RFC 6052 §2.1: the last 32 bits
        embedded = IPv4Address(int(address) & 0xFFFFFFFF)
        return "public" if kind_of(embedded) == "public" else "reserved"
    for kind, network in _NETWORKS:
        if address.version == network.version and address in network:
            return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "reserved"
    return "public"
