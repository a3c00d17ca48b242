"""Which lane a message travels in (DESIGN section 4, RULES U08 to U10)."""

import re
from collections.abc import Mapping

from posthouse.mail.lane import Lane

# In the order in which they are believed (RULES U10).
FIELDS = (b"x-priority", b"importance", b"priority", b"x-msmail-priority")

_NUMBER = re.compile(r"([1-5])(?!\d)")
# A scale of three words says less than one of five numbers: the ends stay with the numbers.
_WORDS = {
    "high": Lane.HIGH,
    "urgent": Lane.HIGH,
    "normal": Lane.NORMAL,
    "low": Lane.LOW,
    "non-urgent": Lane.LOW,
}


def requested(values: Mapping[bytes, str]) -> Lane | None:
    """The lane that the message's own header asks for; *values* by lower-case field name.

    A value nobody understands counts as not given.
    """
    for name in FIELDS:
        value = values.get(name)
        if value is None:
            continue
        if number := _NUMBER.match(value):
            return Lane(int(number[1]))
        if word := _WORDS.get(value.lower()):
            return word
    return None


def choose(requested: Lane | None, default: Lane, highest: Lane) -> Lane:
    """The higher of the credential's *default* and *requested*, but not above *highest*."""
    wanted = default if requested is None else min(default, requested)
    return max(wanted, highest)
