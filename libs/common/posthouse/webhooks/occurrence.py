"""An event with the facts beside it, as every dialect tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

NO_METADATA: Final = msgspec.Raw(b"{}")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened to a message, or to one of its recipients."""

    id: UUID  # of the event: the same wherever and whenever it is told
    kind: str
    at: datetime
    sequence: int  # of this message's events, from 1; a later event has a higher number
    account: str  # its name
    submission_id: UUID  # which the client heard with its 250
    delivery_id: UUID | None = None
    recipient: str = ""  # "": it is about the whole message
    recipient_kind: str = "to"
    recipients: Sequence[str] = ()  # of the whole message
    sender: str = ""  # in MAIL FROM
    subject: str = ""
    message_id: str = ""  # of the header field, once the message is prepared
    tags: Sequence[str] = ()
    stream: str = ""
    campaign: str = ""
    # The client's own, as JSON: not read, but passed on.
    metadata: msgspec.Raw = field(default_factory=lambda: NO_METADATA)
    detail: Mapping[str, Any] = field(default_factory=dict)  # as the event is stored


def utc_text(moment: datetime) -> str:
    """*moment* (in UTC) as in RFC 3339, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
