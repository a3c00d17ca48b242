"""Asks name servers that resolve, as a receiver of mail has them: they follow CNAME and NS."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.rdtypes.txtbase
import dns.resolver

from posthouse.mail.address import is_ip_address
from posthouse.mail.dns_answer import (
    DnsAnswer,
    Found,
    LookupFailed,
    NoAnswer,
    NoRecords,
    NoSuchName,
)

DNS_PORT = 53
# One question to one name server, and a whole lookup with its repetitions, in seconds.
QUESTION_TIMEOUT = 3.0
LOOKUP_TIMEOUT = 10.0


class Questions(Protocol):
    """What is asked of DNS."""

    async def ask(self, name: str, kind: str) -> DnsAnswer:
        """The records of *name* of the type *kind*, such as "TXT"."""

    async def addresses(self, host: str) -> DnsAnswer:
        """The addresses of *host*, IPv4 first."""


class DnsClient:
    """Asks the given name servers ("192.0.2.1" or "127.0.0.1:5353"), or the system's.

    A lookup with all its repetitions takes at most *timeout* seconds.
    """

    def __init__(self, nameservers: Sequence[str] = (), *, timeout: float = LOOKUP_TIMEOUT) -> None:
        self._nameservers = [_nameserver(text) for text in nameservers]
        self._timeout = timeout
        self._known: dns.asyncresolver.Resolver | None = None

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """Raises NoResolverConfiguration while the system names no server."""
        if self._known is None:
            made = dns.asyncresolver.Resolver(configure=not self._nameservers)
            if self._nameservers:
                made.nameservers = list(self._nameservers)
            made.timeout = QUESTION_TIMEOUT
            made.lifetime = self._timeout
            self._known = made
        return self._known

    async def answer(
        self, name: str, kind: dns.rdatatype.RdataType
    ) -> dns.resolver.Answer | NoAnswer:
        """The whole answer to one question."""
        try:
            # From the root: a search domain must not turn another's name into one of ours.
            question = dns.name.from_text(name, dns.name.root)
            return await self._resolver().resolve(question, kind)
        except dns.resolver.NXDOMAIN:
            return NoSuchName()
        except dns.resolver.NoAnswer:
            return NoRecords()
        except (dns.exception.DNSException, OSError) as error:
            return LookupFailed(f"{kind.name}: {' '.join(str(error).split())}")

    async def ask(self, name: str, kind: str) -> DnsAnswer:
        """See `Questions`."""
        answer = await self.answer(name, dns.rdatatype.from_text(kind))
        if not isinstance(answer, dns.resolver.Answer):
            return answer
        chain = answer.chaining_result.cnames
        aliases = tuple(host_of_name(alias[0].target) for alias in chain)
        return Found(tuple(value_of(record) for record in answer), aliases)

    async def addresses(self, host: str) -> DnsAnswer:
        """See `Questions`."""
        if is_ip_address(host):
            return Found((host,))
        answers = await asyncio.gather(self.ask(host, "A"), self.ask(host, "AAAA"))
        found = [answer for answer in answers if isinstance(answer, Found)]
        if found:
            return Found(tuple(v for answer in found for v in answer.values), found[0].aliases)
        for answer in answers:
            if isinstance(answer, LookupFailed):
                return answer
        # A name without records of one type exists, even if the other answer denies it.
        return NoRecords() if NoRecords() in answers else NoSuchName()


@dataclass(frozen=True, slots=True)
class UntilDeadline:
    """Asks *dns* until *at*, by the clock of the event loop; later questions have no answer."""

    dns: Questions
    at: float

    async def ask(self, name: str, kind: str) -> DnsAnswer:
        """See `Questions`."""
        return await self._in_time(self.dns.ask(name, kind))

    async def addresses(self, host: str) -> DnsAnswer:
        """See `Questions`."""
        return await self._in_time(self.dns.addresses(host))

    async def _in_time(self, question: Awaitable[DnsAnswer]) -> DnsAnswer:
        try:
            async with asyncio.timeout_at(self.at):
                return await question
        except TimeoutError:
            return LookupFailed("all questions together took too long")


def value_of(record: object) -> str:
    """The data of a record as text."""
    if isinstance(record, dns.rdtypes.txtbase.TXTBase):
        # RFC 7208 section 3.3, RFC 6376 section 3.6.2.2: joined, without spaces between.
        return b"".join(record.strings).decode("latin-1")
    target = getattr(record, "target", None)
    if isinstance(target, dns.name.Name):
        return host_of_name(target)
    exchange = getattr(record, "exchange", None)
    if isinstance(exchange, dns.name.Name):
        return f"{record.preference} {host_of_name(exchange)}"  # type: ignore[attr-defined]  # MX
    return str(record)


def host_of_name(name: dns.name.Name) -> str:
    """A name in lower case, without the last dot; "" is the root."""
    return "" if name == dns.name.root else name.to_text(omit_final_dot=True).lower()


def _nameserver(text: str) -> dns.nameserver.Do53Nameserver:
    """A name server from "192.0.2.1", "192.0.2.1:5353", "2001:db8::1" or "[2001:db8::1]:5353"."""
    if is_ip_address(text):
        return dns.nameserver.Do53Nameserver(text, DNS_PORT)
    address, _, port = text.rpartition(":")
    return dns.nameserver.Do53Nameserver(address.strip("[]"), int(port))
