"""What a message, its sender's address or its stream may set in place of the profile."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class MessageFlag(StrEnum):
    """Each is on, off, or not said; stored and given as these words."""

    OPEN_TRACKING = "open_tracking"
    CLICK_TRACKING = "click_tracking"
    CHECK_UNSUBSCRIBES = "check_unsubscribes"
    CHECK_BOUNCES = "check_bounces"
    LIST_HEADER = "list_header"  # what its list puts before each message is there
    LIST_FOOTER = "list_footer"  # and behind it
    UNSUBSCRIBE = "unsubscribe"  # the message says how to unsubscribe from it


Flags: TypeAlias = Mapping[str, bool]
"""What differs from the profile, by the words of `MessageFlag`."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A list or a mailing: it groups settings, statistics and billing (RULES E05, E06, U19)."""

    name: str
    code: str  # by which messages name it, in lower case
    flags: Flags
