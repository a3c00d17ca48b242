"""The kinds of events that customers can be told."""

from typing import Final

from posthouse.mail.events import EventKind

# This list is a promise to customers.
PUBLIC_KINDS: Final = (
    EventKind.ACCEPTED.value,
    EventKind.RESUBMITTED.value,
    EventKind.SCHEDULED.value,
    EventKind.CANCELLED.value,
    EventKind.SANDBOXED.value,
    EventKind.SUPPRESSED.value,
    EventKind.RECIPIENT_DISCARDED.value,
    EventKind.DELIVERED.value,
    EventKind.DEFERRED.value,
    EventKind.UNCERTAIN.value,
    EventKind.BOUNCED.value,
    EventKind.EXPIRED.value,
    EventKind.DELAYED.value,
    EventKind.CONFIRMED.value,
    EventKind.REPLIED.value,
    EventKind.COMPLAINED.value,
    EventKind.UNSUBSCRIBED.value,
    EventKind.RESUBSCRIBED.value,
    EventKind.OPENED.value,
    EventKind.CLICKED.value,
    EventKind.QUARANTINED.value,
    EventKind.UNQUARANTINED.value,
    EventKind.DISCARDED.value,
)
# Each recipient has at most one of them in the end.
FINAL_KINDS: Final = frozenset(
    {
        *(EventKind.DELIVERED.value, EventKind.BOUNCED.value, EventKind.EXPIRED.value),
        *(EventKind.SUPPRESSED.value, EventKind.RECIPIENT_DISCARDED.value),
        *(EventKind.CANCELLED.value, EventKind.DISCARDED.value),
    }
)
