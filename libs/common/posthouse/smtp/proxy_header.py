"""The header of the PROXY protocol, version 1 and 2: whose connection a proxy passes on.

The rules are those of haproxy's doc/proxy-protocol.txt. Of version 2 the TLVs are skipped unread,
CRC32C too: TCP has a checksum already, and a proxy that is trusted needs no other.
"""

from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

_V1 = b"PROXY "
_V1_OCTETS = 107  # at most, with its line end
_V1_WORDS = 6
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED = 16  # octets before its addresses
_V2_OCTETS = 4_096  # at most behind these; the protocol allows 65,535
_LOCAL, _PROXY = 0x20, 0x21  # version and command
# The length of addresses and ports by family and protocol: TCP over IPv4, over IPv6, unspecified.
_V2_ADDRESSES = {0x11: 12, 0x21: 36, 0x00: 0}
_MOST_PORT = 65_535


class BadProxyHeader(Exception):
    """What came is no PROXY header."""


class ProxyHeader(NamedTuple):
    """A header that was read."""

    octets: int  # it had
    client: str | None  # the client's address; None: the proxy speaks for itself, or cannot tell


def read_proxy_header(received: bytes) -> ProxyHeader | None:
    """The header that *received* begins with; None when more of it is needed.

    Raises BadProxyHeader as soon as it can be none.
    """
    if received[: len(_V2)] == _V2[: len(received)]:
        return _version_2(received) if len(received) >= _V2_FIXED else None
    if received[: len(_V1)] == _V1[: len(received)]:
        end = received.find(b"\n", 0, _V1_OCTETS) + 1
        if end:
            return ProxyHeader(end, _version_1(received[:end]))
        if len(received) < _V1_OCTETS:
            return None
        raise BadProxyHeader(f"no line end within {_V1_OCTETS} octets")
    raise BadProxyHeader("something else came first")


def _version_1(line: bytes) -> str | None:
    """The client's address of "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25"."""
    if not line.endswith(b"\r\n"):
        raise BadProxyHeader("its line ends without CR LF")
    words = line[:-2].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":  # the rest is to be ignored
        return None
    if words[1] not in ("TCP4", "TCP6") or len(words) != _V1_WORDS:
        raise BadProxyHeader("not PROXY TCP4 or TCP6 with two addresses and two ports")
    kind = IPv4Address if words[1] == "TCP4" else IPv6Address
    try:
        client, _ = kind(words[2]), kind(words[3])
    except AddressValueError:
        raise BadProxyHeader(f"an address is not one of {words[1]}") from None
    if "%" in words[2] or not all(map(_is_port, words[4:])):
        raise BadProxyHeader("an address with a zone, or a port that is none")
    return str(client)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text[:6]) <= _MOST_PORT


def _version_2(received: bytes) -> ProxyHeader | None:
    command, family = received[12], received[13]
    behind = int.from_bytes(received[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise BadProxyHeader(f"version and command are {command:#04x}")
    if behind > _V2_OCTETS:
        raise BadProxyHeader(f"{behind} octets of addresses and TLVs, over {_V2_OCTETS}")
    if command == _PROXY and behind < _V2_ADDRESSES.get(family, behind + 1):
        raise BadProxyHeader(f"family {family:#04x} with {behind} octets")
    octets = _V2_FIXED + behind
    if len(received) < octets:
        return None
    if command == _LOCAL or not _V2_ADDRESSES[family]:
        return ProxyHeader(octets, None)
    packed = received[_V2_FIXED : _V2_FIXED + (_V2_ADDRESSES[family] - 4) // 2]
    client = IPv4Address(packed) if family == 0x11 else IPv6Address(packed)  # noqa: PLR2004
    return ProxyHeader(octets, str(client))
