"""What our queues are in RabbitMQ: their names, their arguments, and how they come to be.

Three for each: the queue itself; "<queue>.retry", where a failed body waits until its time to live
sends it back; "<queue>.dead". The last two are made when they are first needed.

A queue that exists is taken as it is (an operator may have made it to taste, a newer version with
other arguments). Dead letters are published by the consumer and not by the broker: so they carry
the reason, and bodies that are dropped for their age or number do not end among them.
"""

import asyncio
from contextlib import suppress

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelClosed
from aiormq.abc import ArgumentsType as Arguments

from posthouse.broker import BrokerUnavailable, QueueTerms
from posthouse.broker.rabbitmq_link import ANSWER_WITHIN, CLOSE_WITHIN, Link, broker_failures

_RETRY = ".retry"
_DEAD = ".dead"

# The last fence against a body that kills its consumer every time. RabbitMQ 3.10 has none of its
# own, 4.x this one; consumers look at the same count and are stricter.
_DELIVERY_LIMIT = 20

# Seconds before a queue that was deleted is declared again. RabbitMQ 3.10 moves consumers that it
# has not cancelled yet to the new queue of that name, where they are counted but never fed.
AFTER_DELETION = 1.0

_DELETE_WITHIN = 15.0  # seconds; RabbitMQ waits five for a quorum queue that does not answer


def retry_queue(queue: str) -> str:
    """Where failed bodies of *queue* wait for their next try."""
    return queue + _RETRY


def dead_queue(queue: str) -> str:
    """Where bodies of *queue* end that failed too often."""
    return queue + _DEAD


def arguments(name: str, terms: QueueTerms) -> Arguments:
    """How the queue called *name* is declared where quorum queues are to be had."""
    bounded: Arguments = {"x-max-length": terms.at_most, "x-overflow": "drop-head"}
    if name.endswith(_DEAD):
        # Classic: looking at dead letters counts as a failed delivery, and a quorum queue of
        # RabbitMQ 4 drops a message after twenty of those.
        return bounded
    quorum: Arguments = {**bounded, "x-queue-type": "quorum", "x-delivery-limit": _DELIVERY_LIMIT}
    if name.endswith(_RETRY):
        back: Arguments = {
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": name.removesuffix(_RETRY),
        }
        return {**quorum, **back}
    return {**quorum, "x-message-ttl": round(terms.keep_for * 1000)}


def without_quorum(wanted: Arguments) -> Arguments:
    """The same for a broker that has only classic queues."""
    refused = ("x-queue-type", "x-delivery-limit")
    return {name: value for name, value in wanted.items() if name not in refused}


async def ensure_queue(link: Link, name: str, terms: QueueTerms) -> None:
    """Return when there is a queue called *name*; raises BrokerUnavailable."""
    refusal = await _refusal(link, name, None)
    wanted = arguments(name, terms)
    for attempted in (wanted, without_quorum(wanted)):
        if refusal is None:
            return
        refusal = await _refusal(link, name, attempted)
    if refusal is not None:
        raise BrokerUnavailable(f"the queue {name} cannot be made: {refusal}")


async def delete_queue(link: Link, name: str) -> None:
    """Return when there is no queue called *name*; raises BrokerUnavailable."""
    channel = await link.channel(confirms=False)
    try:
        with broker_failures():
            async with asyncio.timeout(_DELETE_WITHIN):
                await channel.queue_delete(name)
    finally:
        await close_channel(channel)


async def _refusal(link: Link, name: str, wanted: Arguments | None) -> str | None:
    """None when the broker has the queue (*wanted* is None) or makes it like that."""
    # A refusal closes the channel, so this has one of its own.
    channel = await link.channel(confirms=False)
    try:
        with broker_failures():
            async with asyncio.timeout(ANSWER_WITHIN):
                await channel.declare_queue(
                    name, durable=True, passive=wanted is None, arguments=wanted
                )
    except BrokerUnavailable as failure:
        if isinstance(failure.__cause__, ChannelClosed):
            return str(failure)
        raise
    finally:
        await close_channel(channel)
    return None


async def close_channel(channel: AbstractChannel) -> None:
    """Close *channel* if the broker still answers; what it held goes back to its queue."""
    with suppress(*CONNECTION_EXCEPTIONS):
        async with asyncio.timeout(CLOSE_WITHIN):
            await channel.close()
