"""The closed list of events of a message, which logs, metrics and customers see."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class EventKind(StrEnum):
    """One past-tense word per thing that can happen; stored, counted and logged under this name."""

    ACCEPTED = "accepted"  # committed by ingest; the client has its 250
    PREPARED = "prepared"  # policy decided, rewrote and signed; deliveries exist
    SUPPRESSED = "suppressed"  # recipient is on the account's suppression list; never attempted
    DELIVERED = "delivered"  # the remote server took responsibility
    DEFERRED = "deferred"  # an attempt failed; there will be another
    BOUNCED = "bounced"  # refused for good, at once or by a DSN that came back
    EXPIRED = "expired"  # too old to be tried again
    UNCERTAIN = "uncertain"  # the final dot may have been taken; sent again
    QUARANTINED = "quarantined"  # not processed until the operator decides; with the reason
    UNQUARANTINED = "unquarantined"  # taken from the quarantine, to be worked on again
    DISCARDED = "discarded"  # taken from the quarantine, never to be sent
    DELAYED = "delayed"  # a DSN says that a later server is still trying
    REPLIED = "replied"  # an automatic reply came to the return path, such as "out of office"
    COMPLAINED = "complained"  # the recipient reported it as unwanted (RFC 5965)
    UNSUBSCRIBED = "unsubscribed"  # the recipient wants no more of it, and said so to a provider
    RETURNED = "returned"  # a message came back that is none of these, or is not believed
    NOTIFIED = "notified"  # we told the sender or the bounce address that it was not delivered


@dataclass(frozen=True, slots=True)
class Event:
    """A row written in the same transaction as the state change it reports."""

    kind: EventKind
    account_id: UUID
    submission_id: UUID
    delivery_id: UUID | None = None
    detail: dict[str, Any] = field(default_factory=dict)
