"""Events in the relay's own form (docs/webhooks.md)."""

from collections.abc import Iterator, Mapping
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


def render(told: Occurrence) -> Iterator[bytes]:
    """The event as a JSON object."""
    shown: dict[str, Any] = {
        "id": told.id.hex,
        "type": f"message.{told.kind}",
        "at": utc_text(told.at),
        "sequence": told.sequence,
        "account": told.account,
        "message": told.submission_id.hex,
        "delivery": told.delivery_id.hex if told.delivery_id else None,
        "recipient": told.recipient or None,
        "sender": told.sender,
        "subject": told.subject or None,
        "message_id": told.message_id or None,
        "stream": told.stream or None,
        "campaign": told.campaign or None,
        "tags": told.tags,
        "metadata": told.metadata,
        "detail": dict(_detail(told)),
    }
    yield msgspec.json.encode(shown)


def wrap(batch_id: UUID, made_at: datetime, retries: int, events: bytes) -> bytes:
    """The body of a request: the same for each retry."""
    del batch_id, retries
    return b'{"type":"events","timestamp":"%b","data":[%b]}' % (
        utc_text(made_at).encode(),
        events,
    )


def _detail(told: Occurrence) -> Iterator[tuple[str, Any]]:
    detail = told.detail
    if told.kind == "accepted":
        yield "recipients", told.recipients
    if told.kind == "suppressed":
        yield "suppression", _named(detail, _SUPPRESSION)
        return
    if told.kind in _VISITED:
        yield from _named(detail, _VISIT).items()
        return
    yield from _named(detail, _PLAIN).items()
    for name, fields, sign in (
        ("answer", _ANSWER, "reply"),
        ("report", _REPORT, "status"),
        ("feedback", _FEEDBACK, "feedback_type"),
    ):
        if sign in detail:
            yield name, _named(detail, fields)
    if told.kind in _TRIED_AGAIN and "wait_seconds" in detail:
        yield "next_try_at", utc_text(told.at + timedelta(seconds=detail["wait_seconds"]))
    if told.kind == "scheduled" and "send_at" in detail:
        yield "send_at", detail["send_at"]
    if told.kind == "quarantined" and "reason" in detail:
        yield "reason", detail["reason"]


def _named(detail: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        shown: value for name, shown in names.items() if (value := detail.get(name)) is not None
    }
