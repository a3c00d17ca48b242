"""Mail leaves from the addresses that the operator names, and from no other."""

import asyncio
from datetime import UTC, datetime
from ipaddress import ip_address
from uuid import UUID

import pytest

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.envelope import Envelope
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.core.source_addresses import SourceAddresses
from dispatcher.core.static_routes import StaticRoutes
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.router import MxResolver, Router
from dispatcher.settings import DispatcherSettings
from dispatcher.sites import Sites
from posthouse.mail.lane import Lane
from posthouse.mail.outcome import Deferred
from posthouse.mail.submission import Delivery
from posthouse.running.settings import SettingsError, load
from posthouse.store.deliveries import ClaimedDelivery, Settlement

MESSAGE = Envelope("a@shop.example", ("b@there.example",), b"Subject: x\r\n\r\n", b"x\r\n")
CLOSED = StaticRoutes.parse("127.0.0.1:9", str)  # nothing listens there
GIVEN = {
    "POSTHOUSE_DATABASE_URL": "postgresql://x",
    "POSTHOUSE_BROKER_URL": "amqp://x",
}


def to(*hosts: str, port: int = 25) -> Route:
    return Route((hosts,), port, "test", TlsPolicy.CLEAR, static=True)


def pool(*sources: str) -> ConnectionPool:
    return ConnectionPool(
        "relay.example",
        MxResolver(["127.0.0.1:9"]),
        RefusedHosts(frozenset()),
        source=SourceAddresses(tuple(map(ip_address, sources))),
    )


@pytest.mark.parametrize(
    ("sources", "seen"), [(("127.0.0.9", "::1"), "127.0.0.9"), ((), "127.0.0.1")]
)
async def test_a_connection_begins_at_the_address_of_its_kind(
    sources: tuple[str, ...], seen: str
) -> None:
    peers: list[str] = []

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sent = await pool(*sources).send(to("127.0.0.1", port=port), MESSAGE)

    assert isinstance(sent.outcomes[0], Deferred)
    assert [seen] == peers
    assert (seen if sources else "") == sent.source


async def test_a_host_without_an_address_of_that_kind_waits() -> None:
    sent = await pool("::1").send(to("127.0.0.1"), MESSAGE)

    assert "no address of the kind that mail leaves from" in str(sent.outcomes[0])


def test_the_setting_names_one_of_each_kind() -> None:
    def read(value: str) -> SourceAddresses:
        given = {**GIVEN, "POSTHOUSE_SOURCE_ADDRESSES": value}
        return load(DispatcherSettings, given).source_addresses

    assert "192.0.2.7,2001:db8::7" == str(read("192.0.2.7, 2001:db8::7"))
    for wrong in ("192.0.2.7,192.0.2.8", "relay.example"):
        with pytest.raises(SettingsError, match="POSTHOUSE_SOURCE_ADDRESSES is"):
            read(wrong)


async def test_the_event_says_which_of_them_it_was() -> None:
    """So that customers can be told (`sendingIp` of RULES T26)."""
    nobody, now = UUID(int=0), datetime.now(UTC)
    delivery = Delivery(
        nobody, nobody, nobody, nobody, Lane.NORMAL, "b@there.example", "r@x.example"
    )
    claimed = ClaimedDelivery(
        delivery, 1, 0, 0, expired=False, received_at=now, expires_at=now, size=9,
        header=b"Subject: x\r\n\r\n",
    )  # fmt: skip
    router = Router(MxResolver(["127.0.0.1:9"]), RefusedHosts(frozenset()), static=CLOSED)
    result = await DeliveryAttempts(router, pool("127.0.0.9"), Sites(1)).run(claimed)

    assert isinstance(result, Settlement)
    assert "127.0.0.9" == result.detail["source"]
