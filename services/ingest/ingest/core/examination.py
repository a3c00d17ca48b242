"""What the door reads in a complete message before it takes it."""

from collections.abc import Collection

from ingest.core import lane, replies
from ingest.core.refusal import Reason, Refusal
from ingest.core.sender import check_author
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header

_MOST_HOPS = 50
_WANTED = frozenset((b"from", b"received", *lane.FIELDS))


def examine(
    header: bytes, *, domains: Collection[str], default: Lane, highest: Lane, limit: int
) -> Lane | Refusal:
    """The lane the message goes into, or why it is turned away.

    *domains* are the account's verified ones, *default* and *highest* its credential's lanes,
    *limit* the octets a header may have.
    """
    if len(header) > limit:
        return Refusal(Reason.HEADER, replies.header_too_big(len(header), limit))
    fields = [field for field in Header.parse(header).fields if field.name in _WANTED]
    if sum(field.name == b"received" for field in fields) > _MOST_HOPS:
        return Refusal(Reason.LOOP, replies.LOOP)

    authors = [field.value for field in fields if field.name == b"from"]
    if refusal := check_author(authors, domains):
        return refusal
    # Topmost last, so that of several it is the one that stays.
    priorities = {
        field.name: field.value for field in reversed(fields) if field.name in lane.FIELDS
    }
    return lane.choose(lane.requested(priorities), default, highest)
