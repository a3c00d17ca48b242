"""Whether the tracking host of a domain is published as it has to be."""

from typing import TypeAlias

import pytest

from posthouse.dns.domain_check import DomainCheck
from posthouse.dns.resolver import DnsClient
from posthouse.domains.findings import Finding, FindingState
from posthouse.domains.setup_records import (
    DomainSetup,
    RecordPurpose,
    RelayHosts,
    records_for,
    zone_file,
)
from posthouse.profiles.choices import Onboarding
from posthouse.tracking.host_state import HostState
from servers.dns_stub import dns_stub
from servers.name_server import NameServer

Table: TypeAlias = dict[tuple[str, str], tuple[str, ...]]

HOST, TARGET = "click.x.example", "t.relay.example"
TROUBLE = "its certificate does not count: expired"
CNAME: Table = {(HOST, "CNAME"): (f"{TARGET}.",)}
ELSEWHERE: Table = {(HOST, "CNAME"): ("a.example.",)}
RIGHT, ADVICE, WRONG, UNKNOWN = (
    FindingState.RIGHT, FindingState.ADVICE, FindingState.WRONG, FindingState.UNKNOWN
)  # fmt: skip


def setup(
    trouble: str, target: str | None = TARGET, mode: Onboarding = Onboarding.RECORDS
) -> DomainSetup:
    relay = RelayHosts(
        "relay.example", "relay.example", "relay.example", None, ("ns.example",), target
    )
    return DomainSetup("x.example", mode, (), (), None, None, relay, HostState(HOST, trouble))


async def finding(zone: Table, asked: DomainSetup, *servfail: str) -> Finding:
    relay: Table = {(TARGET, "A"): ("192.0.2.1",), ("a.example", "A"): ("192.0.2.9",)}
    stub = NameServer({**relay, **zone}, servfail=frozenset(servfail))
    async with dns_stub(stub) as server:
        found = await DomainCheck(DnsClient((server.address,), timeout=0.5)).findings(asked)
    (one,) = (f for f in found if f.purpose is RecordPurpose.TRACKING)
    return one


@pytest.mark.parametrize(
    ("zone", "trouble", "state", "mend"),
    [
        (CNAME, "", RIGHT, ""),
        (ELSEWHERE, "", RIGHT, ""),  # a proxy of the customer stands before us
        (CNAME, TROUBLE, ADVICE, f"links do not lead there yet: {TROUBLE}"),
        ({(HOST, "A"): ("192.0.2.1",)}, TROUBLE, ADVICE, f"links do not lead there yet: {TROUBLE}"),
        (ELSEWHERE, TROUBLE, WRONG, "it leads elsewhere: change it"),
        ({(HOST, "A"): ("192.0.2.9",)}, TROUBLE, WRONG, "it leads elsewhere: change it"),
        ({}, TROUBLE, WRONG, "there is no CNAME record: publish it"),
    ],
)
async def test_T26_the_tracking_host_is_checked(
    zone: Table, trouble: str, state: FindingState, mend: str
) -> None:
    found = await finding(zone, setup(trouble))
    assert (state, mend, TARGET) == (found.state, found.mend, found.expected)


async def test_a_silent_dns_and_a_relay_without_a_host_are_said() -> None:
    assert UNKNOWN is (await finding({}, setup(TROUBLE), HOST)).state
    unset = await finding(CNAME, setup(TROUBLE, None))
    assert (WRONG, True) == (unset.state, "POSTHOUSE_TRACKING_URL" in unset.mend)


def test_the_record_is_in_each_way_to_publish() -> None:
    line = f"{HOST}. IN CNAME {TARGET}."
    assert line in {record.zone_line for record in records_for(setup(""))}
    assert line in zone_file(setup("", mode=Onboarding.DELEGATION), 1).splitlines()
    assert not any("CNAME" in record.type for record in records_for(setup("", None)))
