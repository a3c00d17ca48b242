"""What became of a message, for the application that submitted it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from posthouse.store.timeline import Timeline

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_EVENTS = 1_000


class WaitingBody(Struct, frozen=True):
    """A recipient whose delivery is open."""

    recipient: str
    next_attempt_at: datetime
    tries: int


class EventBody(Struct, frozen=True):
    """Something that happened."""

    at: datetime
    kind: str
    recipient: str | None
    reply: str | None  # of the server that was asked


class StatusBody(Struct, frozen=True, rename={"sender": "from"}):
    """A message, the deliveries that are open, and its events, oldest first."""

    id: str
    accepted_at: datetime
    send_at: datetime | None
    sender: str
    priority: int
    size: int
    waiting: list[WaitingBody]
    events: list[EventBody]


def status_of(found: Timeline) -> StatusBody:
    """What is told of a message."""
    message = found.submission
    return StatusBody(
        id=message["id"].hex,
        accepted_at=_UNIX_EPOCH + timedelta(milliseconds=message["id"].int >> 80),
        send_at=message["send_at"],
        sender=message["sender"],
        priority=message["lane"],
        size=message["size"],
        waiting=[
            WaitingBody(one["recipient"], one["due_at"], one["tries"])
            for one in found.deliveries
            if one["due_at"] is not None
        ],
        events=list(_events(found)),
    )


def _events(found: Timeline) -> Iterator[EventBody]:
    recipients = {one["id"]: one["recipient"] for one in found.deliveries}
    attempts = {(one["delivery_id"], one["finished_at"]): one for one in found.attempts}
    for event in found.events[:_MOST_EVENTS]:
        attempt = attempts.get((event["delivery_id"], event["at"]))
        recipient = recipients.get(event["delivery_id"])
        yield EventBody(event["at"], event["kind"], recipient, _reply(attempt))


def _reply(attempt: Mapping[str, Any] | None) -> str | None:
    if attempt is None:
        return None
    words = (attempt["code"], attempt["enhanced"], attempt["reply"])
    return " ".join(str(word) for word in words if word)
