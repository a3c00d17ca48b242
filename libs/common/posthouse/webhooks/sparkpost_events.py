"""Events in the form of Mailtarget and SparkPost: a batch with a number (RULES T26)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from posthouse.webhooks.occurrence import Occurrence, utc_text

_STATUSES: Final[Mapping[str, str]] = {
    "accepted": "injection",
    "delivered": "delivery",
    "deferred": "delay",
    "bounced": "bounce",
    "expired": "bounce",
    "opened": "open",
    "clicked": "click",
}


def render(told: Occurrence) -> Iterator[bytes]:
    """The event as a JSON object, one for each recipient; nothing for kinds without a status."""
    status = _STATUSES.get(told.kind)
    if status is None:
        return
    if told.recipient:
        yield _written(told, status, told.recipient, told.id)
        return
    for recipient in told.recipients:
        yield _written(told, status, recipient, uuid5(told.id, recipient))


def wrap(batch_id: UUID, made_at: datetime, retries: int, events: bytes) -> bytes:
    """The body of a request; it says how often it was sent before."""
    del made_at
    return b'{"batchId":"%b","retryCount":%d,"events":[%b]}' % (
        batch_id.hex.encode(),
        retries,
        events,
    )


def _written(told: Occurrence, status: str, recipient: str, id_: UUID) -> bytes:
    detail = told.detail
    shown: dict[str, Any] = {
        "status": status,
        "eventId": id_.hex,
        "timestamp": utc_text(told.at),
        "messageId": (told.delivery_id or told.submission_id).hex,
        "transmission_id": told.submission_id.hex,  # ties copies together (T16)
        "rcpt_type": told.recipient_kind,
        "sender": told.sender,
        "sendingIp": detail.get("source"),  # where the operator chose it
        "recipient": recipient,
        "recipientMeta": told.metadata,
        "tags": told.tags,
        "campaign_id": told.campaign or None,
    }
    reason = detail.get("reply") or detail.get("diagnostic")
    if reason and status in ("bounce", "delay"):
        shown |= {"reason": reason, "errorCode": detail.get("code") or detail.get("status")}
    if status == "click":
        shown["targetLinkUrl"] = detail.get("target")
    return msgspec.json.encode(shown)
