"""What became of recipients, for the notices that tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from posthouse.mail.dsn_action import Action
from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane

# The account of messages that concern no customer.
OPERATOR = UUID(int=0)


class Means(StrEnum):
    """How somebody hears of a result."""

    DSN = "dsn"  # a report of failures to the sender (RFC 3464)
    REPORT = "report"  # one of success or delay, for which the sender asked (RFC 3461)
    FORWARD = "forward"  # the message itself, to the account's bounce address


@dataclass(frozen=True, slots=True)
class UntoldResult:
    """A recipient whose result is to be told, as its event has it."""

    recipient: str
    kind: EventKind
    at: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DueResults:
    """The results of one submission that are told together, and what a notice needs of it."""

    submission_id: UUID
    account_id: UUID
    means: Means
    address: str  # who is told
    results: tuple[UntoldResult, ...]
    accepted_at: datetime
    sender: str
    lane: Lane
    credential_id: UUID | None  # None: past its retention, as its sender "" says, too
    profile: str
    profile_revision: int
    header: bytes  # as the client sent it; empty once it is past its retention
    body: bytes | None  # None: the notice does not contain it
    dsn: DsnRequest | None = None  # what the sender asked for
    action: Action = Action.FAILED  # of all of them


@dataclass(frozen=True, slots=True)
class Digest:
    """Failures above the hourly limit of an address, told together."""

    account_id: UUID
    address: str
    count: int
    failures: tuple[tuple[UUID, UntoldResult], ...]  # the first of them, by submission
