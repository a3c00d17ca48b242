"""A consumer of one queue that outlives everything that can happen to its channel."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

import structlog
from aiormq.abc import ArgumentsType, DeliveredMessage
from prometheus_client import Counter as Metric

from posthouse.broker import BrokerUnavailable, Handler, QueueTerms
from posthouse.broker.attempt import attempt, reason
from posthouse.broker.rabbitmq_link import Link, Unanswered, heed_cancellation
from posthouse.broker.rabbitmq_publisher import FAILURES, QUEUE, REASON, Parcel, Publisher
from posthouse.broker.rabbitmq_queues import (
    AFTER_DELETION,
    dead_queue,
    delete_queue,
    ensure_queue,
    retry_queue,
)
from posthouse.broker.rabbitmq_subscription import QueueMute, Subscription
from posthouse.running.backoff import wait_before_retry

log = structlog.get_logger()

RECEIVED = Metric("posthouse_amqp_received_total", "Bodies that RabbitMQ delivered", ["queue"])
DEAD_LETTERS = Metric(
    "posthouse_amqp_dead_letters_total", "Bodies put away because they failed too often", ["queue"]
)

_LONGEST_PAUSE = 1.0  # seconds until a lost subscription is tried for again
_MUTE_AT_MOST = 2


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A message, and over which subscription it can be settled."""

    message: DeliveredMessage
    subscription: Subscription

    @property
    def tag(self) -> int:
        return self.message.delivery_tag or 0

    @property
    def failures(self) -> int:
        """How often it failed: as counted by us, and by the broker when nobody answered for it."""
        headers = self.message.header.properties.headers or {}
        counts = (headers.get(FAILURES), headers.get("x-delivery-count"))
        return sum(count for count in counts if isinstance(count, int))


class Consumer:
    """Feeds one handler from one queue, over one subscription after the other."""

    def __init__(
        self, queue: str, handler: Handler, link: Link, publisher: Publisher, terms: QueueTerms
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._link = link
        self._publisher = publisher
        self._terms = terms
        self._in_hand: dict[object, _Delivery] = {}
        self._received = RECEIVED.labels(queue)
        self._mute: Counter[str] = Counter()  # how often in a row a queue did not answer
        self._putting_aside = asyncio.Lock()

    async def run(self, prefetch: int) -> None:
        """Consume until cancelled, with at most *prefetch* handlers at a time."""
        failures = 0
        async with asyncio.TaskGroup() as handlers:
            while True:
                try:
                    await self._link.up()
                    await self._subscribed(handlers, prefetch)
                    failures = self._mute[self._queue] = 0
                except QueueMute:
                    await self._note_mute(self._queue)
                # Whatever ends a subscription, the next one is tried for.
                except Exception as error:  # noqa: BLE001
                    heed_cancellation()
                    failures += 1
                    log.warning("consuming_failed", queue=self._queue, reason=reason(error))
                chance = random.random()  # noqa: S311 -- spreads reconnects, guards no secret
                await asyncio.sleep(wait_before_retry(failures, chance, longest=_LONGEST_PAUSE))

    async def _subscribed(self, handlers: asyncio.TaskGroup, prefetch: int) -> None:
        await ensure_queue(self._link, self._queue, self._terms)
        channel = await self._link.channel(confirms=False)
        subscription = Subscription(self._queue, channel)

        # The handler runs in a task of ours: those of the library end with the channel.
        async def on_message(message: DeliveredMessage) -> None:
            self._received.inc()
            delivery = _Delivery(message, subscription)
            subscription.take(delivery.tag)
            handlers.create_task(self._work(delivery))

        await subscription.last(on_message, prefetch)
        log.warning("consumer_lost", queue=self._queue, cancelled=subscription.cancelled)
        if subscription.cancelled:
            await asyncio.sleep(AFTER_DELETION)

    async def _note_mute(self, queue: str) -> None:
        """Delete a queue that takes nothing, however often it is asked: it is made anew.

        RabbitMQ 3.10 has such queues when it was killed right after they were made: they never
        get a leader. What is lost with it are hints.
        """
        self._mute[queue] += 1
        log.warning("queue_mute", queue=queue, times=self._mute[queue])
        if self._mute[queue] >= _MUTE_AT_MOST:
            await delete_queue(self._link, queue)
            log.error("queue_deleted", queue=queue, reason="it took nothing")
            self._mute[queue] = 0

    async def _work(self, delivery: _Delivery) -> None:
        key: object = delivery.message.header.properties.message_id or object()
        earlier = self._in_hand.get(key)
        if earlier is not None:
            if earlier.subscription.gone.is_set():
                # It came again while its handler still runs (the channel was lost, or the broker's
                # consumer timeout ran out): to be settled here once that handler returns.
                self._in_hand[key] = delivery
                return
            key = object()
        self._in_hand[key] = delivery
        try:
            trouble = await self._attempt(delivery)
        finally:
            delivery = self._in_hand.pop(key)
        if trouble is None:
            await delivery.subscription.settle(delivery.tag)
        else:
            await self._failed(delivery, trouble)

    async def _attempt(self, delivery: _Delivery) -> str | None:
        if delivery.failures >= self._terms.failures:
            return "nobody answered for it: its consumer died or lost the broker each time"
        return await attempt(self._handler, delivery.message.body)

    async def _failed(self, delivery: _Delivery, trouble: str) -> None:
        """Hold it until it is put aside, or is lost with its subscription and comes again."""
        while not delivery.subscription.gone.is_set():
            try:
                async with self._putting_aside:
                    await self._put_aside(delivery.message.body, trouble, delivery.failures + 1)
            except BrokerUnavailable as failure:
                log.warning("handing_on_failed", queue=self._queue, reason=str(failure))
                await asyncio.sleep(self._terms.retry_after)
            else:
                await delivery.subscription.settle(delivery.tag)
                return

    async def _put_aside(self, body: bytes, trouble: str, failures: int) -> None:
        """Have it come again later and behind the others, or never."""
        headers: ArgumentsType = {QUEUE: self._queue, REASON: trouble, FAILURES: failures}
        if failures >= self._terms.failures:
            await self._publisher.publish(dead_queue(self._queue), [Parcel(body, headers)])
            DEAD_LETTERS.labels(self._queue).inc()
            log.error("dead_lettered", queue=self._queue, failures=failures, reason=trouble)
            return
        await self._put_off(Parcel(body, headers, self._terms.retry_after))
        log.warning("handling_failed", queue=self._queue, failures=failures, reason=trouble)

    async def _put_off(self, parcel: Parcel) -> None:
        queue = retry_queue(self._queue)
        try:
            await self._publisher.publish(queue, [parcel])
        except Unanswered:
            await self._note_mute(queue)
            raise
        self._mute[queue] = 0
