"""Queues between services: a small port, two brokers behind it, and the hint they carry.

PostgreSQL keeps, the broker only wakes: what travels here says "there is work in lane 3", never
the work itself. A hint may be lost, doubled, late or out of order; workers also look by themselves.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from posthouse.mail.lane import Lane

Handler = Callable[[bytes], Awaitable[None]]
"""What is done with one body. Returning settles it, raising asks for it to come again."""


class BrokerUnavailable(Exception):
    """The broker did not take responsibility; the text says why."""


class BrokerState(StrEnum):
    """Whether something published now would be taken."""

    AWAY = "away"  # no connection; one is being tried for
    BLOCKED = "blocked"  # connected, but the broker takes nothing (memory or disk alarm)
    CONNECTED = "connected"


@dataclass(frozen=True, slots=True)
class QueueTerms:
    """How long, how many and how often: the same for every queue of a broker."""

    keep_for: float = 60.0  # seconds; workers have long looked by themselves when a hint is older
    at_most: int = 10_000  # bodies; beyond that the oldest go, which costs nothing but a wake-up
    retry_after: float = 1.0  # seconds between a failure and the next try
    failures: int = 5  # then it is a dead letter


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A body that failed too often, kept with the reason; the newest 10,000 of a queue are kept."""

    queue: str
    body: bytes
    reason: str  # type and text of the last exception
    failures: int


class Broker(Protocol):
    """At-least-once queues of small bodies, made at their first use.

    A queue keeps what nobody takes for `QueueTerms.keep_for` seconds and `QueueTerms.at_most`
    bodies, then drops the oldest: dropped is not dead, only failed bodies become dead letters.
    """

    async def publish(self, queue: str, bodies: Sequence[bytes]) -> None:
        """Return when the broker has taken responsibility for all *bodies*.

        Raises BrokerUnavailable otherwise: at once when there is no connection or the broker is
        blocked, after five seconds when it does not answer. Some of *bodies* may then be in the
        queue nevertheless.
        """

    async def consume(self, queue: str, handler: Handler, *, prefetch: int) -> None:
        """Feed *handler*, up to *prefetch* bodies at a time, until cancelled.

        A body is settled when the handler returns. When it raises, the body comes again after
        `QueueTerms.retry_after` seconds, behind those that wait, and is a dead letter after
        `QueueTerms.failures` failures. A broker that goes away, and a queue or consumer that is
        taken from us, interrupt this but do not end it. Cancelled, it cancels the handlers that
        run and leaves their bodies to the next consumer.
        """

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]:
        """Look at the oldest *limit* dead letters of *queue*; they stay where they are."""

    @property
    def state(self) -> BrokerState:
        """Whether something published now would be taken."""

    @property
    def connected(self) -> bool:
        """The state is CONNECTED, and whoever consumes here is connected too."""

    async def close(self) -> None:
        """Give back what is held; afterwards nothing can be published or consumed."""


async def check_connected(broker: Broker) -> None:
    """Raise BrokerUnavailable unless *broker* is connected: a readiness check."""
    if not broker.connected:
        raise BrokerUnavailable(f"the broker is {broker.state}")


def submissions_queue(lane: Lane) -> str:
    """The queue that says: submissions of this lane wait for policy."""
    return f"submissions.{lane.value}"


def deliveries_queue(lane: Lane) -> str:
    """The queue that says: deliveries of this lane can be sent."""
    return f"deliveries.{lane.value}"


class InvalidHint(ValueError):
    """A body on a queue of hints that is none."""


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """How many items became due in which lane; as many bytes as that takes.

    Readers skip fields they do not know and fill in those that are missing, so that versions next
    to each other understand each other during a rolling upgrade.
    """

    lane: Lane = msgspec.field(name="l")
    count: int = msgspec.field(name="n", default=1)
    version: int = msgspec.field(name="v", default=1)

    def encode(self) -> bytes:
        """The hint as it travels."""
        return _ENCODER.encode(self)

    @classmethod
    def decode(cls, body: bytes) -> "Hint":
        """The hint in *body*, whatever version wrote it; raises InvalidHint."""
        try:
            return _DECODER.decode(body)
        except msgspec.MsgspecError as error:
            raise InvalidHint(f"{body[:40]!r} is not a hint: {error}") from error


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Hint)
