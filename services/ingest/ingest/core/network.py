"""Clients by address: what counts as one of them."""

from ipaddress import IPv6Address

_SIXTY_FOUR_BITS = len("2001:0db8:0000:0000")


def client_address(host: str) -> str:
    """The address of a peer as everything else writes it: IPv4 also when it came in over IPv6."""
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    return str(address.ipv4_mapped or address)


def network_of(client: str) -> str:
    """What one client can be assumed to have: an IPv4 address, or an IPv6 network of 64 bits."""
    return client if ":" not in client else IPv6Address(client).exploded[:_SIXTY_FOUR_BITS]
