"""An event with the facts beside it, as every dialect tells it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec

NO_METADATA: Final = msgspec.Raw(b"{}")


class Occurrence(msgspec.Struct, frozen=True):
    """Something that happened to a message, or to one of its recipients.

    At full rate each event makes one, and a frozen dataclass takes ten times as long to make.
    """

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
    metadata: msgspec.Raw = NO_METADATA
    detail: Mapping[str, Any] = {}  # as the event is stored


@lru_cache(maxsize=1024)  # all events of a transaction have one time
def utc_text(moment: datetime) -> str:
    """*moment* (in UTC) as in RFC 3339, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
