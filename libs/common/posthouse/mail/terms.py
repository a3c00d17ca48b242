"""The terms on which a message is accepted, and what became of it. Most messages have none."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID


class Resubmission(StrEnum):
    """What becomes of a message that a credential submits again in the same octets (0032)."""

    OFF = "off"  # nobody looks
    REPORT_ONLY = "report-only"  # it is accepted again, and told of
    ON = "on"  # it is not: its client hears the first id


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A name for a message, under which its account has one accepted as long as it counts."""

    text: str
    digest: bytes  # of what is the same when the message comes again
    counts_for: timedelta = timedelta(hours=24)
    mode: Resubmission | None = None  # of a key made of the message; None: its client gave it

    def __str__(self) -> str:
        return self.text if self.mode is None else f"of its octets ({self.mode})"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is decided in the transaction that accepts a message."""

    key: IdempotencyKey | None = None
    send_at: datetime | None = None  # aware; not before then
    # From the sandbox domain: accepted while fewer than this many of its account were, ever.
    sandbox_limit: int | None = None

    def __str__(self) -> str:
        words = (
            f"key {self.key}" if self.key else "",
            f"not before {self.send_at.isoformat()}" if self.send_at else "",
            "" if self.sandbox_limit is None else f"sandbox, at most {self.sandbox_limit}",
        )
        return ", ".join(word for word in words if word) or "none"


NO_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Committed:
    """It is in the store: its client gets the 250."""

    is_due: bool  # and policy needs a hint: it is neither handed over, held nor scheduled
    first: UUID | None = None  # as which the same was accepted before, where that is only reported


@dataclass(frozen=True, slots=True)
class AcceptedBefore:
    """The same message was accepted under the same key: nothing more was written."""

    first: UUID  # the id that its client was to hear then


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """Another message was accepted under the same key: this one was not."""

    first: UUID


@dataclass(frozen=True, slots=True)
class SandboxUsedUp:
    """The account had as many messages from the sandbox domain as it may: this one is too many."""

    limit: int


Acceptance: TypeAlias = Committed | AcceptedBefore | KeyTaken | SandboxUsedUp
