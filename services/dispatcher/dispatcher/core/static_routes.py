"""Routes of the operator: where mail goes instead of to its MX, by which TLS and login."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from dispatcher.core.relay_login import RelayLogin
from dispatcher.core.routes import SMTP_PORT, TlsPolicy
from posthouse.mail.address import is_ip_address

IMPLICIT_TLS_PORT = 465  # RFC 8314 section 7.3

ReadSecret = Callable[[str], str]
"""The secret in a file; raises InvalidRoute if there is none to read."""

_OPTIONS = ("user", "secret_file", "tls")
_FOR_A_LOGIN = (TlsPolicy.VERIFIED, TlsPolicy.IMPLICIT, TlsPolicy.CLEAR)


class InvalidRoute(ValueError):
    """A route setting cannot be understood; the text says what was seen."""


@dataclass(frozen=True, slots=True)
class NextHop:
    """The target of a static route."""

    name: str
    port: int
    has_mx: bool  # look up the MX of *name*, which is a domain
    tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC
    login: RelayLogin | None = None
    secret_file: str = ""  # where the secret of the login was read

    def __str__(self) -> str:
        host = self.name if self.has_mx else f"[{self.name}]:{self.port}"
        options = {"secret_file": self.secret_file} if self.secret_file else {}
        if self.login is not None:
            options = {"user": self.login.user} | options
        if self.tls is not _usual_tls(self.port, self.login):
            options["tls"] = self.tls
        return host + "".join(f";{name}={quote(value, '@/:+=')}" for name, value in options.items())


@dataclass(frozen=True, slots=True)
class StaticRoutes:
    """Routes set by the operator: they win over DNS."""

    smarthost: NextHop | None = None  # takes every domain that has no route of its own
    by_domain: Mapping[str, NextHop] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, read_secret: ReadSecret) -> "StaticRoutes":
        """Read entries divided by commas or blanks: "relay:587" or "example.com=[10.0.0.1]:25".

        Brackets, a port or an address mean this host itself; a bare name means the MX of that
        domain. Options follow after semicolons, see parse_next_hop. Raises InvalidRoute.
        """
        smarthost: NextHop | None = None
        by_domain: dict[str, NextHop] = {}
        for entry in text.replace(",", " ").split():
            route, semicolon, options = entry.partition(";")
            domain, divider, target = route.partition("=")
            if not divider:
                domain, target = "", route
            elif not domain:
                raise InvalidRoute(f"{route!r} names no domain before the '='")
            if (domain.lower() in by_domain) if domain else (smarthost is not None):
                raise InvalidRoute(f"{route!r} is the second route for {domain or 'all domains'}")
            hop = parse_next_hop(target + semicolon + options, read_secret)
            if domain:
                by_domain[domain.lower()] = hop
            else:
                smarthost = hop
        return cls(smarthost, by_domain)

    def hop_for(self, domain: str) -> NextHop | None:
        """The next hop for mail to *domain* (lower case), or None to ask DNS."""
        return self.by_domain.get(domain, self.smarthost)

    def __str__(self) -> str:
        own = [f"{domain}={hop}" for domain, hop in self.by_domain.items()]
        return ", ".join([str(self.smarthost), *own] if self.smarthost else own)


_NEXT_HOP = re.compile(
    r"(?:\[(?:IPv6:)?(?P<literal>[^\[\]\s]+)\]|(?P<name>[^\[\]:\s]+))(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE,
)
_HOST_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.IGNORECASE)


def parse_next_hop(text: str, read_secret: ReadSecret) -> NextHop:
    """Read "domain", "host:port", "[host]:port" or an address; port 25 where none is given.

    It may be followed by ";user=...;secret_file=...;tls=...": what a URL would not hold is written
    as there ("%2C" is a comma). A login implies verified TLS, port 465 implicit TLS.
    """
    target, *given = text.split(";")
    match = _NEXT_HOP.fullmatch(target)
    if match is None:
        raise InvalidRoute(f"{target!r} is not a host, host:port or [host]:port")
    name = (match["literal"] or match["name"]).lower()
    port = int(match["port"] or SMTP_PORT)
    if not 0 < port < 65536:  # noqa: PLR2004
        raise InvalidRoute(f"{target!r} has no port between 1 and 65535")
    if not (is_ip_address(name) or _HOST_NAME.fullmatch(name)):
        raise InvalidRoute(f"{target!r} names neither a host nor an address")
    is_host = bool(match["literal"] or match["port"] or is_ip_address(name))
    options = _options(target, given)
    secret_file = options.get("secret_file", "")
    login = _login(target, options.get("user", ""), secret_file, read_secret)
    tls = _tls(target, options["tls"]) if "tls" in options else _usual_tls(port, login)
    if not is_host and (login or tls.checks_certificate):
        raise InvalidRoute(f"{target!r}: a login or verified TLS needs a host with its port")
    if login and tls not in _FOR_A_LOGIN:
        raise InvalidRoute(f"{target!r}: with a login tls is {' or '.join(_FOR_A_LOGIN)}")
    return NextHop(name, port, not is_host, tls, login, secret_file)


def _options(target: str, given: list[str]) -> dict[str, str]:
    """Never quotes a value: one in the wrong place may be a secret."""
    options: dict[str, str] = {}
    for option in given:
        name, _, value = option.partition("=")
        if name not in _OPTIONS:
            raise InvalidRoute(f"{target!r}: {name!r} is none of {', '.join(_OPTIONS)}")
        if not value or name in options:
            raise InvalidRoute(f"{target!r}: {name} is to be given once, with a value")
        options[name] = unquote(value)
    return options


def _login(target: str, user: str, secret_file: str, read_secret: ReadSecret) -> RelayLogin | None:
    if bool(user) != bool(secret_file):
        raise InvalidRoute(f"{target!r}: user and secret_file belong together")
    if not user:
        return None
    secret = read_secret(secret_file)
    if "\0" in user + secret:
        raise InvalidRoute(f"{target!r}: a login holds no NUL (RFC 4616)")
    return RelayLogin(user, secret)


def _tls(target: str, word: str) -> TlsPolicy:
    try:
        return TlsPolicy(word)
    except ValueError:
        raise InvalidRoute(f"{target!r}: tls is one of {', '.join(TlsPolicy)}") from None


def _usual_tls(port: int, login: RelayLogin | None) -> TlsPolicy:
    if port == IMPLICIT_TLS_PORT:
        return TlsPolicy.IMPLICIT
    return TlsPolicy.VERIFIED if login else TlsPolicy.OPPORTUNISTIC
