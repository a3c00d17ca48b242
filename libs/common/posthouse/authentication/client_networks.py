"""Addresses of clients, and the networks that they are in."""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_SIXTY_FOUR_BITS = len("2001:0db8:0000:0000")


def client_address(host: str) -> str:
    """The address of a peer in one spelling: IPv4 also when it came in over IPv6."""
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    return str(address.ipv4_mapped or address)


def network_of(client: str) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 network of 64 bits."""
    return client if ":" not in client else IPv6Address(client).exploded[:_SIXTY_FOUR_BITS]


def forwarded_client(peer: str, forwarded_for: str, is_proxy: Callable[[str], bool]) -> str:
    """Who calls through the proxy *peer*: the last one in X-Forwarded-For that is no proxy.

    Whoever stands before that one may have been written by the client. Where the proxies name
    nobody, the last one that is known is the client.
    """
    client = peer
    for told in reversed(forwarded_for.split(",")):
        address = told.strip()
        if not _is_address(address):
            break
        client = client_address(address)
        if not is_proxy(client):
            break
    return client


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_within(client: str, networks: tuple[str, ...]) -> bool:
    """Whether the address *client* is in one of *networks*."""
    address = ip_address(client)
    return any(address in _network(network) for network in networks)


@lru_cache(maxsize=1_024)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)
