"""The broker between processes: RabbitMQ 3.10 to 4.x, through aio-pika.

Nothing here is kept: no confirms, no acknowledgements, no durable queue. What a lost connection
loses are hints, and workers look for work by themselves as well.
"""

import asyncio
import random
from itertools import cycle

import structlog
from prometheus_client import Counter, Gauge

from posthouse.broker import BrokerState, Heard, Topic
from posthouse.broker.amqp_connection import heed_cancellation
from posthouse.broker.rabbitmq_session import Key, Session
from posthouse.mail.lane import Lane
from posthouse.running.waiting import wait_before_retry, wait_for_event

log = structlog.get_logger()

CONNECTED = Gauge("posthouse_amqp_connected", "1 while connected to RabbitMQ and subscribed")
BLOCKED = Gauge("posthouse_amqp_blocked", "1 while RabbitMQ accepts nothing from us (alarm)")
DROPPED = Counter(
    "posthouse_amqp_hints_dropped_total",
    "Hints not sent because RabbitMQ was away or had an alarm",
    ["topic"],
)

# After a hint, further ones of that topic and lane are sent as one when this time is over: 500
# hints a second are enough, and each costs every listener some 0.1 ms of CPU.
_GATHER_SECONDS = 0.002
_LONGEST_PAUSE = 1.0  # seconds between two attempts to connect
_LOOK_SECONDS = 0.5  # the library has no event for an alarm: we look this often


class RabbitMqBroker:
    """One connection to one node; when it is lost, one to the next node."""

    def __init__(self, *urls: str) -> None:
        """*urls*: one for each node of a cluster; they are tried in turn."""
        if not urls or not all(url.startswith(("amqp://", "amqps://")) for url in urls):
            raise ValueError("the broker's URL begins with amqp:// or amqps://")
        self._urls = urls
        self._listeners: list[tuple[Topic, Heard]] = []
        self._session: Session | None = None
        self._trouble = ""
        self._sent: dict[Key, float] = {}  # when each was sent last, in loop time
        self._waiting: set[Key] = set()  # announced again soon after that

    def announce(self, topic: Topic, lane: Lane) -> None:
        """See Broker."""
        key = topic, lane
        if key in self._waiting:
            return
        loop = asyncio.get_running_loop()
        wait = self._sent.get(key, -_GATHER_SECONDS) + _GATHER_SECONDS - loop.time()
        if wait > 0:
            self._waiting.add(key)
            loop.call_later(wait, self._send, key)
        else:
            self._send(key)

    def listen(self, topic: Topic, heard: Heard) -> None:
        """See Broker."""
        self._listeners.append((topic, heard))

    @property
    def state(self) -> BrokerState:
        """See Broker."""
        if self._session is None or self._session.lost.is_set():
            return BrokerState.AWAY
        return BrokerState.BLOCKED if self._session.blocked else BrokerState.CONNECTED

    async def run(self, stopping: asyncio.Event) -> None:
        """See Broker."""
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(self._stay_connected(), name="broker")
            await stopping.wait()
            connecting.cancel()

    def _send(self, key: Key) -> None:
        self._waiting.discard(key)
        self._sent[key] = asyncio.get_running_loop().time()
        if self._session is None or not self._session.send(key):
            DROPPED.labels(key[0].value).inc()

    async def _stay_connected(self) -> None:
        failures = 0
        for url in cycle(self._urls):
            try:
                async with Session.open(url, self._listeners) as session:
                    failures, self._trouble = 0, ""
                    await self._use(session)
            # Whatever ends a connection, another one is tried for: hints must not stop for good.
            except Exception as error:  # noqa: BLE001
                heed_cancellation()
                failures += 1
                self._note_failure(error)
            rounds = failures // len(self._urls)
            chance = random.random()  # noqa: S311 -- spreads reconnects, guards no secret
            await asyncio.sleep(wait_before_retry(rounds, chance, longest=_LONGEST_PAUSE))

    async def _use(self, session: Session) -> None:
        self._session = session
        CONNECTED.set(1)
        log.info("broker_connected")
        try:
            while not session.lost.is_set():
                await self._look(session)
                await wait_for_event(session.lost, _LOOK_SECONDS)
            log.warning("broker_lost", reason=session.trouble)
        finally:
            self._session = None
            CONNECTED.set(0)
            BLOCKED.set(0)

    async def _look(self, session: Session) -> None:
        was_blocked = session.blocked
        await session.check()
        if session.blocked != was_blocked:
            BLOCKED.set(session.blocked)
            log.warning("broker_blocked" if session.blocked else "broker_unblocked")

    def _note_failure(self, error: Exception) -> None:
        trouble = f"{type(error).__name__}: {error}"
        if trouble != self._trouble:
            log.warning("broker_unreachable", reason=trouble)
        self._trouble = trouble
