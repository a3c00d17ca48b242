"""Which addresses requests may go to: the public internet's, and what the operator allows."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

# Of IPv6 only what is assigned to the public (RFC 4291 section 2.4); less what leads elsewhere.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address behind it
_REFUSED_6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo (an IPv4 address is hidden in it), ORCHID, benchmarks: RFC 6890
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address is hidden in it, and it is no longer in use (RFC 7526)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
_REFUSED_4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)


def may_be_called(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether a request may go to *address*, as a socket has it.

    Refused is what is not of the public internet: loopback, private, link-local (where clouds keep
    their metadata), shared, reserved, and IPv6 forms that carry such an IPv4 address (RFC 6890).
    What *allowed* has may be called whatever it is.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if any(found in network for network in allowed if network.version == found.version):
        return True
    if isinstance(found, IPv6Address):
        return _is_public_6(found, allowed)
    return not any(found in network for network in _REFUSED_4)


def _is_public_6(address: IPv6Address, allowed: Sequence[Network]) -> bool:
    if address.ipv4_mapped is not None:
        return may_be_called(str(address.ipv4_mapped), allowed)
    if address in _NAT64:
        return may_be_called(str(IPv4Address(int(address) & 0xFFFFFFFF)), allowed)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _REFUSED_6)
