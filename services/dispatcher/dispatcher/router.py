"""The route of a domain's mail: the operator's routes first, then DNS."""

import idna

from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import (
    SMTP_PORT,
    Exchangers,
    LookupFailed,
    NextHop,
    Route,
    StaticRoutes,
    TlsPolicy,
    address_in_literal,
    hosts_in_order,
    lookup_failed,
    site_of,
    without_exchangers,
)
from dispatcher.mx_resolver import FAILURE_TTL, LONGEST_TTL, SHORTEST_TTL, MxResolver, TtlCache
from posthouse.mail.outcome import Bounced, Deferred

MOST_DOMAINS = 50_000


class Router:
    """Finds routes, and remembers them as long as DNS allows."""

    def __init__(
        self,
        resolver: MxResolver,
        refused: RefusedHosts,
        *,
        static: StaticRoutes | None = None,
        tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC,
        port: int = SMTP_PORT,
    ) -> None:
        self._resolver = resolver
        self._refused = refused
        self._static = static or StaticRoutes()
        self._tls = tls
        self._port = port
        self._known: TtlCache[str, Route | Deferred | Bounced] = TtlCache(
            most=MOST_DOMAINS, shortest=SHORTEST_TTL, longest=LONGEST_TTL
        )

    async def route(self, domain: str) -> Route | Deferred | Bounced:
        """The servers that take mail for *domain* (lower case), or why there are none."""
        return self._known.known(domain) or await self._known.get(domain, self._find)

    async def _find(self, domain: str) -> tuple[Route | Deferred | Bounced, float]:
        hop = self._static.hop_for(domain)
        if hop is not None:
            return await self._by_hop(hop)
        if (address := address_in_literal(domain)) is not None:
            return self._to((address,)), LONGEST_TTL
        try:
            name = domain if domain.isascii() else idna.encode(domain).decode("ascii")
        except idna.IDNAError as error:
            return lookup_failed(domain, str(error)), LONGEST_TTL
        return await self._by_mx(name, self._port)

    async def _by_hop(self, hop: NextHop) -> tuple[Route | Deferred | Bounced, float]:
        if hop.has_mx:
            return await self._by_mx(hop.name, hop.port)
        site = f"{hop.name}:{hop.port}"
        return Route((hop.name,), hop.port, site, self._tls, static=True), LONGEST_TTL

    async def _by_mx(self, domain: str, port: int) -> tuple[Route | Deferred | Bounced, float]:
        answer, seconds = await self._resolver.exchangers(domain)
        match answer:
            case Exchangers():
                hosts = hosts_in_order(domain, answer, self._refused)
            case LookupFailed(reason):
                return lookup_failed(domain, reason), FAILURE_TTL
            case nothing:
                own = await self._resolver.addresses(domain)
                hosts = without_exchangers(domain, nothing, own, self._refused)
        if isinstance(hosts, Deferred | Bounced):
            return hosts, seconds
        return self._to(hosts, port), seconds

    def _to(self, hosts: tuple[str, ...], port: int | None = None) -> Route:
        return Route(hosts, port or self._port, site_of(hosts), self._tls)
