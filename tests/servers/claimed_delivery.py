"""A delivery as a dispatcher has it when it claimed it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery
from posthouse.running.identity import new_id
from posthouse.store.deliveries import ClaimedDelivery

_ACCOUNT = UUID(int=1)


def claimed_delivery(
    recipient: str = "x@dest.example",
    lane: Lane = Lane.NORMAL,
    *,
    header: bytes = b"Subject: hi\r\n\r\n",
    body: bytes = b"text\r\n",
    **changed: Any,
) -> ClaimedDelivery:
    """Its first claim, of a message that came now; *changed*: fields of `ClaimedDelivery`."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "claim": 1,
        "tries": 0,
        "abandoned": 0,
        "expired": False,
        "received_at": now,
        "expires_at": now + timedelta(days=5),
        "size": len(header) + len(body),
    }
    delivery = Delivery(
        new_id(), new_id(), _ACCOUNT, new_id(), lane, recipient, "return@relay.example"
    )
    return ClaimedDelivery(delivery, header=header, body=body, **(fields | changed))
