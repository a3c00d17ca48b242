"""The route of a domain's mail: the operator's routes first, then DNS, cached while valid."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

import dns.rdatatype
import dns.resolver
import idna

from dispatcher.core.exchangers import (
    AddressAnswer,
    Addresses,
    Exchangers,
    HostsByPreference,
    MailExchanger,
    MxAnswer,
    hosts_by_preference,
    lookup_failed,
    without_exchangers,
)
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import (
    SMTP_PORT,
    Route,
    TlsPolicy,
    address_in_literal,
    site_of,
)
from dispatcher.core.static_routes import NextHop, StaticRoutes
from dispatcher.phases import DNS, timed
from dispatcher.ttl_cache import TtlCache
from posthouse.dns.resolver import LOOKUP_TIMEOUT, DnsClient, host_of_name
from posthouse.mail.address import is_ip_address
from posthouse.mail.dns_answer import LookupFailed, NoRecords, NoSuchName
from posthouse.mail.outcome import Bounced, Deferred

# How long an answer is cached at least and at most, whatever its TTL says.
SHORTEST_TTL = 5.0
LONGEST_TTL = 3600.0
# Seconds for which "there is nothing" and "no answer" are cached, and what leads nowhere.
NOTHING_TTL = 60.0
FAILURE_TTL = 5.0

MOST_DOMAINS = 50_000
MOST_HOSTS = 20_000


class MxResolver:
    """Asks the given name servers ("192.0.2.1" or "127.0.0.1:5353"), or the system's.

    A lookup with all its repetitions takes at most *timeout* seconds.
    """

    def __init__(
        self,
        nameservers: Sequence[str] = (),
        *,
        timeout: float = LOOKUP_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dns = DnsClient(nameservers, timeout=timeout)
        self._addresses: TtlCache[str, AddressAnswer] = TtlCache(
            most=MOST_HOSTS, shortest=SHORTEST_TTL, longest=LONGEST_TTL, clock=clock
        )

    async def exchangers(self, domain: str) -> tuple[MxAnswer, float]:
        """The MX records of *domain* (ASCII), and for how many seconds they are valid."""
        with timed(DNS):
            answer = await self._dns.answer(domain, dns.rdatatype.MX)
        if not isinstance(answer, dns.resolver.Answer):
            return answer, FAILURE_TTL if isinstance(answer, LookupFailed) else NOTHING_TTL
        records = tuple(MailExchanger(mx.preference, host_of_name(mx.exchange)) for mx in answer)
        return Exchangers(records), _ttl(answer)

    async def addresses(self, host: str) -> AddressAnswer:
        """The addresses of *host* (ASCII), IPv4 first; an address is its own."""
        if is_ip_address(host):
            return Addresses((host,))
        return await self._addresses.get(host, self._ask_for_addresses)

    def doubt(self, host: str) -> None:
        """The addresses of *host* lead nowhere: soon ask again, whatever their TTL says."""
        self._addresses.doubt(host, NOTHING_TTL)

    async def _ask_for_addresses(self, host: str) -> tuple[AddressAnswer, float]:
        with timed(DNS):
            answers = await asyncio.gather(
                self._dns.answer(host, dns.rdatatype.A), self._dns.answer(host, dns.rdatatype.AAAA)
            )
        found = [answer for answer in answers if isinstance(answer, dns.resolver.Answer)]
        if found:
            addresses = tuple(record.address for answer in found for record in answer)
            return Addresses(addresses), min(map(_ttl, found))
        for answer in answers:
            if isinstance(answer, LookupFailed):
                return answer, FAILURE_TTL
        # A name without records of one type exists, even if the other answer denies it.
        return NoRecords() if NoRecords() in answers else NoSuchName(), NOTHING_TTL


async def system_addresses(host: str) -> AddressAnswer:
    """The addresses of *host* as this machine sees it: hosts file, search domains and all.

    For hosts that the operator named; others are looked up in DNS alone.
    """
    loop = asyncio.get_running_loop()
    try:
        with timed(DNS):
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        return LookupFailed("timed out")
    except (OSError, UnicodeError) as error:
        return LookupFailed(str(error))
    return Addresses(tuple(dict.fromkeys(str(address[0]) for *_, address in found)))


def _ttl(answer: dns.resolver.Answer) -> float:
    return float(answer.chaining_result.minimum_ttl)


class Router:
    """Finds routes, and remembers them as long as DNS allows."""

    def __init__(
        self,
        resolver: MxResolver,
        refused: RefusedHosts,
        *,
        static: StaticRoutes | None = None,
        port: int = SMTP_PORT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = resolver
        self._refused = refused
        self._static = static or StaticRoutes()
        self._port = port
        self._known: TtlCache[str, Route | Deferred | Bounced] = TtlCache(
            most=MOST_DOMAINS, shortest=SHORTEST_TTL, longest=LONGEST_TTL, clock=clock
        )

    async def route(self, domain: str) -> Route | Deferred | Bounced:
        """The servers that take mail for *domain* (lower case), or why there are none."""
        return self._known.known(domain) or await self._known.get(domain, self._find)

    def doubt(self, domain: str) -> None:
        """The route of *domain* leads nowhere: soon ask again, whatever its TTL says."""
        self._known.doubt(domain, NOTHING_TTL)

    async def _find(self, domain: str) -> tuple[Route | Deferred | Bounced, float]:
        hop = self._static.hop_for(domain)
        if hop is not None:
            return await self._by_hop(hop)
        if (address := address_in_literal(domain)) is not None:
            return self._to(((address,),)), LONGEST_TTL
        try:
            name = domain if domain.isascii() else idna.encode(domain).decode("ascii")
        except idna.IDNAError as error:
            return lookup_failed(domain, str(error)), LONGEST_TTL
        return await self._by_mx(name, self._port)

    async def _by_hop(self, hop: NextHop) -> tuple[Route | Deferred | Bounced, float]:
        if not hop.has_mx:
            site, hosts = f"{hop.name}:{hop.port}", ((hop.name,),)
            return Route(hosts, hop.port, site, hop.tls, static=True, login=hop.login), LONGEST_TTL
        found, seconds = await self._by_mx(hop.name, hop.port)
        if isinstance(found, Route):
            return replace(found, tls=hop.tls, by_operator=True), seconds
        # The operator's mistake says nothing against the recipient's domain.
        return lookup_failed(hop.name, found.reply.text), min(seconds, NOTHING_TTL)

    async def _by_mx(self, domain: str, port: int) -> tuple[Route | Deferred | Bounced, float]:
        answer, seconds = await self._resolver.exchangers(domain)
        match answer:
            case Exchangers():
                hosts = hosts_by_preference(domain, answer, self._refused)
            case LookupFailed(reason):
                return lookup_failed(domain, reason), FAILURE_TTL
            case nothing:
                own = await self._resolver.addresses(domain)
                hosts = without_exchangers(domain, nothing, own, self._refused)
        if isinstance(hosts, Deferred):
            return hosts, min(seconds, NOTHING_TTL)
        if isinstance(hosts, Bounced):
            return hosts, seconds
        return self._to(hosts, port), seconds

    def _to(self, hosts: HostsByPreference, port: int | None = None) -> Route:
        site = site_of(chain(*hosts))
        return Route(hosts, port or self._port, site, TlsPolicy.OPPORTUNISTIC)
