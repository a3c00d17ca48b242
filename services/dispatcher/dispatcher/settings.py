"""The settings of the dispatcher."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from dispatcher.core.routes import StaticRoutes
from dispatcher.in_flight import TO_A_SMARTHOST, TO_MANY, LaneLimits
from posthouse.running.common_settings import Separated
from posthouse.running.program import ProgramSettings


def _limits(given: object) -> object:
    return LaneLimits.parse(given) if isinstance(given, str) else given


def _routes(given: object) -> object:
    return StaticRoutes.parse(given) if isinstance(given, str) else given


class DispatcherSettings(ProgramSettings):
    """Settings of delivery."""

    lane_limits: Annotated[LaneLimits, BeforeValidator(_limits), PlainSerializer(str)] | None = None
    """For lanes 1 to 5: how many transactions may run, per process, for one more of that lane to
    start. What a higher lane has more is kept free for it. None given: 120,110,100,100,100, and
    24,22,20,20,20 if everything goes to a smarthost."""

    site_limit: Annotated[int, Field(ge=1)] = 10
    """Most transactions at a time to one destination, per process; static routes are exempt."""

    routes: Annotated[StaticRoutes, BeforeValidator(_routes)] = StaticRoutes.parse("")
    """Where mail goes instead of to its MX: a smarthost "relay.example:25" or "127.0.0.1:2600" for
    everything, "example.com=[10.0.0.1]:25" for one domain; separated by commas."""

    nameservers: Annotated[tuple[str, ...], Separated] = ()
    """DNS servers to ask, as addresses; none: the system's own."""

    private_networks_allowed: Annotated[tuple[IPv4Network | IPv6Network, ...], Separated] = ()
    """Private networks that mail is delivered to all the same, such as "10.20.0.0/16"; separated by
    commas. Otherwise no domain and no address in brackets leads into one; static routes may."""

    messages_per_connection: Annotated[int, Field(ge=1)] = 100
    """A connection to a destination is closed after this many messages."""

    lease_seconds: Annotated[float, Field(ge=5, le=600)] = 20.0
    """How long work stays with a process that died before others take it up."""

    @property
    def limits(self) -> LaneLimits:
        """The lanes' limits, given or not."""
        return self.lane_limits or (TO_A_SMARTHOST if self.routes.smarthost else TO_MANY)
