"""What becomes of a delivery when DNS fails, lies or leads back to us: asked, judged, concluded."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.router import MxResolver, Router
from dispatcher.sites import Sites
from posthouse.mail.address_failure import FailureWeight
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery
from posthouse.running.identity import new_id
from posthouse.store.deliveries import ClaimedDelivery, Settlement
from servers.dns_stub import DnsStub, dns_stub
from servers.mx import Mx, mx

ZONE = {
    ("null.example", "MX"): ("0 .",),
    ("loop.example", "MX"): ("10 mx.loop.example.",),
    ("mx.loop.example", "A"): ("127.0.0.1",),
    ("nowhere.example", "MX"): ("10 mx.nowhere.example.",),
    ("mx.nowhere.example", "A"): ("0.0.0.0",),  # noqa: S104 - reaches this machine
    ("six.example", "MX"): ("10 mx.six.example.",),
    ("mx.six.example", "AAAA"): ("::1",),
    ("mapped.example", "MX"): ("10 mx.mapped.example.",),
    ("mx.mapped.example", "AAAA"): ("::ffff:127.0.0.1",),
    ("private.example", "MX"): ("10 mx.private.example.", "20 mx2.private.example."),
    ("mx.private.example", "A"): ("10.1.2.3", "100.64.0.1", "169.254.169.254"),
    ("mx2.private.example", "AAAA"): ("fd00::1", "fe80::1", "::ffff:192.168.0.1"),
    ("implicit.example", "A"): ("127.0.0.1",),
    ("named.example", "MX"): ("10 relay.example.",),
    ("lost.example", "MX"): ("10 mx.lost.example.",),
    ("astray.example", "MX"): ("10 servfail.example.",),
    ("mute.example", "MX"): ("10 silent.example.",),
}

DNS_IS_TO_BLAME = [
    ("servfail.example", EventKind.DEFERRED, "4.4.3"),
    ("silent.example", EventKind.DEFERRED, "4.4.3"),
    ("missing.example", EventKind.BOUNCED, "5.1.2"),
    ("null.example", EventKind.BOUNCED, "5.1.10"),
    # An exchanger that cannot be found is a mistake that may be mended, not the end.
    ("lost.example", EventKind.DEFERRED, "4.4.3"),
    ("astray.example", EventKind.DEFERRED, "4.4.3"),
    ("mute.example", EventKind.DEFERRED, "4.4.3"),
    # And so is one that is this machine.
    ("loop.example", EventKind.DEFERRED, "4.4.6"),
    ("nowhere.example", EventKind.DEFERRED, "4.4.6"),
    ("six.example", EventKind.DEFERRED, "4.4.6"),
    ("mapped.example", EventKind.DEFERRED, "4.4.6"),
    ("implicit.example", EventKind.DEFERRED, "4.4.6"),
    ("named.example", EventKind.DEFERRED, "4.4.6"),
    ("private.example", EventKind.DEFERRED, "4.4.4"),
    ("[10.0.0.5]", EventKind.DEFERRED, "4.4.4"),
    ("[172.31.255.1]", EventKind.DEFERRED, "4.4.4"),
    ("[224.0.0.1]", EventKind.DEFERRED, "4.4.4"),
    ("[255.255.255.255]", EventKind.DEFERRED, "4.4.4"),
    ("[IPv6:fec0::1]", EventKind.DEFERRED, "4.4.4"),
    ("[IPv6:64:ff9b::a00:5]", EventKind.DEFERRED, "4.4.4"),
    ("[127.0.0.1]", EventKind.DEFERRED, "4.4.6"),
    ("[IPv6:::1]", EventKind.DEFERRED, "4.4.6"),
]


@pytest.fixture
async def ourselves() -> AsyncIterator[Mx]:
    """What would answer if we came back to this machine."""
    async with mx() as server:
        yield server


def a_delivery_to(domain: str) -> ClaimedDelivery:
    delivery = Delivery(
        new_id(), new_id(), UUID(int=1), new_id(), Lane.NORMAL, f"x@{domain}", "s@relay.example"
    )
    now = datetime.now(UTC)
    return ClaimedDelivery(
        delivery,
        claim=1,
        tries=0,
        abandoned=0,
        expired=False,
        received_at=now,
        expires_at=now + timedelta(days=5),
        size=21,
        header=b"Subject: hi\r\n\r\n",
        body=b"text\r\n",
    )


@pytest.mark.parametrize(("domain", "kind", "enhanced"), DNS_IS_TO_BLAME)
async def test_only_no_such_domain_and_null_mx_are_final(
    ourselves: Mx, domain: str, kind: EventKind, enhanced: str
) -> None:
    """They count against the address, once they come twice; nothing connects to this machine."""
    servfail, silent = frozenset({"servfail.example"}), frozenset({"silent.example"})
    us = RefusedHosts(frozenset({"relay.example"}))
    async with dns_stub(DnsStub(ZONE, servfail, silent)) as stub:
        resolver = MxResolver([stub.address], timeout=0.3)
        sender = ConnectionPool("relay.example", resolver, us)
        attempts = DeliveryAttempts(Router(resolver, us, port=ourselves.port), sender, Sites(10))
        settlement = await attempts.run(a_delivery_to(domain))
        await attempts.close()

    assert isinstance(settlement, Settlement)
    assert (kind, enhanced) == (settlement.kind, settlement.detail["enhanced"])
    weight = settlement.failure and settlement.failure.weight
    assert (FailureWeight.GONE if kind is EventKind.BOUNCED else None) == weight
    assert (settlement.wait is None) is (kind is EventKind.BOUNCED)
    assert ourselves.connections == 0
