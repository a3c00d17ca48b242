"""What a client is told when its message is not taken."""

import math
from datetime import UTC, datetime

from ingest.core.new_message import WrongValue
from ingest.core.refusals import Reason, Refusal
from posthouse.http.problem import AGAIN, Kind, Problem


def body_too_big(limit: int) -> Problem:
    """The body has more octets than any may have."""
    return Problem(413, Kind.TOO_LARGE, f"The body has more than {limit} octets, the limit")


def no_room() -> Problem:
    """There is no memory for it."""
    return Problem(503, Kind.UNAVAILABLE, "No room for it now, try again later", fields=AGAIN)


def of_wrong_value(error: WrongValue, pointer: str = "") -> Problem:
    """A value in what stands at *pointer* of the body cannot be what it is."""
    return Problem(422, Kind.INVALID, str(error), pointer=pointer + error.pointer)


_BY_REASON = {
    Reason.SENDER: (403, Kind.SENDER),
    Reason.AUTHOR: (403, Kind.SENDER),
    Reason.SIZE: (413, Kind.TOO_LARGE),
    Reason.KEY: (422, Kind.KEY_TAKEN),
}


def of_refusal(refusal: Refusal) -> Problem:
    """The message was refused, or cannot be kept for now."""
    reply = refusal.reply
    if refusal.again_at is not None:
        seconds = (refusal.again_at - datetime.now(UTC)).total_seconds()
        fields = (("retry-after", str(max(1, math.ceil(seconds)))),)
        return Problem(429, Kind.TOO_MANY, reply.text, code=reply.enhanced, fields=fields)
    if reply.code < 500:  # noqa: PLR2004 - RFC 5321 section 4.2.1: transient
        return Problem(503, Kind.UNAVAILABLE, reply.text, code=reply.enhanced, fields=AGAIN)
    status, kind = _BY_REASON.get(refusal.reason, (422, Kind.REFUSED))
    return Problem(status, kind, reply.text, code=reply.enhanced)
