"""How much a user or an account may send in each minute, hour, day or month by the clock (U24).

Windows begin when those of the clock do, in UTC: so "1,000 messages an hour" means that the count
starts again at every full hour. What is above a limit is refused until then, waits for a window
that has room, or makes the relay hold the account.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Self
from uuid import UUID

MOST = 1_000_000_000
_TEXT = re.compile(r"(\d{1,10})/([a-z]+)", re.ASCII)


class Counted(StrEnum):
    """What a limit counts."""

    MESSAGES = "messages"
    RECIPIENTS = "recipients"  # of all messages, as RCPT named them


class Period(StrEnum):
    """How long a window is; the longest last."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    def start(self, at: datetime) -> datetime:
        """When the window that *at* is in began; *at* is in UTC."""
        at = at.replace(second=0, microsecond=0)
        match self:
            case Period.MINUTE:
                return at
            case Period.HOUR:
                return at.replace(minute=0)
            case Period.DAY:
                return at.replace(hour=0, minute=0)
            case Period.MONTH:
                return at.replace(day=1, hour=0, minute=0)

    def after(self, window: datetime) -> datetime:
        """When the window after *window* begins."""
        if self is Period.MONTH:
            return self.start(window + timedelta(days=31))
        return window + _LENGTHS[self]


_LENGTHS = {
    Period.MINUTE: timedelta(minutes=1),
    Period.HOUR: timedelta(hours=1),
    Period.DAY: timedelta(days=1),
}
_WORDS = {
    **{str(period): period for period in Period},
    "min": Period.MINUTE,
    "h": Period.HOUR,
    "d": Period.DAY,
}


class LimitAction(StrEnum):
    """What becomes of a message above a limit."""

    REFUSE = "refuse"  # its client is told when it goes on
    DELAY = "delay"  # it is accepted, and waits for a window that has room
    HOLD = "hold"  # it is accepted, and its account is held until the operator releases it


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most so many in each window."""

    counted: Counted
    period: Period
    most: int
    action: LimitAction

    @classmethod
    def parse(cls, counted: Counted, text: str, action: LimitAction) -> Self:
        """Read "1000/hour"; ValueError says what was seen and what is allowed."""
        found = _TEXT.fullmatch(text.strip().lower())
        period = _WORDS.get(found[2]) if found else None
        if found is None or period is None or not 1 <= int(found[1]) <= MOST:
            raise ValueError(
                f"{text!r} is not NUMBER/PERIOD, such as 1000/hour: from 1 to {MOST}, in each "
                "minute (min), hour (h), day (d) or month"
            )
        return cls(counted, period, int(found[1]), action)

    def __str__(self) -> str:
        article = "an" if self.period is Period.HOUR else "a"
        what = self.counted if self.most != 1 else self.counted.removesuffix("s")
        return f"{self.most} {what} {article} {self.period}"


class RateCount(NamedTuple):
    """A limit of an account or credential, and the last window that something was counted in.

    That window is ahead of the clock while messages wait for it. A tuple: each message makes
    some.
    """

    owner_id: UUID
    limit: RateLimit
    window: datetime  # in UTC
    used: int
    told: bool  # its account has heard that it was exceeded

    def reset(self, now: datetime) -> "RateCount":
        """As it is at *now*: what was counted in a window that is over counts no more."""
        window = self.limit.period.start(now)
        return self if self.window >= window else self._replace(window=window, used=0, told=False)

    def moved(self) -> "RateCount":
        """As it is in the next window, where nothing is counted yet."""
        return self._replace(window=self.limit.period.after(self.window), used=0)

    def amount(self, recipients: int) -> int:
        """What a message to so many counts."""
        return recipients if self.limit.counted is Counted.RECIPIENTS else 1

    def has_room(self, recipients: int) -> bool:
        """Whether the message stays within the limit."""
        return self.used + self.amount(recipients) <= self.limit.most

    def added(self, recipients: int, *, is_above: bool) -> "RateCount":
        """With a message to so many."""
        used = self.used + self.amount(recipients)
        return self._replace(used=used, told=self.told or is_above)


class Excess(NamedTuple):
    """A limit that a message is above."""

    limit: RateLimit
    of_account: bool  # else of the credential
    is_first: bool  # since there was room: the account hears of it
    account_id: UUID  # the one that it is of, or that its credential is of


class Granted(NamedTuple):
    """A message is accepted, and counted."""

    send_at: datetime | None = None  # when it is its turn; None: now
    excess: tuple[Excess, ...] = ()  # for which it waits, or its account is held


class Exceeded(NamedTuple):
    """A message is refused, and not counted."""

    excess: Excess
    again_at: datetime | None  # when there may be room; None: it will never fit
    used_up_for: timedelta = timedelta()  # so long no other message of the user fits either


Verdict = Granted | Exceeded
Together = Sequence[Granted] | Exceeded
"""About messages that are accepted together or not at all."""


class Charge(NamedTuple):
    """A message that is to be counted."""

    account_id: UUID  # of the credential
    credential_id: UUID
    recipients: int
    child_id: UUID | None = None  # of the account, that the message is sent for

    @property
    def owners(self) -> tuple[UUID, ...]:
        """Whose limits count, as `charge` takes them."""
        child = () if self.child_id is None else (self.child_id,)
        return (*child, self.account_id, self.credential_id)
