"""What leaves is looked through for bare line ends: once for deliveries that share a message."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dispatcher.core.envelope import Envelope
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.core.sent import Sent
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.sites import Sites
from posthouse.mail.outcome import Delivered
from posthouse.mail.reply import Reply
from posthouse.store.deliveries import LARGE_OCTETS, ClaimedDelivery, Settlement
from servers.claimed_delivery import claimed_delivery

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = b"Subject: hi\r\n\r\n"


class Watched(bytes):
    """Notes how often its beginning was taken."""

    looked: int = 0

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice) and not key.start:
            self.looked += 1
        return super().__getitem__(key)


@dataclass
class Hosts:
    """Resolver and sender: takes everything, and remembers it."""

    taken: list[Envelope] = field(default_factory=list)

    async def route(self, domain: str) -> Route:
        """One site for all."""
        return Route(((f"mx.{domain}",),), 25, domain, TlsPolicy.OPPORTUNISTIC)

    def doubt(self, domain: str) -> None:
        """Every route is a good one."""

    async def send(self, _: Route, envelope: Envelope) -> Sent:
        """Take it."""
        await asyncio.sleep(0)
        self.taken.append(envelope)
        return Sent((Delivered(Reply(250, "taken", "2.0.0")),), "mx.example", "")

    async def close(self) -> None:
        """Nothing is open."""


def claimed(header: bytes, body: bytes, size: int = 100) -> ClaimedDelivery:
    return claimed_delivery(header=header, body=body, size=size)


async def attempt(hosts: Hosts, *some: ClaimedDelivery) -> list[str]:
    """The kinds of their results."""
    attempts = DeliveryAttempts(hosts, hosts, Sites(100))
    results = await asyncio.gather(*map(attempts.run, some))
    return [result.kind for result in results if isinstance(result, Settlement)]


async def test_deliveries_that_share_a_message_have_it_looked_through_once() -> None:
    hosts, body = Hosts(), Watched(b"text\r\n")
    assert ["delivered"] * 100 == await attempt(hosts, *[claimed(HEADER, body)] * 100)
    assert 1 == body.looked
    assert {True} == {envelope.is_sound for envelope in hosts.taken}


async def test_a_flaw_is_seen_beside_sound_messages_and_each_time() -> None:
    hosts = Hosts()
    sound, flawed = claimed(HEADER, b"text\r\n"), claimed(HEADER, b"text\n.\r\n")
    kinds = await attempt(hosts, sound, flawed, flawed, sound, claimed(b"A: \0\r\n\r\n", b""))
    assert ["delivered", "bounced", "bounced", "delivered", "bounced"] == kinds
    assert {b"text\r\n"} == {envelope.body for envelope in hosts.taken}


async def test_a_large_message_is_not_kept_in_memory_for_it() -> None:
    hosts, body = Hosts(), Watched(b"text\r\n")
    large = claimed(HEADER, body, size=LARGE_OCTETS + 1)
    attempts = DeliveryAttempts(hosts, hosts, Sites(100))
    for _ in range(2):
        await attempts.run(large)
    assert 2 == body.looked
    assert body is not attempts._sound[1]
