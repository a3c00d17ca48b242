"""Events in CritSend's form: an array of objects with a category (RULES C27)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from posthouse.answers.answer import AnswerClass
from posthouse.webhooks.occurrence import Occurrence, utc_text

_CATEGORIES: Final[Mapping[str, str]] = {
    "opened": "open",
    "clicked": "click",
    "unsubscribed": "unsubscribed",
    "bounced": "bounce",
    "expired": "bounce",
    "complained": "spam_report",
    "suppressed": "filtered",
}
# Refusals of the mail or of us, and not of the address.
_BLOCKING: Final = frozenset(
    {
        *(AnswerClass.POLICY.value, AnswerClass.REPUTATION.value, AnswerClass.CONTENT.value),
        *(AnswerClass.SENDER_AUTHENTICATION.value, AnswerClass.RELAY_DENIED.value),
        *(AnswerClass.SENDER_VERIFICATION.value, AnswerClass.RATE.value),
    }
)
_FAILED: Final = frozenset({"bounce", "blocked"})
_MOST_CHARACTERS_OF_UID: Final = 100


def render(told: Occurrence) -> Iterator[bytes]:
    """The event as a JSON object; nothing for kinds without a category."""
    category = _CATEGORIES.get(told.kind)
    if category is None:
        return
    detail = told.detail
    if category == "bounce" and detail.get("class") in _BLOCKING:
        category = "blocked"
    shown: dict[str, Any] = {
        "category": category,
        "date": utc_text(told.at),
        "recipient": told.recipient,
        "mx": detail.get("host") or detail.get("remote_mta") or "",
        "tags": told.tags,
        "uid": str(msgspec.json.decode(told.metadata).get("uid", told.id.hex))[
            :_MOST_CHARACTERS_OF_UID
        ],
    }
    if category in _FAILED:
        shown["status-code"] = str(detail.get("enhanced") or detail.get("status") or "")
        shown["diagnostic-code"] = _diagnostic(detail)
    yield msgspec.json.encode(shown)


def wrap(batch_id: UUID, made_at: datetime, retries: int, events: bytes) -> bytes:
    """The body of a request: the array alone."""
    del batch_id, made_at, retries
    return b"[%b]" % events


def _diagnostic(detail: Mapping[str, Any]) -> str:
    if "diagnostic" in detail:
        return str(detail["diagnostic"])
    parts = (detail.get("code"), detail.get("enhanced"), detail.get("reply"))
    return " ".join(str(part) for part in parts if part)
