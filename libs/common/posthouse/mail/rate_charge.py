"""Whether messages may go by their rate limits, and when (U24): see `posthouse.mail.rate_limit`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias
from uuid import UUID

from posthouse.mail.rate_limit import (
    Charge,
    Exceeded,
    Excess,
    Granted,
    LimitAction,
    Period,
    RateCount,
    Together,
    Verdict,
)

Counts: TypeAlias = Mapping[UUID, Sequence[RateCount]]
"""By their owners."""

# What would wait longer is refused: longer than the longest window, and so than its next one.
LONGEST_DELAY = timedelta(days=32)
# Between two messages that wait for the same window: they come due in the order of their arrival.
_STEP = timedelta(microseconds=1)
_PERIODS = tuple(Period)


def counts_at(counts: Iterable[RateCount], now: datetime) -> list[RateCount]:
    """*counts* as `charge` takes them at *now*: those of the longest windows first."""
    return sorted(
        (count.reset(now) for count in counts),
        key=lambda count: _PERIODS.index(count.limit.period),
        reverse=True,
    )


def charge(
    message: Charge, counts: Sequence[RateCount], now: datetime
) -> tuple[Verdict, Sequence[RateCount]]:
    """Whether and when *message* may go, and its *counts* after it, in UTC.

    They are those of `counts_at` for each of its owners, in their order. What is refused is not
    counted. The longest window is asked first: a shorter one has to have room when the longer ones
    let the message go. The windows of an account do not move with what waits for another limit, of
    a user or of a child: else all who send for it would wait.
    """
    for count in counts:
        if refused := _refused(message, count, now):
            return refused, _told(counts, count) if refused.again_at else counts
    of_account = last = now
    excess, after = [], []
    for owner, of_owner in groupby(counts, key=attrgetter("owner_id")):
        mine = list(of_owner)
        turn, late = _turn(
            message, mine, of_account if owner == message.credential_id else now, now
        )
        if turn - now > LONGEST_DELAY:
            why = _excess(message, late[-1])
            return Exceeded(why, turn - LONGEST_DELAY), _told(counts, late[-1])
        if owner == message.account_id:
            of_account = turn
        last = max(last, turn)
        for count in mine:
            counted, above = _counted(message, count, turn, is_late=count in late)
            after.append(counted)
            if above:
                excess.append(_excess(message, count))
    return Granted(last if last > now else None, tuple(excess)), after


def charge_together(
    messages: Sequence[Charge], counts: Counts, now: datetime
) -> tuple[Together, Counts]:
    """Whether and when *messages* may go, which go together, and *counts* after them, in UTC.

    One after the other, as `charge` has it. If one is refused, none is counted, and the counts keep
    only that its account heard of it.
    """
    after = counts
    granted: list[Granted] = []
    for message in messages:
        verdict, after = _charged(message, after, now)
        if isinstance(verdict, Exceeded):
            if granted:  # of itself it was not used up
                verdict = verdict._replace(used_up_for=timedelta())
            return _refused_together(verdict, messages, counts, now)
        granted.append(verdict)
    return granted, after


def _charged(message: Charge, counts: Counts, now: datetime) -> tuple[Verdict, Counts]:
    owners = message.owners
    mine = [count for owner in owners for count in counts_at(counts.get(owner, ()), now)]
    verdict, after = charge(message, mine, now)
    changed = {owner: [count for count in after if count.owner_id == owner] for owner in owners}
    return verdict, {**counts, **changed}


def _refused_together(
    refused: Exceeded, messages: Sequence[Charge], counts: Counts, now: datetime
) -> tuple[Exceeded, Counts]:
    """*refused*, about one of *messages*, as it is about all of them; *counts*: before them."""
    why = refused.excess
    owner = why.account_id if why.of_account else messages[0].credential_id
    (count,) = (each.reset(now) for each in counts[owner] if each.limit == why.limit)
    again_at = refused.again_at if _would_fit(messages, counts, now) else None
    told = count._replace(told=count.told or again_at is not None)
    others = [each for each in counts[owner] if each.limit != why.limit]
    return (
        refused._replace(excess=why._replace(is_first=not count.told), again_at=again_at),
        {**counts, owner: [*others, told]},
    )


def _would_fit(messages: Sequence[Charge], counts: Counts, now: datetime) -> bool:
    """Whether *messages* could go together if nothing was counted before them."""
    left: Counts = {
        owner: [each._replace(window=each.limit.period.start(now), used=0) for each in of_owner]
        for owner, of_owner in counts.items()
    }
    for message in messages:
        verdict, left = _charged(message, left, now)
        if isinstance(verdict, Exceeded):
            return False
    return True


def _told(counts: Sequence[RateCount], exceeded: RateCount) -> list[RateCount]:
    return [c._replace(told=True) if c is exceeded else c for c in counts]


def _excess(message: Charge, count: RateCount) -> Excess:
    of_account = count.owner_id != message.credential_id
    account_id = count.owner_id if of_account else message.account_id
    return Excess(count.limit, of_account, not count.told, account_id)


def _refused(message: Charge, count: RateCount, now: datetime) -> Exceeded | None:
    limit = count.limit
    if limit.action is LimitAction.HOLD:
        return None
    if count.amount(message.recipients) > limit.most:
        return Exceeded(_excess(message, count), None)
    if limit.action is LimitAction.DELAY or count.has_room(message.recipients):
        return None
    again_at = limit.period.after(count.window)
    is_full = count.used >= limit.most and count.owner_id != message.child_id
    used_up_for = again_at - now if is_full else timedelta()
    return Exceeded(_excess(message, count), again_at, used_up_for)


def _turn(
    message: Charge, counts: Sequence[RateCount], turn: datetime, now: datetime
) -> tuple[datetime, list[RateCount]]:
    """When the message may go that may go at *turn*, and those of *counts* that make it wait.

    It is counted in the windows in which it goes: so they are asked again about a later time.
    """
    late: list[RateCount] = []
    delaying = [count for count in counts if count.limit.action is LimitAction.DELAY]
    asked = None
    while delaying and asked != turn:
        asked = turn
        for count in delaying:
            placed = _placed(message, count, turn)
            if placed.window > turn:
                late.append(count)
            if placed.window > now:
                used = placed.used + placed.amount(message.recipients)
                turn = max(turn, placed.window + used * _STEP)
    return turn, late


def _placed(message: Charge, count: RateCount, turn: datetime) -> RateCount:
    """*count* in the first window from *turn* on that has room."""
    count = count.reset(turn)
    return count if count.has_room(message.recipients) else count.moved()


def _counted(
    message: Charge, count: RateCount, turn: datetime, *, is_late: bool
) -> tuple[RateCount, bool]:
    """*count* with the message, which goes at *turn*, and if it is above."""
    if count.limit.action is LimitAction.DELAY:
        count = _placed(message, count, turn)
        return count.added(message.recipients, is_above=is_late), is_late
    is_above = not count.has_room(message.recipients)
    return count.added(message.recipients, is_above=is_above), is_above
