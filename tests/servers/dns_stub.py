"""A name server on loopback that answers from a table, for tests of what DNS can do to us."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

# Name and type to records; missing names do not exist, names with other types have no records.
Zone = Mapping[tuple[str, str], tuple[str, ...]]


@dataclass
class DnsStub(asyncio.DatagramProtocol):
    """Answers over UDP and remembers the questions."""

    zone: Zone
    servfail: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    ttl: int = 300
    delay: float = 0.0
    questions: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""  # "127.0.0.1:port", once it listens

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where we listen."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        host, port = transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.questions.append((name, kind))
        if name in self.silent:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if name in self.servfail:
            response.set_rcode(dns.rcode.SERVFAIL)
        else:
            self.fill(response, name, kind)
        loop = asyncio.get_running_loop()
        loop.call_later(self.delay, self._transport.sendto, response.to_wire(), addr)

    def fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        """Put into *response* what the table says."""
        if records := self.zone.get((name, kind), ()):
            response.answer.append(dns.rrset.from_text(name + ".", self.ttl, "IN", kind, *records))
        elif name not in {known for known, _ in self.zone}:
            response.set_rcode(dns.rcode.NXDOMAIN)


@asynccontextmanager
async def dns_stub(
    stub: DnsStub, port: int = 0, address: str = "127.0.0.1"
) -> AsyncIterator[DnsStub]:
    """*stub*, listening; port 0 is any free one."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: stub, local_addr=(address, port))
    try:
        yield stub
    finally:
        transport.close()
