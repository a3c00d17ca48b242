"""Events in the relay's own form (docs/webhooks.md)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from posthouse.webhooks.occurrence import Occurrence, utc_text

# Of what is stored with an event, by the name under which customers see it. What is not named here
# is ours, and may change.
_ANSWER: Final = {"code": "code", "enhanced": "enhanced", "reply": "text"}
_REPORT: Final = {
    "action": "action",
    "status": "status",
    "diagnostic": "diagnostic",
    "reporting_mta": "reporting_mta",
    "remote_mta": "remote_mta",
    "final_recipient": "final_recipient",
}
_FEEDBACK: Final = {"feedback_type": "type", "source_ip": "source_ip"}
# Name, fields, and the stored field without which there is none.
_PARTS: Final = (
    ("answer", _ANSWER, "reply"),
    ("report", _REPORT, "status"),
    ("feedback", _FEEDBACK, "feedback_type"),
)
_SUPPRESSION: Final = {"list": "list", "scope": "scope", "reason": "reason", "since": "since"}
_VISIT: Final = {
    "verdict": "verdict",
    "rule": "rule",
    "target": "url",
    "client": "client",
    "agent": "user_agent",
}
_PLAIN: Final = {"host": "host", "class": "class", "listed": "listed", "rule": "rule"}
_VISITED: Final = frozenset({"opened", "clicked"})
_TRIED_AGAIN: Final = frozenset({"deferred", "uncertain"})


class _Shown(msgspec.Struct):
    """An event as customers see it, in this order."""

    id: UUID
    type: str
    at: str
    sequence: int
    account: str
    message: UUID
    delivery: UUID | None
    recipient: str | None
    sender: str
    subject: str | None
    message_id: str | None
    stream: str | None
    campaign: str | None
    tags: Sequence[str]
    metadata: msgspec.Raw
    detail: Mapping[str, Any]


_JSON: Final = msgspec.json.Encoder(uuid_format="hex")


def render(told: Occurrence) -> Iterator[bytes]:
    """The event as a JSON object."""
    shown = _Shown(
        id=told.id,
        type=f"message.{told.kind}",
        at=utc_text(told.at),
        sequence=told.sequence,
        account=told.account,
        message=told.submission_id,
        delivery=told.delivery_id,
        recipient=told.recipient or None,
        sender=told.sender,
        subject=told.subject or None,
        message_id=told.message_id or None,
        stream=told.stream or None,
        campaign=told.campaign or None,
        tags=told.tags,
        metadata=told.metadata,
        detail=_detail(told),
    )
    yield _JSON.encode(shown)


def wrap(batch_id: UUID, made_at: datetime, retries: int, events: bytes) -> bytes:
    """The body of a request: the same for each retry."""
    del batch_id, retries
    return b'{"type":"events","timestamp":"%b","data":[%b]}' % (
        utc_text(made_at).encode(),
        events,
    )


def _detail(told: Occurrence) -> dict[str, Any]:
    detail = told.detail
    if told.kind == "suppressed":
        return {"suppression": _named(detail, _SUPPRESSION)}
    if told.kind in _VISITED:
        return _named(detail, _VISIT)
    shown: dict[str, Any] = {}
    if told.kind == "accepted":
        shown["recipients"] = told.recipients
    shown |= _named(detail, _PLAIN)
    for name, fields, sign in _PARTS:
        if sign in detail:
            shown[name] = _named(detail, fields)
    if told.kind in _TRIED_AGAIN and "wait_seconds" in detail:
        shown["next_try_at"] = utc_text(told.at + timedelta(seconds=detail["wait_seconds"]))
    if told.kind == "scheduled" and "send_at" in detail:
        shown["send_at"] = detail["send_at"]
    if told.kind == "quarantined" and "reason" in detail:
        shown["reason"] = detail["reason"]
    return shown


def _named(detail: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        shown: value for name, shown in names.items() if (value := detail.get(name)) is not None
    }
