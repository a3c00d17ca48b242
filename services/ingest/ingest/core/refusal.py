"""Why a message or a part of its envelope is turned away at the door."""

from dataclasses import dataclass
from enum import StrEnum

from posthouse.mail.reply import Reply


class Reason(StrEnum):
    """The closed list that logs and metrics count refusals by."""

    SENDER = "sender"  # MAIL FROM is not at one of the account's verified domains
    AUTHOR = "author"  # the From header is missing, unreadable or not at such a domain
    SIZE = "size"
    LINE_END = "line_end"  # a bare CR or LF, or a NUL
    LINE_LENGTH = "line_length"
    HEADER = "header"  # larger than we are ready to parse
    LOOP = "loop"
    FULL = "full"  # no room, in memory or in the store
    FAULT = "fault"  # ours


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the client hears, and what we count it as."""

    reason: Reason
    reply: Reply
