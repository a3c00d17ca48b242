"""What RabbitMQ can do to us, and that hints flow again without a hand of ours."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aio_pika
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from posthouse.broker import BrokerState, Topic
from posthouse.broker.rabbitmq import RabbitMqBroker
from posthouse.broker.rabbitmq_session import EXCHANGE, routing_key
from posthouse.mail.lane import Lane
from servers.patience import on_this_machine, until
from servers.rabbitmq import RabbitNode

from .conftest import Ears, is_connected, running

NOBODY = "amqp://guest:guest@127.0.0.1:1/"

# Erlang, to be evaluated in the broker. A queue of the list may end by itself meanwhile.
DELETE_QUEUES = (
    '[catch rabbit_amqqueue:delete(Q, false, false, <<"us">>) || Q <- rabbit_amqqueue:list()].'
)
DELETE_EXCHANGE = (
    f'rabbit_exchange:delete(rabbit_misc:r(<<"/">>, exchange, <<"{EXCHANGE}">>), false, <<"us">>).'
)


@dataclass
class Line:
    """From one that announces to one that listens."""

    announcing: RabbitMqBroker
    listening: RabbitMqBroker
    ears: Ears

    async def works(self, lane: Lane, within: float = 20) -> None:
        """Return when a hint of *lane* went through and both ends are connected."""
        self.ears.lanes.clear()
        async with asyncio.timeout(on_this_machine(within)):
            while lane not in self.ears.lanes or not self.is_whole():
                self.announcing.announce(Topic.SUBMISSIONS, lane)
                await asyncio.sleep(0.05)

    def is_whole(self) -> bool:
        """Whether both ends are connected."""
        return is_connected(self.announcing) and is_connected(self.listening)


@pytest_asyncio.fixture
async def line(amqp_url: str) -> AsyncIterator[Line]:
    announcing, listening = RabbitMqBroker(amqp_url), RabbitMqBroker(amqp_url)
    ears = Ears(listening)
    async with running(announcing, listening):
        yield Line(announcing, listening, ears)


@pytest.fixture
def alarm(rabbitmq_node: RabbitNode) -> Iterator[None]:
    """The broker thinks that it has no memory left and accepts nothing."""
    rabbitmq_node.ctl("set_vm_memory_high_watermark", "0.00001")
    yield
    rabbitmq_node.ctl("set_vm_memory_high_watermark", "0.4")


def dropped() -> float:
    name = "posthouse_amqp_hints_dropped_total"
    return REGISTRY.get_sample_value(name, {"topic": "submissions"}) or 0.0


def test_only_an_amqp_url_will_do() -> None:
    with pytest.raises(ValueError, match="amqp://"):
        RabbitMqBroker("http://guest:guest@localhost/")


async def test_without_rabbitmq_hints_are_dropped_and_counted_and_the_reason_is_logged() -> None:
    """A service may start while RabbitMQ is away."""
    broker = RabbitMqBroker(NOBODY)
    before = dropped()
    with capture_logs() as logs:
        async with running(broker, connected=False):
            await until(lambda: bool(logs))
            broker.announce(Topic.SUBMISSIONS, Lane.NORMAL)
            assert broker.state is BrokerState.AWAY
    assert before + 1 == dropped()
    assert "broker_unreachable" == logs[0]["event"]
    assert "onnect" in logs[0]["reason"]


async def test_an_outage_is_logged_once() -> None:
    with capture_logs() as logs:
        async with running(RabbitMqBroker(NOBODY), connected=False):
            await asyncio.sleep(1)
    assert ["broker_unreachable"] == [line["event"] for line in logs]


@pytest.mark.rabbitmq
async def test_wrong_credentials_are_named_as_the_reason(amqp_url: str) -> None:
    wrong = amqp_url.replace("guest:guest", "guest:wrong")
    with capture_logs() as logs:
        async with running(RabbitMqBroker(wrong), connected=False):
            await until(lambda: bool(logs))
    assert "ACCESS_REFUSED" in logs[0]["reason"]


async def test_a_host_without_an_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look-up inside of uvloop's connect outlives its time limit, and logs "never retrieved"."""
    connecting = []
    monkeypatch.setattr(aio_pika.Connection, "connect", lambda *_: connecting.append(1))
    with capture_logs() as logs:
        broker = RabbitMqBroker("amqp://guest:guest@nowhere.invalid:5672/")
        async with running(broker, connected=False):
            await until(lambda: bool(logs))
    assert "gaierror" in logs[0]["reason"]
    assert not connecting


async def test_it_ends_though_the_library_answers_that_with_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As aiormq does when the broker refuses us at the same moment."""
    called = asyncio.Event()

    async def connect(*_: object, **__: object) -> None:
        called.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("refused") from None

    monkeypatch.setattr(aio_pika.Connection, "connect", connect)
    async with (
        asyncio.timeout(on_this_machine(15)),
        running(RabbitMqBroker(NOBODY), connected=False),
    ):
        await called.wait()


@pytest.mark.rabbitmq
async def test_of_several_nodes_one_that_answers_will_do(amqp_url: str) -> None:
    broker = RabbitMqBroker(NOBODY, NOBODY, amqp_url)
    ears = Ears(broker)
    async with running(broker):
        broker.announce(Topic.SUBMISSIONS, Lane.NORMAL)
        await ears.hear(Lane.NORMAL)


@pytest.mark.rabbitmq
async def test_whatever_comes_under_the_key_of_a_lane_is_a_hint(amqp_url: str, line: Line) -> None:
    """From a newer version perhaps. Under another key it is nothing."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(EXCHANGE)
        for key in ("submissions.77", routing_key(Topic.SUBMISSIONS, Lane.BULK)):
            for body in (b"\xc1 is nothing", b"x" * 1_000_000):
                await exchange.publish(aio_pika.Message(body), key, mandatory=False)
    await until(lambda: len(line.ears.lanes) > 0)
    assert {Lane.BULK} == set(line.ears.lanes)
    await line.works(Lane.HIGH)


