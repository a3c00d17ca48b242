"""What became of an attempt to deliver: a closed union, each failure with its scope."""

from dataclasses import dataclass, field
from typing import TypeAlias

from posthouse.answers.answer import Answer, Judgement
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope


@dataclass(frozen=True, slots=True)
class Delivered:
    """The remote server took responsibility: its 2yz to the final dot."""

    reply: Reply
    asked_for_reports: bool = False  # it was given the parameters of DSN (RFC 3461)


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not delivered, and worth trying again."""

    reply: Reply
    scope: Scope
    answer: Answer | None = field(default=None, compare=False)  # None: nobody answered
    judged: Judgement | None = field(default=None, compare=False)  # by that answer


@dataclass(frozen=True, slots=True)
class Bounced:
    """Refused for good: a clear 5yz, or a destination that does not exist."""

    reply: Reply
    scope: Scope
    answer: Answer | None = field(default=None, compare=False)  # None: nobody answered
    judged: Judgement | None = field(default=None, compare=False)  # by that answer


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The final dot was sent and its reply never came: the result is unknown (RFC 1047)."""

    reply: Reply


Outcome: TypeAlias = Delivered | Deferred | Bounced | Uncertain
