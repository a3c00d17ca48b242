"""Where clients connect, and what holds there (RULES X01, X02, X17)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Self

from posthouse.profiles.choices import LineEndings
from posthouse.running.tcp import Endpoint

LEAST_SECONDS = 60  # that a client has for a command (RULES T04)
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 -- to be compared; the second takes IPv4 clients too


class TlsMode(StrEnum):
    """What is spoken at a listener: SMTP in four modes of TLS, or HTTP without it or with it."""

    NONE = "none"  # in clear, AUTH included: for a private network
    OPPORTUNISTIC = "opportunistic"  # STARTTLS offered, AUTH also without it
    STARTTLS_REQUIRED = "starttls_required"  # nothing but STARTTLS before TLS
    IMPLICIT = "implicit"  # TLS from the first octet (RFC 8314)
    HTTP = "http"  # in clear: on this machine, or from a proxy that has a name
    HTTPS = "https"

    @property
    def needs_certificate(self) -> bool:
        """Whether a client may ask for TLS."""
        return self not in (TlsMode.NONE, TlsMode.HTTP)

    @property
    def is_http(self) -> bool:
        """Whether it is spoken there, and not SMTP."""
        return self in (TlsMode.HTTP, TlsMode.HTTPS)


@dataclass(frozen=True, slots=True)
class Listener:
    """An address with one port or a range of them; its clients share TLS mode and options."""

    host: str
    ports: range
    tls: TlsMode
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()  # none: clients connect themselves
    line_endings: LineEndings = LineEndings.CLEAN  # refuse: whatever the profile says
    idle_seconds: int | None = None  # None: as for all
    messages: int | None = None  # of a connection; None: as for all

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "0.0.0.0:1025-5000/none+proxy=10.0.0.0/8"; ValueError quotes a mistake."""
        address, slash, rest = text.strip().partition("/")
        mode, *options = rest.split("+")
        modes = {str(mode): mode for mode in TlsMode}
        if not slash or mode not in modes:
            raise ValueError(
                f"{text!r} is not HOST:PORT/MODE or HOST:FIRST-LAST/MODE with one of these modes: "
                f"{', '.join(modes)}"
            )
        host, ports = _ports(address)
        listener = cls(host, ports, modes[mode], **_options(text, options))
        if listener.tls is TlsMode.HTTP and not (listener.proxies or ip_address(host).is_loopback):
            raise ValueError(
                f"{text!r}: plain HTTP is spoken at 127.0.0.1 and [::1], or with proxies: add "
                "+proxy=NETWORK, or take https"
            )
        return listener

    @property
    def name(self) -> str:
        """Without its options: as metrics and the knob `session.allowed_listeners` name it."""
        last = f"-{self.ports[-1]}" if len(self.ports) > 1 else ""
        return f"{Endpoint(self.host, self.ports[0])}{last}/{self.tls}"

    def __str__(self) -> str:
        """As `parse` reads it."""
        options = [f"+proxy={network}" for network in self.proxies]
        if self.line_endings is not LineEndings.CLEAN:
            options.append(f"+line_endings={self.line_endings}")
        for name in ("idle_seconds", "messages"):
            if getattr(self, name) is not None:
                options += [f"+{name}={getattr(self, name)}"]
        return self.name + "".join(options)

    @property
    def endpoints(self) -> Iterable[Endpoint]:
        """Each address and port."""
        return (Endpoint(self.host, port) for port in self.ports)

    def at(self, port: int) -> Self:
        """The same with the *port* that was found for 0; a range has its ports already."""
        return self if self.ports[0] else replace(self, ports=range(port, port + 1))

    def takes(self, other: Endpoint) -> bool:
        """Whether nobody else can listen at *other* beside it."""
        same = self.host == other.host or "::" in (self.host, other.host)
        if not same and ":" not in self.host + other.host:
            same = bool({self.host, other.host}.intersection(_WILDCARDS))
        return same and other.port != 0 and other.port in self.ports


def collisions(listeners: Iterable[Listener], others: Mapping[str, Endpoint]) -> Iterable[str]:
    """What takes the same port as a listener: *others*, by the setting of each, and listeners."""
    before: list[Listener] = []
    for listener in listeners:
        for setting, endpoint in others.items():
            if listener.takes(endpoint):
                yield f"{listener.name} takes {endpoint}, which is {setting}"
        for earlier in before:
            if both := next(filter(earlier.takes, listener.endpoints), None):
                yield f"{earlier.name} and {listener.name} both take port {both.port}"
        before.append(listener)


def _ports(address: str) -> tuple[str, range]:
    host, colon, ports = address.rpartition(":")
    first, dash, last = ports.partition("-")
    if not dash:
        only = Endpoint.parse(address)
        return only.host, range(only.port, only.port + 1)
    try:
        begin, end = (Endpoint.parse(f"{host}{colon}{port}") for port in (first, last))
    except ValueError as error:
        raise ValueError(f"{address!r}: {error}") from None
    if not 0 < begin.port < end.port:
        raise ValueError(f"{address!r} is no range of ports, such as 0.0.0.0:1025-5000")
    return begin.host, range(begin.port, end.port + 1)


def _options(text: str, options: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or name not in _OPTIONS:
            raise ValueError(
                f"{text!r}: {option!r} is not NAME=VALUE with one of these names: "
                f"{', '.join(_OPTIONS)}"
            )
        try:
            read = _OPTIONS[name](value)
        except ValueError as error:
            raise ValueError(f"{text!r}: {option!r}: {error}") from None
        if name == "proxy":
            found["proxies"] = (*found.get("proxies", ()), read)
        elif name in found:
            raise ValueError(f"{text!r}: {name} is given twice")
        else:
            found[name] = read
    return found


def _network(text: str) -> IPv4Network | IPv6Network:
    network = ip_network(text)
    if network.prefixlen == 0:
        raise ValueError("should name the networks of the proxies; this is every address")
    return network


def _line_endings(text: str) -> LineEndings:
    if text not in list(LineEndings):
        raise ValueError(f"should be one of {', '.join(LineEndings)}")
    return LineEndings(text)


def _at_least(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= _MOST):
            raise ValueError(f"should be a number from {least} to {_MOST}")
        return int(text)

    return read


_MOST = 1_000_000
_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "proxy": _network,
    "line_endings": _line_endings,
    "idle_seconds": _at_least(LEAST_SECONDS),
    "messages": _at_least(1),
}
