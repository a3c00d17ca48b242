"""Messages of our own, about mail that was not delivered or that came back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane

# The credential of messages that no client submitted. Their sender is "", which no client may give.
OWN_CREDENTIAL = UUID(int=0)
# The account of messages that concern no customer.
OPERATOR = UUID(int=0)


class Means(StrEnum):
    """How somebody hears of a failure."""

    DSN = "dsn"  # a report to the sender (RFC 3464)
    FORWARD = "forward"  # the message itself, to the account's bounce address


@dataclass(frozen=True, slots=True)
class UntoldFailure:
    """A recipient who does not get the message, as its event has it."""

    recipient: str
    kind: EventKind
    at: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Undelivered:
    """The failures of one submission that are told together, and what a notice needs of it."""

    submission_id: UUID
    account_id: UUID
    means: Means
    address: str  # who is told
    failures: tuple[UntoldFailure, ...]
    accepted_at: datetime
    sender: str
    lane: Lane
    credential_id: UUID | None  # None: past its retention, as its sender "" says, too
    profile: str
    profile_revision: int
    header: bytes  # as the client sent it; empty once it is past its retention
    body: bytes  # only to be forwarded


@dataclass(frozen=True, slots=True)
class Digest:
    """Failures above the hourly limit of an address, told together."""

    account_id: UUID
    address: str
    count: int
    failures: tuple[tuple[UUID, UntoldFailure], ...]  # the first of them, by submission
