"""What every broker promises."""

import asyncio

import pytest

from posthouse.broker import (
    Broker,
    BrokerState,
    BrokerUnavailable,
    QueueTerms,
    check_connected,
)
from servers.consuming import Seen, consuming
from servers.patience import until

from .conftest import OpenBroker

SETTLING = 0.2  # seconds in which something that must not happen would have happened


async def boom(body: bytes) -> None:
    raise ValueError(f"cannot do {body.decode()}")


async def test_what_is_published_is_consumed_once(broker: Broker, queue: str) -> None:
    bodies = [b"%d" % number for number in range(500)]
    seen = Seen()
    async with consuming(broker, queue, seen, prefetch=50):
        await broker.publish(queue, bodies[:1])
        await broker.publish(queue, bodies[1:])
        await until(lambda: len(seen.bodies) >= len(bodies))
        await asyncio.sleep(SETTLING)
    assert sorted(bodies) == sorted(seen.bodies)


async def test_a_queue_waits_for_its_first_consumer(broker: Broker, queue: str) -> None:
    await broker.publish(queue, [b"early"])
    seen = Seen()
    async with consuming(broker, queue, seen):
        await until(lambda: seen.bodies == [b"early"])


async def test_publishing_nothing_is_no_error(broker: Broker, queue: str) -> None:
    await broker.publish(queue, [])


async def test_many_can_publish_at_once(broker: Broker, queue: str) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(broker.publish(queue, [b"%d" % number]))
    seen = Seen()
    async with consuming(broker, queue, seen):
        await until(lambda: len(set(seen.bodies)) == 200)


async def test_no_more_than_prefetch_bodies_are_handled_at_a_time(
    broker: Broker, queue: str
) -> None:
    enough = asyncio.Event()

    async def wait(_: bytes) -> None:
        await enough.wait()

    await broker.publish(queue, [b"%d" % number for number in range(10)])
    seen = Seen(wait)
    async with consuming(broker, queue, seen, prefetch=3):
        await until(lambda: len(seen.bodies) == 3)
        await asyncio.sleep(SETTLING)
        enough.set()
        await until(lambda: len(seen.bodies) == 10)
    assert seen.most_at_once == 3


async def test_two_consumers_share_the_work(broker: Broker, queue: str) -> None:
    async def take_a_while(_: bytes) -> None:
        await asyncio.sleep(0.01)

    one, other = Seen(take_a_while), Seen(take_a_while)
    bodies = [b"%d" % number for number in range(60)]
    async with (
        consuming(broker, queue, one, prefetch=1),
        consuming(broker, queue, other, prefetch=1),
    ):
        await asyncio.sleep(SETTLING)  # both are there
        await broker.publish(queue, bodies)
        await until(lambda: len(one.bodies) + len(other.bodies) >= 60)
    assert sorted(bodies) == sorted(one.bodies + other.bodies)
    assert one.bodies
    assert other.bodies


async def test_what_is_settled_does_not_come_again(broker: Broker, queue: str) -> None:
    await broker.publish(queue, [b"once"])
    first, second = Seen(), Seen()
    async with consuming(broker, queue, first):
        await until(lambda: first.bodies == [b"once"])
        await asyncio.sleep(SETTLING)
    async with consuming(broker, queue, second):
        await asyncio.sleep(2 * SETTLING)
    assert second.bodies == []


async def test_what_a_cancelled_consumer_was_handling_goes_to_the_next(
    broker: Broker, queue: str
) -> None:
    async def never_return(_: bytes) -> None:
        await asyncio.Event().wait()

    await broker.publish(queue, [b"one", b"two", b"three"])
    first, second = Seen(never_return), Seen()
    async with consuming(broker, queue, first, prefetch=2):
        await until(lambda: len(first.bodies) == 2)
    async with consuming(broker, queue, second):
        await until(lambda: sorted(second.bodies) == [b"one", b"three", b"two"])


async def test_a_body_whose_handler_raised_comes_again(broker: Broker, queue: str) -> None:
    async def fail_twice(body: bytes) -> None:
        if seen.bodies.count(body) < 3:
            await boom(body)

    seen = Seen(fail_twice)
    async with consuming(broker, queue, seen):
        await broker.publish(queue, [b"shy"])
        await until(lambda: seen.bodies == [b"shy"] * 3)
        await asyncio.sleep(SETTLING)
    assert seen.bodies == [b"shy"] * 3
    assert await broker.dead_letters(queue) == []


