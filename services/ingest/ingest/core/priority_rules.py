"""The lane of a message (RULES U08 to U10, X16)."""

import re

from ingest.core.admission import Admission, Incoming
from ingest.core.message_head import MessageHead
from posthouse.mail.lane import Lane

# Headers that ask for a priority, in the order in which they are believed (RULES U10).
_PRIORITY_HEADERS = (b"x-priority", b"importance", b"priority", b"x-msmail-priority")
_ANY_PRIORITY = frozenset(_PRIORITY_HEADERS)
_NUMBER = re.compile(r"([1-5])(?!\d)")
# A scale of three words says less than one of five numbers: the ends stay with the numbers.
_WORDS = {
    "high": Lane.HIGH,
    "urgent": Lane.HIGH,
    "normal": Lane.NORMAL,
    "low": Lane.LOW,
    "non-urgent": Lane.LOW,
}


def choose_lane(message: Incoming, decided: Admission) -> Admission:
    """The higher of the credential's default and what the message asks for, within its limits."""
    session = message.session
    knobs = session.profile.priority
    lane = decided.lane  # the credential's default, or what options ask for
    if knobs.from_header:
        wanted = requested_lane(message.head)
        if wanted is not None and (knobs.neutral_counts or wanted is not Lane.NORMAL):
            lane = min(lane, wanted)
    lane = max(lane, session.highest_lane, knobs.highest)
    return decided if lane is decided.lane else decided._replace(lane=lane)


def requested_lane(head: MessageHead) -> Lane | None:
    """The lane that a header asks for; a value that is not understood counts as not given."""
    if not head.has_any(_ANY_PRIORITY):
        return None
    for name in _PRIORITY_HEADERS:
        fields = head.fields(name)
        if not fields:
            continue
        value = fields[0].value  # of several the topmost counts
        if number := _NUMBER.match(value):
            return Lane(int(number[1]))
        if word := _WORDS.get(value.lower()):
            return word
    return None
