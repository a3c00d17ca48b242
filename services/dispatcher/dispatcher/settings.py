"""The settings of the dispatcher."""

from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from dispatcher.core.source_addresses import SourceAddresses
from dispatcher.core.static_routes import InvalidRoute, StaticRoutes
from dispatcher.in_flight import TO_A_SMARTHOST, TO_MANY, LaneLimits
from posthouse.running.common_settings import Separated, WithDoctor
from posthouse.running.program import ProgramSettings
from posthouse.running.settings import UnquotedMistake


def _limits(given: object) -> object:
    return LaneLimits.parse(given) if isinstance(given, str) else given


def _routes(given: object) -> object:
    if not isinstance(given, str):
        return given
    try:
        return StaticRoutes.parse(given, _read_secret)
    except InvalidRoute as error:
        if ";" in given:  # its options may hold a secret that was to be in a file
            raise UnquotedMistake(str(error)) from None
        raise


def _sources(given: object) -> object:
    if not isinstance(given, str):
        return given
    return SourceAddresses(tuple(ip_address(part.strip()) for part in given.split(",")))


def _read_secret(path: str) -> str:
    try:
        secret = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise InvalidRoute(f"secret_file {path!r} cannot be read ({reason})") from error
    if not secret:
        raise InvalidRoute(f"secret_file {path!r} is empty")
    return secret


class DispatcherSettings(ProgramSettings, WithDoctor):
    """Settings of delivery."""

    lane_limits: Annotated[LaneLimits, BeforeValidator(_limits), PlainSerializer(str)] | None = None
    """For lanes 1 to 5: how many transactions may run, per process, for one more of that lane to
    start. What a higher lane has more is kept free for it. None given: 120,110,100,100,100, and
    24,22,20,20,20 if everything goes to a smarthost."""

    site_limit: Annotated[int, Field(ge=1)] = 10
    """Most transactions at a time to one destination, per process; static routes are exempt."""

    routes: Annotated[StaticRoutes, BeforeValidator(_routes)] = StaticRoutes()
    """Where mail goes instead of to its MX: a smarthost "relay.example:25" or "127.0.0.1:2600" for
    everything, "example.com=[10.0.0.1]:25" for one domain; separated by commas. Behind a semicolon
    each may have user=NAME and secret_file=PATH (AUTH), and tls=clear, opportunistic, required,
    verified or implicit: with a login verified unless it is said, on port 465 implicit, otherwise
    opportunistic. See docs/operating.md, "Sending through a smarthost"."""

    private_networks_allowed: Annotated[tuple[IPv4Network | IPv6Network, ...], Separated] = ()
    """Private networks that mail is delivered to all the same, such as "10.20.0.0/16"; separated by
    commas. Otherwise no domain and no address in brackets leads into one; static routes may."""

    source_addresses: Annotated[
        SourceAddresses, BeforeValidator(_sources), PlainSerializer(str)
    ] = SourceAddresses()
    """Addresses of this machine that mail leaves from, one of IPv4, one of IPv6, or both with a
    comma between them; destinations without an address of that kind wait. Each should resolve to
    the host name of this dispatcher, and back. Default: the system chooses."""

    messages_per_connection: Annotated[int, Field(ge=1)] = 100
    """A connection to a destination is closed after this many messages."""

    lease_seconds: Annotated[float, Field(ge=5, le=600)] = 20.0
    """How long work stays with a process that died before others take it up."""

    @property
    def limits(self) -> LaneLimits:
        """The lanes' limits, given or not."""
        return self.lane_limits or (TO_A_SMARTHOST if self.routes.smarthost else TO_MANY)
