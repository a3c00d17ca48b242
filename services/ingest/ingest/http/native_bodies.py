"""What our own API takes and answers, and how it is described."""

from typing import Annotated, Any

import msgspec

from ingest.core.message_body import MessageBody
from ingest.http.message_status import StatusBody
from posthouse.http.api_description import About

MOST_IN_BATCH = 1_000
JSON, RAW = "application/json", "message/rfc822"


class BatchBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Many messages; each is accepted or refused by itself."""

    messages: Annotated[
        list[Any],
        msgspec.Meta(
            min_length=1,
            max_length=MOST_IN_BATCH,
            description="Each is a MessageBody, and judged by itself.",
        ),
    ]


class TakenBody(msgspec.Struct, frozen=True):
    """A message that is committed."""

    id: str
    repeated: bool  # it was accepted before, under the same key


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one message of a batch: it has an id, or it is a problem."""

    status: int
    id: str | None = None
    repeated: bool | None = None
    type: str | None = None
    title: str | None = None
    detail: str | None = None
    pointer: str | None = None
    code: str | None = None


class BatchResults(msgspec.Struct, frozen=True):
    """What became of each message, in their order."""

    results: list[BatchResult]


class CancelledBody(msgspec.Struct, frozen=True):
    """A message that is never to be sent."""

    id: str
    status: str = "cancelled"


CREATE = About(
    "Take one message, as JSON or as it is; it is committed when 202 is answered.",
    ((202, "Accepted.", TakenBody),),
    ((JSON, MessageBody), (RAW, bytes)),
    takes_key=True,
)
BATCH = About(
    "Take each of up to 1000 messages by itself.",
    ((200, "Each was accepted or refused.", BatchResults),),
    ((JSON, BatchBody),),
    takes_key=True,
)
SHOW = About("Tell what became of a message.", ((200, "Known.", StatusBody),))
CANCEL = About(
    "Never send a message that is scheduled.", ((200, "It is cancelled.", CancelledBody),)
)
