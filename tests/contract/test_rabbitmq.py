"""What RabbitMQ can do to us, and that none of it needs a hand of ours."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import aio_pika
import pytest
from prometheus_client import REGISTRY

from posthouse.broker import BrokerState, BrokerUnavailable, QueueTerms
from posthouse.broker.rabbitmq import RabbitMqBroker
from posthouse.broker.rabbitmq_link import ANSWER_WITHIN
from posthouse.broker.rabbitmq_queues import dead_queue, retry_queue
from posthouse.broker.rabbitmq_subscription import acknowledgements
from servers.consuming import Seen, consuming
from servers.patience import until
from servers.rabbitmq import RabbitNode

TERMS = QueueTerms(retry_after=0.05)


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[RabbitMqBroker]:
    async with RabbitMqBroker.open(amqp_url, terms=TERMS) as broker:
        await until(lambda: broker.connected)
        yield broker


@pytest.fixture
def consumer_timeout(rabbitmq_node: RabbitNode) -> Iterator[float]:
    """The broker takes a body away that is held for longer than this many seconds."""
    set_to = "application:set_env(rabbit, {}, {})."
    rabbitmq_node.ctl("eval", set_to.format("consumer_timeout", 500))
    rabbitmq_node.ctl("eval", set_to.format("channel_tick_interval", 500))
    yield 0.5
    rabbitmq_node.ctl("eval", set_to.format("consumer_timeout", 1_800_000))
    rabbitmq_node.ctl("eval", set_to.format("channel_tick_interval", 60_000))


@pytest.fixture
def alarm(rabbitmq_node: RabbitNode) -> Iterator[None]:
    """The broker thinks that it has no memory left and takes nothing."""
    rabbitmq_node.ctl("set_vm_memory_high_watermark", "0.00001")
    yield
    rabbitmq_node.ctl("set_vm_memory_high_watermark", "0.4")


def consumers(queue: str) -> float:
    return REGISTRY.get_sample_value("posthouse_amqp_consumers", {"queue": queue}) or 0.0


def put_away(queue: str) -> float:
    name = "posthouse_amqp_dead_letters_total"
    return REGISTRY.get_sample_value(name, {"queue": queue}) or 0.0


async def publish_patiently(broker: RabbitMqBroker, queue: str, body: bytes) -> None:
    """Publish as soon as the broker takes it: right after a loss it may refuse for a moment."""
    async with asyncio.timeout(15):
        while True:
            try:
                return await broker.publish(queue, [body])
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def publish_until_refused(broker: RabbitMqBroker, queue: str) -> None:
    async with asyncio.timeout(10):
        while True:
            await broker.publish(queue, [b"more"])


async def still_works(broker: RabbitMqBroker, queue: str, seen: Seen, body: bytes) -> None:
    await publish_patiently(broker, queue, body)
    await until(lambda: body in seen.bodies)
    await until(lambda: consumers(queue) == 1)


@pytest.mark.parametrize(
    ("unsettled", "finished", "acks"),
    [
        ([1, 2, 3], {1}, [(1, True)]),
        ([1, 2, 3], {1, 2, 3}, [(3, True)]),
        ([1, 2, 3], {2, 3}, [(2, False), (3, False)]),
        ([4, 5, 6, 7], {4, 5, 7}, [(5, True), (7, False)]),
        ([4, 5], set(), []),
        ([], {9}, [(9, False)]),
    ],
)
def test_what_is_finished_in_order_takes_one_acknowledgement(
    unsettled: list[int], finished: set[int], acks: list[tuple[int, bool]]
) -> None:
    assert acknowledgements(unsettled, finished) == acks


def test_only_an_amqp_url_will_do() -> None:
    with pytest.raises(ValueError, match="amqp://"):
        RabbitMqBroker("http://guest:guest@localhost/")


async def test_without_a_broker_publishing_fails_at_once_and_says_why(queue: str) -> None:
    """A service may start while RabbitMQ is away."""
    async with RabbitMqBroker.open("amqp://guest:guest@127.0.0.1:1/") as broker:
        await asyncio.sleep(0.2)
        assert broker.state is BrokerState.AWAY
        assert not broker.connected
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=r"[Cc]onnect"):
            await broker.publish(queue, [b"lost"])
        assert time.monotonic() - started < ANSWER_WITHIN


@pytest.mark.rabbitmq
async def test_wrong_credentials_are_named_as_the_reason(amqp_url: str, queue: str) -> None:
    wrong = amqp_url.replace("guest:guest", "guest:wrong")
    async with RabbitMqBroker.open(wrong) as broker:
        await asyncio.sleep(0.5)
        with pytest.raises(BrokerUnavailable, match="ACCESS_REFUSED"):
            await broker.publish(queue, [b"lost"])


async def test_it_closes_though_the_library_answers_that_with_a_failure(
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

    monkeypatch.setattr(aio_pika, "connect", connect)
    async with asyncio.timeout(15), RabbitMqBroker.open("amqp://guest:guest@127.0.0.1:1/"):
        await called.wait()


@pytest.mark.rabbitmq
async def test_of_several_nodes_one_that_answers_will_do(amqp_url: str, queue: str) -> None:
    nobody = "amqp://guest:guest@127.0.0.1:1/"
    async with RabbitMqBroker.open(nobody, nobody, amqp_url) as broker:
        seen = Seen()
        async with consuming(broker, queue, seen):
            await publish_patiently(broker, queue, b"found")
            await until(lambda: seen.bodies == [b"found"])
            assert broker.connected


@pytest.mark.rabbitmq
async def test_a_queue_can_be_deleted_between_two_publishes(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    await broker.publish(queue, [b"gone"])
    await asyncio.to_thread(rabbitmq_node.ctl, "delete_queue", queue)
    await broker.publish(queue, [b"one", b"two"])
    seen = Seen()
    async with consuming(broker, queue, seen):
        await until(lambda: sorted(seen.bodies) == [b"one", b"two"])


@pytest.mark.rabbitmq
async def test_a_queue_can_be_deleted_under_its_consumer(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    seen = Seen()
    async with consuming(broker, queue, seen):
        await still_works(broker, queue, seen, b"before")
        await asyncio.to_thread(rabbitmq_node.ctl, "delete_queue", queue)
        await until(lambda: consumers(queue) == 1)
        await still_works(broker, queue, seen, b"after")
    assert consumers(queue) == 0


@pytest.mark.rabbitmq
async def test_dead_letters_find_their_way_when_their_queue_is_deleted(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    async def boom(_: bytes) -> None:
        raise ValueError

    seen = Seen(boom)
    async with consuming(broker, queue, seen):
        await broker.publish(queue, [b"first"])
        await until(lambda: len(seen.bodies) == 5)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(rabbitmq_node.ctl, "delete_queue", dead_queue(queue))
        await broker.publish(queue, [b"second"])
        await until(lambda: len(seen.bodies) == 10)
        await until(lambda: put_away(queue) == 2)
    assert [letter.body for letter in await broker.dead_letters(queue)] == [b"second"]


@pytest.mark.rabbitmq
async def test_all_connections_can_be_closed_by_the_operator(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    seen = Seen()
    async with consuming(broker, queue, seen):
        await still_works(broker, queue, seen, b"before")
        await asyncio.to_thread(rabbitmq_node.ctl, "close_all_connections", "maintenance")
        await still_works(broker, queue, seen, b"after")


@pytest.mark.rabbitmq
async def test_a_publishing_channel_that_the_broker_closed_is_opened_again(
    broker: RabbitMqBroker, queue: str
) -> None:
    await broker.publish(queue, [b"before"])
    channel = await broker._publisher._open_channel()
    with pytest.raises(Exception, match="no queue 'nowhere'"):
        await channel.queue_declare("nowhere", passive=True)
    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(broker.publish(queue, [b"%d" % number]))
    seen = Seen()
    async with consuming(broker, queue, seen):
        await until(lambda: len(set(seen.bodies)) == 21)


@pytest.mark.rabbitmq
async def test_a_body_may_be_held_longer_than_the_consumer_timeout(
    broker: RabbitMqBroker, consumer_timeout: float, queue: str
) -> None:
    """The broker closes the channel and delivers the body again: it is still handled once."""
    done = asyncio.Event()

    async def wait(body: bytes) -> None:
        if body == b"long":
            await done.wait()

    seen = Seen(wait)
    async with consuming(broker, queue, seen):
        await broker.publish(queue, [b"long"])
        await asyncio.sleep(5 * consumer_timeout)
        await publish_patiently(broker, queue, b"next")
        await until(lambda: b"next" in seen.bodies)
        done.set()
        await asyncio.sleep(3 * consumer_timeout)
    assert seen.bodies.count(b"long") == 1
    assert await broker.dead_letters(queue) == []
    after = Seen()
    async with consuming(broker, queue, after):
        await asyncio.sleep(0.3)
    assert after.bodies == []


@pytest.mark.rabbitmq
async def test_a_body_that_ends_its_consumer_every_time_becomes_a_dead_letter(
    broker: RabbitMqBroker, queue: str
) -> None:
    async def never_return(_: bytes) -> None:
        await asyncio.Event().wait()

    await broker.publish(queue, [b"deadly"])
    for _ in range(5):
        seen = Seen(never_return)
        async with consuming(broker, queue, seen):
            await until(lambda seen=seen: seen.bodies == [b"deadly"])  # type: ignore[misc]
    last = Seen()
    async with consuming(broker, queue, last):
        await asyncio.sleep(0.5)
    assert last.bodies == []
    [letter] = await broker.dead_letters(queue)
    assert "nobody answered for it" in letter.reason


@pytest.mark.rabbitmq
async def test_a_consumer_ends_though_it_is_cancelled_by_its_first_body(
    broker: RabbitMqBroker, queue: str
) -> None:
    """That comes together with the answer which the consumer still waits for."""

    async def cancel(_: bytes) -> None:
        task.cancel()

    for _ in range(20):
        await broker.publish(queue, [b"first"])
        task = asyncio.create_task(broker.consume(queue, cancel, prefetch=1))
        await until(task.done)


@pytest.mark.rabbitmq
async def test_an_alarm_fails_publishers_at_once_and_lets_consumers_go_on(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str, request: pytest.FixtureRequest
) -> None:
    seen = Seen()
    async with consuming(broker, queue, seen):
        await still_works(broker, queue, seen, b"before")
        request.getfixturevalue("alarm")
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="alarm"):
            await publish_until_refused(broker, queue)
        assert time.monotonic() - started < ANSWER_WITHIN
        assert broker.state is BrokerState.BLOCKED
        assert not broker.connected
        assert consumers(queue) == 1
        await asyncio.to_thread(rabbitmq_node.ctl, "set_vm_memory_high_watermark", "0.4")
        await until(lambda: broker.connected)
        await still_works(broker, queue, seen, b"after")


@pytest.mark.rabbitmq
async def test_a_broker_that_stops_answering_is_given_up_and_found_again(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    await broker.publish(queue, [b"before"])
    rabbitmq_node.pause()
    try:
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="did not answer"):
            await broker.publish(queue, [b"during"])
        given_up = time.monotonic()
        assert given_up - started < 2 * ANSWER_WITHIN
        assert not broker.connected
        with pytest.raises(BrokerUnavailable):
            await broker.publish(queue, [b"during"])
        assert time.monotonic() - given_up < ANSWER_WITHIN
    finally:
        rabbitmq_node.resume()
    await publish_patiently(broker, queue, b"after")


@pytest.mark.rabbitmq
async def test_a_broker_that_says_nothing_is_noticed_though_nothing_is_published(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    """Both ways: a consumer would else wait for as long as the heartbeats allow."""
    seen = Seen()
    async with consuming(broker, queue, seen):
        await still_works(broker, queue, seen, b"before")
        rabbitmq_node.pause()
        try:
            await until(lambda: not broker.connected, within=8)
            await until(lambda: consumers(queue) == 0, within=4)
        finally:
            rabbitmq_node.resume()
        await still_works(broker, queue, seen, b"after")


@pytest.mark.rabbitmq
async def test_a_restart_interrupts_and_loses_nothing(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    """Also a service that starts while the broker is away finds it later."""
    seen, seen_by_late = Seen(), Seen()
    async with consuming(broker, queue, seen):
        await still_works(broker, queue, seen, b"before")
        await broker.publish(queue + ".kept", [b"kept"])
        await asyncio.to_thread(rabbitmq_node.stop)
        await until(lambda: not broker.connected)
        async with (
            RabbitMqBroker.open(rabbitmq_node.url, terms=TERMS) as late,
            consuming(late, queue + ".kept", seen_by_late),
        ):
            await asyncio.sleep(0.2)
            assert not late.connected
            await asyncio.to_thread(rabbitmq_node.start)
            await still_works(broker, queue, seen, b"after")
            await until(lambda: seen_by_late.bodies == [b"kept"])


@pytest.mark.rabbitmq
async def test_what_was_confirmed_survives_kill_9(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    bodies = {b"%d" % number for number in range(200)}
    await broker.publish(queue, list(bodies))
    await asyncio.sleep(1)  # see the next test: a queue made less than half a second ago is lost
    await asyncio.to_thread(rabbitmq_node.kill)
    await asyncio.to_thread(rabbitmq_node.start)
    seen = Seen()
    async with consuming(broker, queue, seen):
        await until(lambda: set(seen.bodies) == bodies)


@pytest.mark.rabbitmq
async def test_a_queue_that_was_broken_by_kill_9_is_made_anew(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    """RabbitMQ writes down a new quorum queue late: killed before, it has one without a leader."""
    seen = Seen()
    await broker.publish(queue, [b"before"])
    await asyncio.to_thread(rabbitmq_node.kill)
    await asyncio.to_thread(rabbitmq_node.start)
    async with consuming(broker, queue, seen):
        await until(lambda: consumers(queue) == 1, within=20)
        await still_works(broker, queue, seen, b"after")


@pytest.mark.rabbitmq
async def test_what_failed_waits_until_a_broken_retry_queue_is_made_anew(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    """Nobody consumes from that one, so nobody would notice; and waiting is not failing again."""

    async def fail_on_poison(body: bytes) -> None:
        if body != b"good":
            raise ValueError(body)

    seen = Seen(fail_on_poison)
    await broker.publish(queue, [b"good"])
    await asyncio.sleep(1)  # see above: the queue itself is to survive
    await broker.publish(retry_queue(queue), [b"lost"])
    await asyncio.to_thread(rabbitmq_node.kill)
    await asyncio.to_thread(rabbitmq_node.start)
    async with consuming(broker, queue, seen):
        await publish_patiently(broker, queue, b"poison")
        await still_works(broker, queue, seen, b"good")
        await until(lambda: put_away(queue) == 1, within=60)
    [letter] = await broker.dead_letters(queue)
    assert (5, "ValueError: b'poison'") == (letter.failures, letter.reason)
    assert 5 == seen.bodies.count(b"poison")


@pytest.mark.rabbitmq
async def test_a_broker_that_forgot_everything_is_set_up_again(
    broker: RabbitMqBroker, rabbitmq_node: RabbitNode, queue: str
) -> None:
    seen = Seen()
    async with consuming(broker, queue, seen):
        await still_works(broker, queue, seen, b"before")
        await asyncio.to_thread(rabbitmq_node.wipe)
        await still_works(broker, queue, seen, b"after")
