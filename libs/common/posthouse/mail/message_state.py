"""What has become of a message for each of its recipients, derived from what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from posthouse.mail.events import EventKind


class MessageState(StrEnum):
    """One for each recipient; the first seven say that it is open, and what it waits for."""

    READY = "ready"
    INFLIGHT = "inflight"
    DEFERRED = "deferred"
    PARKED = "parked"
    HELD = "held"
    SCHEDULED = "scheduled"
    QUARANTINED = "quarantined"
    DELIVERED = "delivered"
    BOUNCED = "bounced"  # also by a report that came back later
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"  # gets no copy by a rule, or ended in the quarantine
    SANDBOXED = "sandboxed"
    UNKNOWN = "unknown"  # between two states, or part of its history is no longer kept


_ENDS = {
    EventKind.DELIVERED: MessageState.DELIVERED,
    EventKind.BOUNCED: MessageState.BOUNCED,
    EventKind.EXPIRED: MessageState.EXPIRED,
    EventKind.SUPPRESSED: MessageState.SUPPRESSED,
    EventKind.CANCELLED: MessageState.CANCELLED,
    EventKind.DISCARDED: MessageState.DISCARDED,
    EventKind.RECIPIENT_DISCARDED: MessageState.DISCARDED,
    EventKind.SANDBOXED: MessageState.SANDBOXED,
}
END_KINDS = tuple(_ENDS)


@dataclass(frozen=True, slots=True)
class RecipientState:
    """A recipient, as the client or a rule named it, and what has become of the message for it."""

    recipient: str
    state: MessageState


def recipient_states(
    recipients: Sequence[str],
    waits: str | None,
    deliveries: Sequence[Sequence[Any]],
    ends: Sequence[Sequence[Any]],
) -> tuple[RecipientState, ...]:
    """The state for each of *recipients*, and for others that the message was made for.

    *waits*: the state of a message that policy has not prepared, else None. *deliveries*: id,
    recipient and state, None when it is closed. *ends*: kind, delivery and recipient of events,
    oldest first, None where they name none; the last one about a recipient counts.
    """
    if waits is not None:
        return tuple(RecipientState(one, MessageState(waits)) for one in recipients)
    of_delivery: dict[Any, MessageState] = {}
    of_recipient: dict[str, MessageState] = {}
    of_all = MessageState.UNKNOWN
    for kind, delivery, recipient in ends:
        state = _ENDS[EventKind(kind)]
        if delivery is not None:
            of_delivery[delivery] = state
        elif recipient is not None:
            of_recipient[recipient] = state
        else:
            of_all = state
    known: Mapping[str, MessageState] = of_recipient | {
        recipient: MessageState(state) if state else of_delivery.get(id_, MessageState.UNKNOWN)
        for id_, recipient, state in deliveries
    }
    return tuple(
        RecipientState(one, known.get(one, of_all)) for one in dict.fromkeys((*recipients, *known))
    )
