"""Hosts that no domain may send us to: this machine, and private networks."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128")))

# The owner of a domain chooses the addresses that its mail goes to, and a customer may write an
# address instead of a domain: neither may make us connect to hosts inside the operator's network.
# Named one by one, because Python's own lists differ between its versions.
PRIVATE: tuple[IpNetwork, ...] = (
    *_LOOPBACK,
    *map(
        ipaddress.ip_network,
        (
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by customers of a provider (RFC 6598)
            "169.254.0.0/16",  # link-local: metadata of cloud machines
            "172.16.0.0/12",
            "192.168.0.0/16",
            "224.0.0.0/3",  # multicast, reserved, broadcast
            "64:ff9b:1::/48",  # translation to private IPv4 (RFC 8215)
            "fc00::/7",
            "fe80::/9",  # link-local, site-local
            "ff00::/8",
        ),
    ),
)
# RFC 6052: an IPv4 address in the last 32 bits.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class RefusedHosts:
    """Hosts that we never connect to, even if DNS or an address in a domain names them."""

    names: frozenset[str]  # our host names, lower case: mail to them would come back to us
    networks: tuple[IpNetwork, ...] = PRIVATE
    allowed: tuple[IpNetwork, ...] = ()  # by the operator, though private

    def without_refused(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """Those of *addresses* that may be connected to."""
        return tuple(address for address in addresses if not self._is_refused(address))

    def _is_refused(self, address: str) -> bool:
        ip = _as_connected(address)
        if any(ip in network for network in self.allowed):
            return False
        return any(ip in network for network in self.networks)


def is_loopback(address: str) -> bool:
    """Whether a connection to *address* would come back to this machine."""
    return any(_as_connected(address) in network for network in _LOOPBACK)


def _as_connected(address: str) -> IpAddress:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip in _TRANSLATED:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
