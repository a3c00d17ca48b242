"""A delegated domain is walked to from its parent: over real name servers on one port (E03)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import dns.flags
import dns.message
import dns.zone
import pytest

from posthouse.dns.domain_check import DomainCheck
from posthouse.dns.resolver import DnsClient
from posthouse.domains.findings import Finding, FindingState
from posthouse.domains.setup_records import (
    DomainSetup,
    PublishedKey,
    RecordPurpose,
    RelayHosts,
    zone_file,
)
from posthouse.profiles.choices import Onboarding
from servers.dns_stub import dns_stub
from servers.name_server import NameServer

OURS = ("ns1.op.example", "ns2.op.example")
RELAY = RelayHosts("relay.example", "relay.example", "relay.example", None, OURS)
KEY = PublishedKey("s1", "rsa-sha256", "v=DKIM1; k=rsa; p=AbCd", "active")
NAME = "news.x.example"
SETUP = DomainSetup(NAME, Onboarding.DELEGATION, (KEY,), (), None, NAME, RELAY)
PARENT, CHILD1, CHILD2 = "127.0.0.2", "127.0.0.3", "127.0.0.4"
AROUND = {
    ("x.example", "NS"): ("ns.x.example.",),
    ("ns.x.example", "A"): (PARENT,),
    ("ns1.op.example", "A"): (CHILD1,),
    ("ns2.op.example", "A"): (CHILD2,),
    ("relay.example", "A"): ("192.0.2.1",),
}
Table = Mapping[tuple[str, str], tuple[str, ...]]


def own_zone() -> Table:
    """The zone that we print, as a name server has loaded it."""
    zone = dns.zone.from_text(zone_file(SETUP, 1), origin=NAME, relativize=False)
    return {
        (name.to_text(omit_final_dot=True), data.rdtype.name): tuple(map(str, data))
        for name, data in zone.iterate_rdatasets()
    }


@asynccontextmanager
async def world(
    delegations: Mapping[str, tuple[str, ...]], *loaded: str, lost: bool = False
) -> AsyncIterator[DomainCheck]:
    """A resolver, the parent's server, and ours; those in *loaded* have the zone."""
    async with AsyncExitStack() as stack:
        # The resolver comes to the same answers as the walk: it has the zone if anybody has it.
        table = {**AROUND, **(own_zone() if loaded else {})}
        resolver = await stack.enter_async_context(dns_stub(NameServer(table)))
        port = int(resolver.address.rpartition(":")[2])
        silent = frozenset({NAME}) if lost else frozenset()
        parent = NameServer(
            {("x.example", "SOA"): ("ns.x.example. p. 1 2 3 4 5",)},
            silent=silent,
            delegations=delegations,
            authoritative=True,
        )
        await stack.enter_async_context(dns_stub(parent, port, PARENT))
        for address in (CHILD1, CHILD2):
            zone = own_zone() if address in loaded else {}
            server = NameServer(zone, authoritative=address in loaded)
            await stack.enter_async_context(dns_stub(server, port, address))
        yield DomainCheck(DnsClient((resolver.address,), timeout=0.5), port)


async def delegation(check: DomainCheck) -> Finding:
    (found,) = (f for f in await check.findings(SETUP) if f.purpose is RecordPurpose.DELEGATION)
    return found


async def test_E03_a_delegated_domain_with_our_zone_is_all_right() -> None:
    async with world({NAME: OURS}, CHILD1, CHILD2) as check:
        found = await check.findings(SETUP)
    assert {f.purpose: f.state for f in found} == {
        RecordPurpose.RELAY: FindingState.RIGHT,
        RecordPurpose.DELEGATION: FindingState.RIGHT,
        RecordPurpose.SPF: FindingState.RIGHT,
        RecordPurpose.DKIM: FindingState.RIGHT,
        RecordPurpose.RETURN_PATH: FindingState.RIGHT,
        RecordPurpose.DMARC: FindingState.ADVICE,
    }


async def test_E03_a_parent_that_does_not_delegate_is_named() -> None:
    async with world({}) as check:
        found = await delegation(check)
    assert found.state is FindingState.WRONG
    assert f"x.example does not delegate {NAME} (asked ns.x.example): add NS" in found.mend


async def test_E03_a_delegation_to_other_servers_is_told_apart() -> None:
    async with world({NAME: ("ns1.op.example", "ns.old.example")}, CHILD1, CHILD2) as check:
        found = await delegation(check)
    assert found.state is FindingState.WRONG
    assert "add NS ns2.op.example and remove NS ns.old.example" in found.mend
    assert found.seen == ("ns.old.example", "ns1.op.example")


async def test_E03_a_server_of_ours_without_the_zone_is_named() -> None:
    async with world({NAME: OURS}, CHILD1) as check:
        found = await delegation(check)
    assert found.state is FindingState.WRONG
    assert found.mend.endswith("--zone` prints: ns2.op.example: NXDOMAIN")


async def test_a_parent_that_gives_no_answer_is_neither_right_nor_wrong() -> None:
    async with world({NAME: OURS}, CHILD1, CHILD2, lost=True) as check:
        found = await delegation(check)
    assert found.state is FindingState.UNKNOWN
    assert "ns.x.example" in found.mend


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no server long."""
    monkeypatch.setattr("posthouse.dns.delegation.QUESTION_TIMEOUT", 0.1)


class Truncating(NameServer):
    """Has too much to say for UDP."""

    def fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        """Ask for TCP."""
        del name, kind
        response.flags |= dns.flags.TC


@pytest.mark.usefixtures("quick")
async def test_a_server_that_breaks_tcp_off_gives_no_answer() -> None:
    async with dns_stub(NameServer(AROUND)) as resolver:
        port = int(resolver.address.rpartition(":")[2])
        async with (
            dns_stub(Truncating({}), port, PARENT),
            await asyncio.start_server(lambda _, writer: writer.close(), PARENT, port),
        ):
            found = await delegation(DomainCheck(DnsClient((resolver.address,)), port))
    assert (found.state, "EOF" in found.mend) == (FindingState.UNKNOWN, True)


@pytest.mark.usefixtures("quick")
async def test_of_a_server_with_many_addresses_few_are_tried() -> None:
    dead = tuple(f"127.0.1.{n}" for n in range(1, 60))
    questions = {**AROUND, ("ns.x.example", "A"): dead}
    began = monotonic()
    async with dns_stub(NameServer(questions)) as resolver:
        found = await delegation(DomainCheck(DnsClient((resolver.address,)), port=9))
    assert monotonic() - began < 2
    assert found.state is FindingState.UNKNOWN
