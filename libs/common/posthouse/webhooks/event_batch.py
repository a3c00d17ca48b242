"""Events that one endpoint of a customer gets together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from posthouse.webhooks.occurrence import Occurrence

KEEP_TRYING = timedelta(days=7)


class EventIds(NamedTuple):
    """Which event."""

    event: UUID
    message: UUID  # which it is about


class FoundEvent(NamedTuple):
    """What says who is to be told of an event."""

    ids: EventIds
    account_id: UUID
    kind: str
    at: datetime


@dataclass(frozen=True, slots=True)
class WebhookWish:
    """Which events an endpoint is to be told, and how."""

    endpoint_id: UUID
    account_id: UUID
    dialect: str
    kinds: frozenset[str]  # empty: all
    streams: frozenset[str]  # empty: mail of all, and of none
    gather: timedelta  # requests leave at multiples of it; 0: at once
    is_late: bool = False  # it has not taken what it was told up to now

    def wants(self, told: Occurrence) -> bool:
        """Whether the endpoint is told of this event of its account."""
        return (not self.kinds or told.kind in self.kinds) and (
            not self.streams or told.stream in self.streams
        )


@dataclass(frozen=True, slots=True)
class NewBatch:
    """Events that one endpoint gets together."""

    wish: WebhookWish
    oldest_at: datetime
    ids: Sequence[UUID]
    kinds: Sequence[str]
    body: bytes  # JSON objects with commas between them; none: it is to be written later
    is_replay: bool = False  # it does not wait for others


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Events for one endpoint, and how they get there. Secrets are sealed."""

    id: UUID
    claim: int  # fences the result
    endpoint_id: UUID
    account_id: UUID
    made_at: datetime
    tries: int  # before this one
    is_test: bool
    events: int
    body: bytes  # as `NewBatch` has it
    url: str
    dialect: str
    sealed: Sequence[bytes]  # the secrets that sign, the newest first
    sealed_fields: bytes | None  # of the header, as JSON
    failures: int  # of the endpoint, in a row
    is_failing: bool  # the endpoint: this is the one request that looks whether it still does


@dataclass(frozen=True, slots=True)
class WebhookAttempt:
    """What became of a request."""

    result: str
    status: int | None  # of the answer, if there was one
    milliseconds: int


@dataclass(frozen=True, slots=True)
class EndpointFailures:
    """How an endpoint fails."""

    count: int  # in a row
    since: timedelta | None  # how long it has; None: only single batches were refused