async def test_after_five_failures_a_body_is_put_away_with_the_reason(
    broker: Broker, queue: str
) -> None:
    seen = Seen(boom)
    async with consuming(broker, queue, seen):
        await broker.publish(queue, [b"poison"])
        await until(lambda: len(seen.bodies) == 5)
        await asyncio.sleep(2 * SETTLING)
    [letter] = await broker.dead_letters(queue)
    assert (letter.queue, letter.body, letter.failures) == (queue, b"poison", 5)
    assert letter.reason == "ValueError: cannot do poison"
    assert seen.bodies == [b"poison"] * 5


async def test_dead_letters_stay_when_they_are_looked_at(broker: Broker, queue: str) -> None:
    seen = Seen(boom)
    async with consuming(broker, queue, seen):
        await broker.publish(queue, [b"one", b"two", b"three"])
        await until(lambda: len(seen.bodies) == 15)
        await asyncio.sleep(SETTLING)
    for _ in range(25):
        letters = await broker.dead_letters(queue)
        assert {letter.body for letter in letters} == {b"one", b"two", b"three"}
    assert len(await broker.dead_letters(queue, limit=2)) == 2


async def test_a_queue_in_which_nothing_died_has_no_dead_letters(
    broker: Broker, queue: str
) -> None:
    assert await broker.dead_letters(queue) == []


async def test_a_handler_that_is_cancelled_by_itself_has_failed(broker: Broker, queue: str) -> None:
    async def give_up(_: bytes) -> None:
        raise asyncio.CancelledError("gave up")

    seen = Seen(give_up)
    async with consuming(broker, queue, seen):
        await broker.publish(queue, [b"odd"])
        await until(lambda: len(seen.bodies) == 5)
        await asyncio.sleep(SETTLING)
    [letter] = await broker.dead_letters(queue)
    assert letter.reason == "CancelledError: gave up"


async def test_poison_does_not_hold_up_what_follows(open_broker: OpenBroker, queue: str) -> None:
    """Even one at a time: a failed body waits outside, behind the others."""
    broker = await open_broker(QueueTerms(retry_after=0.5))

    async def fail_on_poison(body: bytes) -> None:
        if body == b"poison":
            await boom(body)

    seen = Seen(fail_on_poison)
    good = [b"%d" % number for number in range(50)]
    async with consuming(broker, queue, seen, prefetch=1):
        await broker.publish(queue, [b"poison", *good])
        await until(lambda: set(good) <= set(seen.bodies))
        assert seen.bodies.count(b"poison") < 5
        await asyncio.sleep(SETTLING)
        assert seen.bodies.count(b"poison") < 5, "poison spins"


async def test_what_is_too_old_is_dropped_and_no_dead_letter(
    open_broker: OpenBroker, queue: str
) -> None:
    broker = await open_broker(QueueTerms(keep_for=0.3))
    await broker.publish(queue, [b"old"])
    await asyncio.sleep(0.6)
    await broker.publish(queue, [b"new"])
    seen = Seen()
    async with consuming(broker, queue, seen):
        await until(lambda: seen.bodies == [b"new"])
    assert await broker.dead_letters(queue) == []


async def test_the_oldest_of_too_many_are_dropped_and_no_dead_letters(
    open_broker: OpenBroker, queue: str
) -> None:
    broker = await open_broker(QueueTerms(at_most=3))
    for number in range(10):
        await broker.publish(queue, [b"%d" % number])
    seen = Seen()
    async with consuming(broker, queue, seen):
        await until(lambda: len(seen.bodies) >= 3)
        await asyncio.sleep(SETTLING)
    assert seen.bodies == [b"7", b"8", b"9"]
    assert await broker.dead_letters(queue) == []


async def test_an_open_broker_is_connected(broker: Broker) -> None:
    assert broker.connected
    assert broker.state is BrokerState.CONNECTED
    await check_connected(broker)


async def test_a_closed_broker_takes_nothing(broker: Broker, queue: str) -> None:
    await broker.close()
    await broker.close()
    assert not broker.connected
    with pytest.raises(BrokerUnavailable):
        await broker.publish(queue, [b"late"])
    with pytest.raises(BrokerUnavailable):
        await broker.consume(queue, Seen(), prefetch=1)
    with pytest.raises(BrokerUnavailable):
        await check_connected(broker)
