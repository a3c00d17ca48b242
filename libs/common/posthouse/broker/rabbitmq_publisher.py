"""Publishing with confirms: many outstanding on one channel, nothing lost on the way."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq import spec
from aiormq.abc import AbstractChannel as WireChannel
from aiormq.abc import ArgumentsType
from prometheus_client import Histogram

from posthouse.broker import BrokerUnavailable, QueueTerms
from posthouse.broker.rabbitmq_link import Link, broker_failures
from posthouse.broker.rabbitmq_queues import AFTER_DELETION, close_channel, ensure_queue

CONFIRM_SECONDS = Histogram(
    "posthouse_amqp_publish_confirm_seconds", "From handing bodies over to the last confirm"
)

# Headers of a body that failed.
QUEUE = "x-posthouse-queue"
REASON = "x-posthouse-reason"
FAILURES = "x-posthouse-failures"

_ROUNDS = 3  # a queue is missing or a channel closes now and then, but not again and again
_PERSISTENT = 2


@dataclass(frozen=True, slots=True)
class Parcel:
    """A body with what the broker is told about it."""

    body: bytes
    headers: ArgumentsType | None = None
    lives: float | None = None  # seconds

    def properties(self) -> spec.Basic.Properties:
        """A new one each time: the library writes an id into it, by which it knows a return."""
        expiration = None if self.lives is None else str(round(self.lives * 1000))
        return spec.Basic.Properties(
            delivery_mode=_PERSISTENT,
            headers=None if self.headers is None else dict(self.headers),
            expiration=expiration,
        )


class Publisher:
    """Publishes over one channel of *link*, opened again when it is lost."""

    def __init__(self, link: Link, terms: QueueTerms) -> None:
        self._link = link
        self._terms = terms
        self._channel: AbstractChannel | None = None
        self._generation = 0
        self._opening = asyncio.Lock()
        self._known: set[str] = set()  # queues that were there

    async def publish(self, queue: str, parcels: Sequence[Parcel]) -> None:
        """Return when the broker confirmed all *parcels*; raises BrokerUnavailable."""
        started = time.perf_counter()
        left = parcels
        async with self._link.patience():
            for _ in range(_ROUNDS):
                left, failure = await self._round(queue, left)
                if failure is None:
                    break
            else:
                raise BrokerUnavailable(f"{queue} takes nothing: {failure}") from failure
        CONFIRM_SECONDS.observe(time.perf_counter() - started)

    async def _round(
        self, queue: str, parcels: Sequence[Parcel]
    ) -> tuple[list[Parcel], BrokerUnavailable | None]:
        """Try all *parcels* once: those that were not confirmed, and why."""
        channel = await self._open_channel()
        if queue not in self._known:
            await ensure_queue(self._link, queue, self._terms)
            self._known.add(queue)
        sending = (_send(channel, queue, parcel) for parcel in parcels)
        failures = await asyncio.gather(*sending)
        left = [parcel for parcel, failure in zip(parcels, failures, strict=True) if failure]
        last = next((failure for failure in failures if failure), None)
        causes = {type(failure.__cause__) for failure in failures if failure}
        if PublishError in causes:
            self._known.discard(queue)
            await asyncio.sleep(AFTER_DELETION)
        elif DeliveryError in causes:
            await self._leave(channel)
        return left, last

    async def _leave(self, channel: WireChannel) -> None:
        """Have a new channel opened after one that was told no.

        RabbitMQ 3.10 goes on to say no, on a channel that first published to a queue while its
        members had no leader, for as long as the old leader is away.
        """
        if self._channel is not None and await self._channel.get_underlay_channel() is channel:
            told_no, self._channel = self._channel, None
            await close_channel(told_no)

    async def _open_channel(self) -> WireChannel:
        async with self._opening:
            channel = self._channel
            stale = self._generation != self._link.generation
            if channel is None or channel.is_closed or stale:
                self._generation = self._link.generation
                self._known.clear()
                channel = self._channel = await self._link.channel(confirms=True)
        with broker_failures():
            return await channel.get_underlay_channel()


async def _send(channel: WireChannel, queue: str, parcel: Parcel) -> BrokerUnavailable | None:
    try:
        with broker_failures():
            await channel.basic_publish(
                parcel.body,
                routing_key=queue,
                properties=parcel.properties(),
                mandatory=True,
            )
    except BrokerUnavailable as failure:
        return failure
    return None
