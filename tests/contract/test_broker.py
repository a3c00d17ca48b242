"""What every broker promises."""

import asyncio

import pytest

from posthouse.broker import Broker, BrokerState, Topic
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.mail.lane import Lane
from servers.patience import on_this_machine, until

from .conftest import Ears, running

SETTLING = 0.2  # seconds in which something that must not happen would have happened


async def test_a_hint_reaches_the_listeners_of_its_topic_with_its_lane(
    pair: tuple[Broker, Broker],
) -> None:
    announcing, listening = pair
    policy, dispatcher = Ears(listening), Ears(listening, Topic.DELIVERIES)
    async with running(announcing, listening):
        announcing.announce(Topic.SUBMISSIONS, Lane.HIGH)
        announcing.announce(Topic.DELIVERIES, Lane.BULK)
        await policy.hear(Lane.HIGH)
        await dispatcher.hear(Lane.BULK)
        await asyncio.sleep(SETTLING)
    assert ([Lane.HIGH], [Lane.BULK]) == (policy.lanes, dispatcher.lanes)


async def test_every_listener_hears_each_hint(pair: tuple[Broker, Broker]) -> None:
    announcing, listening = pair
    ears = [Ears(listening), Ears(listening), Ears(announcing)]
    async with running(announcing, listening):
        announcing.announce(Topic.SUBMISSIONS, Lane.NORMAL)
        for one in ears:
            await one.hear(Lane.NORMAL)


async def test_the_lanes_are_told_apart(pair: tuple[Broker, Broker]) -> None:
    announcing, listening = pair
    ears = Ears(listening)
    async with running(announcing, listening):
        for lane in Lane:
            announcing.announce(Topic.SUBMISSIONS, lane)
        await until(lambda: len(ears.lanes) >= len(Lane))
    assert sorted(Lane) == sorted(ears.lanes)


async def test_what_is_announced_later_is_heard_later(pair: tuple[Broker, Broker]) -> None:
    """Many at once may arrive as one, but never as none, and the last one is never left out."""
    announcing, listening = pair
    ears = Ears(listening)
    async with running(announcing, listening):
        for _ in range(20):
            ears.lanes.clear()
            for _ in range(100):
                announcing.announce(Topic.SUBMISSIONS, Lane.NORMAL)
            await ears.hear(Lane.NORMAL)
            await asyncio.sleep(SETTLING / 10)


async def test_what_is_announced_just_after_a_hint_was_heard_is_heard_too(
    pair: tuple[Broker, Broker],
) -> None:
    announcing, listening = pair
    ears = Ears(listening)
    async with running(announcing, listening):
        for _ in range(50):
            ears.lanes.clear()
            announcing.announce(Topic.SUBMISSIONS, Lane.NORMAL)
            await ears.hear(Lane.NORMAL)


async def test_announcing_without_listeners_is_no_error(pair: tuple[Broker, Broker]) -> None:
    announcing, _ = pair
    async with running(announcing):
        announcing.announce(Topic.SUBMISSIONS, Lane.NORMAL)
        await asyncio.sleep(SETTLING)
        assert announcing.state is BrokerState.CONNECTED


async def test_a_listener_that_raises_stops_neither_hints_nor_the_announcer(
    pair: tuple[Broker, Broker],
) -> None:
    announcing, listening = pair
    ears = Ears(listening)
    listening.listen(Topic.SUBMISSIONS, fail)
    async with running(announcing, listening):
        for lane in Lane:
            announcing.announce(Topic.SUBMISSIONS, lane)
            await ears.hear(lane)
        assert listening.state is BrokerState.CONNECTED


def fail(_: Lane) -> None:
    raise ValueError("a mistake of ours")


@pytest.mark.parametrize("connected", [True, False])
async def test_it_ends_when_told_to(pair: tuple[Broker, Broker], connected: bool) -> None:
    async with asyncio.timeout(on_this_machine(15)), running(*pair, connected=connected):
        pass
    for broker in pair:
        broker.announce(Topic.SUBMISSIONS, Lane.NORMAL)
        assert isinstance(broker, EmbeddedBroker) or broker.state is BrokerState.AWAY