@pytest.mark.rabbitmq
async def test_nothing_is_left_in_rabbitmq_when_a_listener_ends(
    amqp_url: str, rabbitmq_node: RabbitNode
) -> None:
    listening = RabbitMqBroker(amqp_url)
    Ears(listening)
    async with running(listening):
        assert len(Lane) == len(await queues(rabbitmq_node))
    assert [] == await queues(rabbitmq_node)


@pytest.mark.rabbitmq
async def test_queues_can_be_deleted_under_their_listener(
    line: Line, rabbitmq_node: RabbitNode
) -> None:
    lost = line.listening._session
    await asyncio.to_thread(rabbitmq_node.ctl, "eval", DELETE_QUEUES)
    await until(lambda: line.listening._session is not lost)  # a new one may be there at once
    await line.works(Lane.NORMAL)


@pytest.mark.rabbitmq
async def test_the_exchange_can_be_deleted(line: Line, rabbitmq_node: RabbitNode) -> None:
    """Its bindings go with it, without notice: they are declared again every three seconds."""
    await asyncio.to_thread(rabbitmq_node.ctl, "eval", DELETE_EXCHANGE)
    await line.works(Lane.NORMAL)


@pytest.mark.rabbitmq
async def test_all_connections_can_be_closed_by_the_operator(
    line: Line, rabbitmq_node: RabbitNode
) -> None:
    lost = line.announcing._session
    await asyncio.to_thread(rabbitmq_node.ctl, "close_all_connections", "maintenance")
    await until(lambda: line.announcing._session is not lost)
    await line.works(Lane.NORMAL)


@pytest.mark.rabbitmq
async def test_an_alarm_blocks_who_announces_and_not_who_only_listens(
    line: Line, rabbitmq_node: RabbitNode, request: pytest.FixtureRequest
) -> None:
    await line.works(Lane.NORMAL)
    request.getfixturevalue("alarm")
    async with asyncio.timeout(on_this_machine(15)):
        while line.announcing.state is not BrokerState.BLOCKED:
            line.announcing.announce(Topic.SUBMISSIONS, Lane.NORMAL)
            await asyncio.sleep(0.05)
    before = dropped()
    line.announcing.announce(Topic.SUBMISSIONS, Lane.HIGH)
    assert before + 1 == dropped()
    assert 1 == REGISTRY.get_sample_value("posthouse_amqp_blocked")
    assert is_connected(line.listening)
    await asyncio.to_thread(rabbitmq_node.ctl, "set_vm_memory_high_watermark", "0.4")
    await until(lambda: is_connected(line.announcing))
    await line.works(Lane.HIGH)


@pytest.mark.rabbitmq
async def test_a_broker_that_stops_answering_is_given_up_and_found_again(
    line: Line, rabbitmq_node: RabbitNode
) -> None:
    """Though nothing is announced; and announcing meanwhile neither waits nor raises."""
    rabbitmq_node.pause()
    try:
        await until(lambda: not is_connected(line.announcing), within=8)
        await until(lambda: not is_connected(line.listening), within=4)
        line.announcing.announce(Topic.SUBMISSIONS, Lane.NORMAL)
    finally:
        rabbitmq_node.resume()
    await line.works(Lane.NORMAL)


@pytest.mark.rabbitmq
async def test_a_broker_that_is_gone_is_found_when_it_is_back(
    line: Line, rabbitmq_node: RabbitNode
) -> None:
    """Also by a service that starts while it is away."""
    await asyncio.to_thread(rabbitmq_node.stop)
    await until(lambda: not line.is_whole())
    late = RabbitMqBroker(rabbitmq_node.url)
    ears = Ears(late)
    async with running(late, connected=False):
        await asyncio.sleep(0.2)
        assert late.state is BrokerState.AWAY
        await asyncio.to_thread(rabbitmq_node.start)
        await line.works(Lane.NORMAL)
        await until(lambda: is_connected(late))
        await line.works(Lane.HIGH)
        await ears.hear(Lane.HIGH)


@pytest.mark.rabbitmq
async def test_a_broker_that_was_killed_is_found_when_it_is_back(
    line: Line, rabbitmq_node: RabbitNode
) -> None:
    await asyncio.to_thread(rabbitmq_node.kill)
    await asyncio.to_thread(rabbitmq_node.start)
    await line.works(Lane.NORMAL)


@pytest.mark.rabbitmq
async def test_a_broker_that_forgot_everything_is_set_up_again(
    line: Line, rabbitmq_node: RabbitNode
) -> None:
    await asyncio.to_thread(rabbitmq_node.wipe)
    await line.works(Lane.NORMAL)


async def queues(node: RabbitNode) -> list[str]:
    """The queues that there are."""
    listed = await asyncio.to_thread(node.ctl, "-q", "list_queues", "name", "--no-table-headers")
    return listed.split()
