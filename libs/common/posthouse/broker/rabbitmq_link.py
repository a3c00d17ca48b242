"""One connection to RabbitMQ that comes back by itself, to the next node if there are several.

Built on aio-pika's plain connection: its robust one leaves consumers behind after some losses
(mosquito/aio-pika#231, #632) and does not notice a cancelled one (#334), so what has to be opened
again is opened here, where it can be seen.

Time is bounded by `asyncio.timeout` and not by the library, which uses `asyncio.wait_for`: that one
forgets, before Python 3.12, a cancellation that comes together with the answer, and whoever was
cancelled goes on for ever.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import cycle

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from prometheus_client import Gauge

from posthouse.broker import BrokerState, BrokerUnavailable
from posthouse.broker.attempt import reason
from posthouse.running.backoff import wait_before_retry

log = structlog.get_logger()

CONNECTED = Gauge("posthouse_amqp_connected", "1 while connected to RabbitMQ", ["purpose"])
BLOCKED = Gauge("posthouse_amqp_blocked", "1 while RabbitMQ takes nothing (alarm)", ["purpose"])

HEARTBEAT = 6  # seconds; for the broker to find out that we are gone without a word
ANSWER_WITHIN = 5.0  # seconds for everything that we ask of the broker
# Seconds. With the library's heartbeats alone a broker that is gone without a word, or was cut off,
# would be noticed after twenty.
_PROVE_EVERY = 3.0
_PROVE_WITHIN = 2.0  # seconds
CLOSE_WITHIN = 1.0  # seconds; then whatever is left of a connection or channel ends by itself
_LONGEST_PAUSE = 1.0  # seconds between two tries to connect
_LOOK_EVERY = 0.5  # seconds; the library tells nobody that a connection was blocked: we look


class Unanswered(BrokerUnavailable):
    """The broker left something that we published without an answer: all of it, or one queue."""


@contextmanager
def broker_failures() -> Iterator[None]:
    """Map what aio-pika raises to BrokerUnavailable."""
    try:
        yield
    except CONNECTION_EXCEPTIONS as error:  # TimeoutError is an OSError
        raise BrokerUnavailable(reason(error)) from error
    except asyncio.CancelledError as error:
        # What waits on a closing channel is "cancelled" by the library, though nobody cancelled us.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokerUnavailable("the channel was closed") from error


def heed_cancellation() -> None:
    """Raise CancelledError in a task that was cancelled, though it was told of something else.

    For whoever goes on after any error: the library may answer a cancellation with the failure of
    the connection that it met just then.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Link:
    """Keeps one connection for as long as `keep` runs."""

    def __init__(self, urls: Sequence[str], purpose: str) -> None:
        """*urls* lead to nodes of one cluster, and are tried in turn."""
        self._urls = urls
        self._purpose = purpose
        self._connection: AbstractConnection | None = None
        self._trouble = "not connected yet"
        self._blocked = False
        self._given_up = False
        self._stir = asyncio.Event()  # the connection is to be looked at now
        self._up = asyncio.Event()
        self._waiting: set[asyncio.Timeout] = set()
        self.generation = 0  # how many connections there were: a channel belongs to one of them

    @property
    def state(self) -> BrokerState:
        """Whether something published over this connection now would be taken."""
        connection = self._connection
        if connection is None or self._given_up or not connection.connected.is_set():
            return BrokerState.AWAY
        return BrokerState.BLOCKED if self._blocked else BrokerState.CONNECTED

    async def up(self) -> None:
        """Return as soon as there is a connection."""
        await self._up.wait()

    async def keep(self) -> None:
        """Connect, and again whenever the connection is lost, until cancelled."""
        failures = 0
        for url in cycle(self._urls):
            try:
                await self._stay_connected(url)
                failures = 0
            # Whatever goes wrong with a connection, the next one is tried for: a link that ended
            # for a reason nobody foresaw would leave the service deaf.
            except Exception as error:  # noqa: BLE001
                heed_cancellation()
                failures += 1
                self._note_failure(reason(error))
            chance = random.random()  # noqa: S311 -- spreads reconnects, guards no secret
            rounds = failures // len(self._urls)
            await asyncio.sleep(wait_before_retry(rounds, chance, longest=_LONGEST_PAUSE))

    async def channel(self, *, confirms: bool) -> AbstractChannel:
        """Open a channel; raises BrokerUnavailable."""
        connection = self._connection
        if connection is None:
            raise BrokerUnavailable(self._trouble)
        with broker_failures():
            async with asyncio.timeout(ANSWER_WITHIN):
                channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
                await channel.initialize()
        return channel

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Bound the time for an answer to something published; raises BrokerUnavailable.

        It ends at once when the broker blocks us. When it is over, the connection is given up for
        another, to the next node if there are several: RabbitMQ keeps a channel waiting, with all
        that follows on it, for a queue that does not answer.
        """
        if self.state is not BrokerState.CONNECTED:
            raise BrokerUnavailable(self._why_not())
        try:
            async with asyncio.timeout(ANSWER_WITHIN) as limit:
                self._waiting.add(limit)
                try:
                    yield
                finally:
                    self._waiting.discard(limit)
        except TimeoutError as error:
            if self.state is not BrokerState.CONNECTED:
                raise BrokerUnavailable(self._why_not()) from error
            self._give_up()
            raise Unanswered(self._trouble) from error

    def _give_up(self) -> None:
        self._trouble = f"the broker did not answer within {ANSWER_WITHIN:g} seconds"
        self._given_up = True
        self._stir.set()

    def _why_not(self) -> str:
        return "the broker takes nothing (alarm)" if self._blocked else self._trouble

    def _note_failure(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("broker_unreachable", purpose=self._purpose, reason=trouble)
        self._trouble = trouble

    async def _stay_connected(self, url: str) -> None:
        async with asyncio.timeout(ANSWER_WITHIN):
            name = f"posthouse {self._purpose}"
            connection = await aio_pika.connect(url, heartbeat=HEARTBEAT, name=name)
        self._connection = connection
        self.generation += 1
        self._trouble = "the connection was lost"
        self._up.set()
        CONNECTED.labels(self._purpose).set(1)
        log.info("broker_connected", purpose=self._purpose)
        try:
            await self._watch(connection)
            log.warning("broker_lost", purpose=self._purpose, reason=self._trouble)
        finally:
            self._connection = None
            self._given_up = False
            self._up.clear()
            self._note_blocked(blocked=False)
            CONNECTED.labels(self._purpose).set(0)
            await _close(connection)

    async def _watch(self, connection: AbstractConnection) -> None:
        connection.close_callbacks.add(lambda *_: self._stir.set())
        asked = connection.channel(publisher_confirms=False)
        proven = time.monotonic()
        while connection.connected.is_set() and not self._given_up:
            self._note_blocked(blocked=await _is_blocked(connection))
            if time.monotonic() > proven + _PROVE_EVERY and not self._blocked:
                if not await _answers(asked):
                    self._trouble = f"the broker did not answer within {_PROVE_WITHIN:g} seconds"
                    return
                proven = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._stir.wait()
            self._stir.clear()

    def _note_blocked(self, *, blocked: bool) -> None:
        if blocked is self._blocked:
            return
        self._blocked = blocked
        BLOCKED.labels(self._purpose).set(blocked)
        log.warning("broker_blocked" if blocked else "broker_unblocked", purpose=self._purpose)
        if blocked:
            now = asyncio.get_running_loop().time()
            for limit in self._waiting:
                if not limit.expired():
                    limit.reschedule(now)


async def _is_blocked(connection: AbstractConnection) -> bool:
    """Whether `ready`, which returns at once on a connection that may publish, does not."""
    transport = connection.transport
    if transport is None:
        return False
    try:
        async with asyncio.timeout(0):
            await transport.ready()
    except TimeoutError:
        return True
    return False


async def _answers(channel: AbstractChannel) -> bool:
    """Whether the broker itself does: a queue may be slow or broken while others are well.

    Always on the same channel: aio-pika keeps something of each for as long as its connection.
    """
    try:
        async with asyncio.timeout(_PROVE_WITHIN):
            if not channel.is_initialized:
                await channel.initialize()
            await channel.set_qos(prefetch_count=1)
            return True
    except TimeoutError:
        return False


async def _close(connection: AbstractConnection) -> None:
    with suppress(*CONNECTION_EXCEPTIONS):
        async with asyncio.timeout(CLOSE_WITHIN):
            await connection.close()
