"""The closed list of events of a message, which logs, metrics and customers see."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class EventKind(StrEnum):
    """One past-tense word per thing that can happen; stored, counted and logged under this name."""

    ACCEPTED = "accepted"  # committed by ingest; the client has its 250
    RESUBMITTED = "resubmitted"  # its client submitted it again, as if it had not heard the 250
    SCHEDULED = "scheduled"  # it is to be sent later, at the time that its sender chose
    CANCELLED = "cancelled"  # the operator, or its sender while it was scheduled, ended it
    PREPARED = "prepared"  # policy decided, rewrote and signed; deliveries exist
    RECIPIENT_DISCARDED = "recipient_discarded"  # a rule of the profile gives it no copy
    ALERTED = "alerted"  # something that the account wants to hear of, such as an unknown sender
    SANDBOXED = "sandboxed"  # from the sandbox domain: kept to be read, and not delivered
    SUPPRESSED = "suppressed"  # recipient is on the account's suppression list; never attempted
    DELIVERED = "delivered"  # the remote server took responsibility
    DEFERRED = "deferred"  # an attempt failed; there will be another
    BOUNCED = "bounced"  # refused for good, at once or by a DSN that came back
    EXPIRED = "expired"  # too old to be tried again
    UNCERTAIN = "uncertain"  # the final dot may have been taken; sent again, unless it is ended
    QUARANTINED = "quarantined"  # not processed until the operator decides; with the reason
    UNQUARANTINED = "unquarantined"  # taken from the quarantine, to be worked on again
    DISCARDED = "discarded"  # cancelled in the quarantine, by a version before
    DELAYED = "delayed"  # a DSN says that a later server is still trying
    CONFIRMED = "confirmed"  # a DSN says that a later server delivered it or passed it on
    REPLIED = "replied"  # an automatic reply came to the return path, such as "out of office"
    COMPLAINED = "complained"  # the recipient reported it as unwanted (RFC 5965)
    OPENED = "opened"  # the pixel of a copy was asked for; with a verdict, human or machine
    CLICKED = "clicked"  # a link of a copy was followed; likewise
    UNSUBSCRIBED = "unsubscribed"  # the recipient wants no more of it, and told us or a provider
    RESUBSCRIBED = "resubscribed"  # and took that back
    RETURNED = "returned"  # a message came back that is none of these, or is not believed
    NOTIFIED = "notified"  # we told the sender or the bounce address what became of it


@dataclass(frozen=True, slots=True)
class Event:
    """A row written in the same transaction as the state change it reports."""

    kind: EventKind
    account_id: UUID
    submission_id: UUID
    delivery_id: UUID | None = None
    detail: dict[str, Any] = field(default_factory=dict)
