"""DNS that fails, falls silent or is gone: mail waits, and intake does not even notice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio

from chaos.knock import knock
from chaos.ledger import Ledger
from chaos.relay import Onebox
from faults.database import command
from servers.dns_stub import DnsStub, dns_stub
from servers.mx import mx
from servers.own_network import own_network
from servers.patience import eventually, until
from servers.ports import lasting_ports

SERVER = "192.0.2.25"
DOMAINS = ("known.example", "failing.example", "silent.example", "gone.example")
ZONE = {(domain, "MX"): (f"10 mx.{domain}.",) for domain in DOMAINS} | {
    (f"mx.{domain}", "A"): (SERVER,) for domain in DOMAINS
}
DEFERRED = """
SELECT v.recipient, t.enhanced, t.scope FROM attempts t JOIN deliveries v ON v.id = t.delivery_id
WHERE t.outcome <> 'delivered'
"""
GIVEN_UP = "SELECT count(*) AS n FROM events WHERE kind IN ('bounced', 'expired', 'quarantined')"


@pytest_asyncio.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Onebox]:
    """One that finds its way by DNS, in a network where mail servers listen on port 25."""
    with own_network() as network:
        network.add(SERVER)
        (port,) = lasting_ports(1)
        settings = {
            "POSTHOUSE_ROUTES": "",
            "POSTHOUSE_NAMESERVERS": f"127.0.0.1:{port}",
            "POSTHOUSE_WORKERS": "1",  # what one has learnt the others do not know
        }
        made = Onebox(tmp_path, settings)
        made.sink_port = port
        try:
            await made.start()
            yield made
        finally:
            await made.close()


async def test_mail_waits_for_dns_and_known_ways_are_gone_meanwhile(relay: Onebox) -> None:
    """Each failure is a deferral of the site, 4.4.3; none is final, and none costs others."""
    port = relay.sink_port
    stub = DnsStub(ZONE)
    async with mx(address=SERVER, port=25) as server, AsyncExitStack() as dns:

        async def send_to(domain: str, number: int) -> None:
            before = len(stub.questions)
            said = await knock(relay.customer.normal, number=number, recipient=f"ann@{domain}")
            assert said.startswith("250 ")
            assert not any(name == "client.example" for name, _ in stub.questions[before:])

        async def deferred() -> dict[str, tuple[str, str]]:
            rows = await command(relay.database_url, DEFERRED)
            return {row["recipient"][4:]: (row["enhanced"], row["scope"]) for row in rows}

        await dns.enter_async_context(dns_stub(stub, port))
        await send_to("known.example", 0)
        await until(lambda: len(server.messages) == 1)

        stub.servfail, stub.silent = frozenset({"failing.example"}), frozenset({"silent.example"})
        await send_to("failing.example", 1)
        await send_to("silent.example", 2)
        await asyncio.sleep(0.5)
        await dns.aclose()
        await send_to("gone.example", 3)
        await send_to("known.example", 4)
        await until(lambda: len(server.messages) == 2)

        async def all_deferred() -> bool:
            return set(DOMAINS[1:]) == (await deferred()).keys()

        await eventually(all_deferred, within=25)
        assert {("4.4.3", "site")} == set((await deferred()).values())

        async with dns_stub(DnsStub(ZONE), port):
            ledger = Ledger(relay.database_url)

            async def all_sent() -> bool:  # what is known of a failure is believed for five seconds
                await ledger.nudge()
                return len(server.messages) == 5

            await eventually(all_sent)
    (row,) = await command(relay.database_url, GIVEN_UP)
    assert 0 == row["n"]
