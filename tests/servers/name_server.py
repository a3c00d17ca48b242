"""A name server on loopback that follows CNAME, and has delegated parts of its zone."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from servers.dns_stub import DnsStub, dns_stub

_MOST_ALIASES = 8


@dataclass
class NameServer(DnsStub):
    """Resolves as the table says, or refers those who ask to the servers of a delegated domain."""

    # The servers of each domain that is not ours any more; only of a server that has a zone.
    delegations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    authoritative: bool = False

    def fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        """Put into *response* the records of *name*, of what it is an alias for, or a referral."""
        for parent in _with_parents(name):
            if servers := self.delegations.get(parent):
                hosts = (f"{server}." for server in servers)
                response.authority.append(
                    dns.rrset.from_text(f"{parent}.", self.ttl, "IN", "NS", *hosts)
                )
                return
        if self.authoritative:
            response.flags |= dns.flags.AA
        for _ in range(_MOST_ALIASES):
            alias = self.zone.get((name, "CNAME"))
            if alias is None or kind == "CNAME":
                break
            response.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", "CNAME", *alias))
            name = alias[0].rstrip(".")
        if records := self.zone.get((name, kind)):
            response.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", kind, *records))
        elif not any(known == name or known.endswith(f".{name}") for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)


def _with_parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[at:]) for at in range(len(labels))]


@contextmanager
def dns_in_thread(stub: DnsStub, address: str = "127.0.0.1") -> Iterator[DnsStub]:
    """*stub*, listening in a thread of its own, for commands that a test waits for."""
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with dns_stub(stub, address=address):
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield stub
    finally:
        stop.set()
        thread.join()
