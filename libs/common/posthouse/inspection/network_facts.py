"""Connects to servers at port 25, as deliveries do."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from posthouse.dns.resolver import Questions
from posthouse.doctor.outward_judges import PortFacts
from posthouse.mail.dns_answer import values_of
from posthouse.running.tcp import Endpoint

_SMTP = 25
_SECONDS = 10.0  # to connect and be greeted: servers of the world take some seconds
_SHOWN = 80  # characters of a greeting


async def port_25_facts(dns: Questions, domains: Sequence[str]) -> PortFacts:
    """Whether the first mail exchanger of each of *domains* greets us; nothing is sent but QUIT."""
    answers = await asyncio.gather(*(dns.ask(domain, "MX") for domain in domains))
    best = [
        min(values_of(answer), key=lambda value: int(value.partition(" ")[0])).rpartition(" ")[2]
        for answer in answers
        if values_of(answer)
    ]
    return await greetings([Endpoint(host, _SMTP) for host in dict.fromkeys(best) if host])


async def greetings(servers: Sequence[Endpoint], *, smarthost: bool = False) -> PortFacts:
    """What each of *servers* says first, or why it says nothing."""
    said = await asyncio.gather(*map(_greeting, servers), return_exceptions=True)
    found = dict(zip(map(str, servers), said, strict=True))
    return PortFacts(
        {server: text for server, text in found.items() if isinstance(text, str)},
        {server: _reason(e) for server, e in found.items() if isinstance(e, Exception)},
        smarthost,
    )


async def _greeting(server: Endpoint) -> str:
    """Raises OSError, TimeoutError or ValueError."""
    async with asyncio.timeout(_SECONDS):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        try:
            line = (await reader.readline()).decode("ascii", "replace").strip()
            if not line.startswith("2"):
                raise ValueError(f"it says {line[:_SHOWN]!r}")
            writer.write(b"QUIT\r\n")
            return line[:_SHOWN]
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_SECONDS:g} seconds"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
