"""How much goes in each window of the clock, and what becomes of the rest (RULES U24)."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.rate_charge import LONGEST_DELAY, charge, counts_at
from posthouse.mail.rate_limit import (
    Charge,
    Counted,
    Exceeded,
    Granted,
    LimitAction,
    Period,
    RateCount,
    RateLimit,
    Verdict,
)

ACCOUNT, USER, CHILD = UUID(int=1), UUID(int=2), UUID(int=3)
NOON = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class Sender:
    """A user with limits, and what it was told."""

    def __init__(self, *limits: RateLimit, owner: UUID = USER) -> None:
        self.counts: Sequence[RateCount] = tuple(
            RateCount(owner, limit, EPOCH, 0, told=False) for limit in limits
        )

    def send(self, at: datetime = NOON, recipients: int = 1) -> Verdict:
        """What becomes of a message."""
        at = at.astimezone(UTC)
        message = Charge(ACCOUNT, USER, recipients)
        verdict, self.counts = charge(message, counts_at(self.counts, at), at)
        return verdict

    def times(self, number: int, at: datetime = NOON) -> list[timedelta]:
        """When each of so many messages goes, after *at*."""
        found = []
        for _ in range(number):
            verdict = self.send(at)
            assert isinstance(verdict, Granted)
            found.append((verdict.send_at or at) - at)
        return found


def limit(
    text: str, action: LimitAction = LimitAction.REFUSE, counted: Counted = Counted.MESSAGES
) -> RateLimit:
    return RateLimit.parse(counted, text, action)


def is_refused(verdict: Verdict) -> bool:
    return isinstance(verdict, Exceeded)


@pytest.mark.parametrize(
    ("text", "at", "again_at"),
    [
        ("2/minute", "2026-11-30 12:34:56", "2026-11-30 12:35:00"),
        ("2/hour", "2026-11-30 12:34:56", "2026-11-30 13:00:00"),
        ("2/day", "2026-12-31 23:59:59.9", "2027-01-01 00:00:00"),
        ("2/month", "2026-12-01 00:00:00", "2027-01-01 00:00:00"),
        ("2/month", "2027-01-31 12:00:00", "2027-02-01 00:00:00"),
        ("2/month", "2028-02-29 12:00:00", "2028-03-01 00:00:00"),
    ],
)
def test_what_is_above_is_refused_until_the_next_window_of_the_clock(
    text: str, at: str, again_at: str
) -> None:
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    later = datetime.fromisoformat(again_at).replace(tzinfo=UTC)
    user = Sender(limit(text))
    assert [False, False] == [is_refused(user.send(now)) for _ in range(2)]
    refused = user.send(now)
    assert isinstance(refused, Exceeded)
    assert (later, later - now) == (refused.again_at, refused.used_up_for)
    assert is_refused(user.send(later - timedelta(microseconds=1)))
    assert [False, False, True] == [is_refused(user.send(later)) for _ in range(3)]


def test_windows_are_those_of_utc_whatever_zone_the_time_is_in() -> None:
    user = Sender(limit("1/day"))
    ahead = datetime.fromisoformat("2026-12-01T01:00:00+02:00")
    assert not is_refused(user.send(ahead))
    assert is_refused(user.send(ahead + timedelta(minutes=59)))
    assert not is_refused(user.send(ahead + HOUR))


def test_what_is_refused_is_not_counted_by_any_limit() -> None:
    user = Sender(limit("1/minute"), limit("2/hour"))
    assert [False, True, True] == [is_refused(user.send()) for _ in range(3)]
    assert [False, True] == [is_refused(user.send(NOON + MINUTE)) for _ in range(2)]


def test_recipients_are_counted_and_a_smaller_message_may_still_fit() -> None:
    user = Sender(limit("10/hour", counted=Counted.RECIPIENTS))
    assert not is_refused(user.send(recipients=7))
    refused = user.send(recipients=4)
    assert isinstance(refused, Exceeded)
    assert (NOON + HOUR, timedelta()) == (refused.again_at, refused.used_up_for)
    assert not is_refused(user.send(recipients=3))
    assert user.send().used_up_for == HOUR  # type: ignore[union-attr]


@pytest.mark.parametrize("action", [LimitAction.REFUSE, LimitAction.DELAY])
def test_a_message_that_never_fits_has_no_time(action: LimitAction) -> None:
    user = Sender(limit("10/hour", action, Counted.RECIPIENTS))
    for _ in range(2):
        refused = user.send(recipients=11)
        assert isinstance(refused, Exceeded)
        assert refused.again_at is None
    assert Granted() == user.send(recipients=10)


def test_U24_excess_waits_for_windows_with_room_in_the_order_it_came() -> None:
    user = Sender(limit("2/hour", LimitAction.DELAY))
    times = user.times(7)
    assert times == sorted(times)
    assert 6 == len(set(times))  # the first two go at once
    assert [0, 0, 1, 1, 2, 2, 3] == [wait // HOUR for wait in times]
    assert [True] * 7 == [wait % HOUR < SECOND for wait in times]
    # What comes later waits behind it, also in a window that has begun meanwhile.
    assert [3] == [wait // HOUR for wait in user.times(1, NOON)]
    assert [4, 4] == [(w + HOUR) // HOUR for w in user.times(2, NOON + HOUR)]


def test_after_a_backlog_there_is_room_again() -> None:
    user = Sender(limit("2/hour", LimitAction.DELAY))
    user.times(5)
    assert [timedelta(), HOUR] == [w - w % SECOND for w in user.times(2, NOON + 2 * HOUR)]
    assert [timedelta()] * 2 == user.times(2, NOON + 9 * HOUR)


def test_a_message_is_not_torn_between_two_windows() -> None:
    user = Sender(limit("10/hour", LimitAction.DELAY, Counted.RECIPIENTS))
    waits = []
    for recipients in (6, 6, 3, 2):
        granted = user.send(recipients=recipients)
        assert isinstance(granted, Granted)
        waits.append(((granted.send_at or NOON) - NOON) // HOUR)
    assert [0, 1, 1, 2] == waits


def test_a_short_window_has_room_when_the_long_one_lets_a_message_go() -> None:
    user = Sender(limit("2/minute", LimitAction.DELAY), limit("4/hour", LimitAction.DELAY))
    waits = [wait // MINUTE for wait in user.times(8)]
    assert [0, 0, 1, 1, 60, 60, 61, 61] == waits


def test_what_would_wait_longer_than_any_window_is_refused_and_not_counted() -> None:
    user = Sender(limit("1/day", LimitAction.DELAY))
    days = LONGEST_DELAY.days
    waits = user.times(days + 1, NOON)
    assert days == (waits[-1] + HOUR * 12).days
    refused = user.send(NOON)
    assert isinstance(refused, Exceeded)
    assert refused.again_at is not None
    assert NOON < refused.again_at <= NOON + timedelta(days=1)
    assert not is_refused(user.send(refused.again_at))


def test_a_month_above_its_limit_goes_on_in_the_next() -> None:
    first = datetime(2026, 12, 1, tzinfo=UTC)
    waits = Sender(limit("1/month", LimitAction.DELAY)).times(2, first)
    assert [0, 31] == [wait.days for wait in waits]


def test_a_hold_takes_everything_and_says_so_once_in_a_window() -> None:
    user = Sender(limit("1/hour", LimitAction.HOLD))
    seen = [user.send(at) for at in (NOON, NOON, NOON, NOON + HOUR, NOON + HOUR)]
    assert all(isinstance(v, Granted) and v.send_at is None for v in seen)
    assert [[], [True], [False], [], [True]] == [
        [e.is_first for e in v.excess] for v in seen if isinstance(v, Granted)
    ]


@pytest.mark.parametrize("action", [LimitAction.REFUSE, LimitAction.DELAY])
def test_what_is_above_is_told_once_until_there_is_room_again(action: LimitAction) -> None:
    user = Sender(limit("1/hour", action))

    def firsts(at: datetime, number: int) -> list[bool]:
        seen = [user.send(at) for _ in range(number)]
        excess = [(v.excess,) if isinstance(v, Exceeded) else v.excess for v in seen]
        return [e.is_first for each in excess for e in each]

    assert [True, False, False] == firsts(NOON, 4)
    assert [True, False] == firsts(NOON + 9 * HOUR, 3)


def test_limits_of_the_account_and_of_the_user_both_count() -> None:
    of_account = Sender(limit("1/hour"), owner=ACCOUNT)
    of_account.send()
    refused = of_account.send()
    assert isinstance(refused, Exceeded)
    assert refused.excess.of_account

    of_user = Sender(limit("1/hour"))
    of_user.send()
    refused = of_user.send()
    assert isinstance(refused, Exceeded)
    assert not refused.excess.of_account


def test_U24_a_child_that_a_user_sends_for_has_its_limits_and_stops_nothing_else() -> None:
    message = Charge(ACCOUNT, USER, 1, CHILD)
    assert (CHILD, ACCOUNT, USER) == message.owners
    of_child = RateCount(CHILD, limit("1/hour"), EPOCH, 0, told=False)
    _, counts = charge(message, counts_at([of_child], NOON), NOON)
    refused, _ = charge(message, counts, NOON)
    assert isinstance(refused, Exceeded)
    assert (True, CHILD) == (refused.excess.of_account, refused.excess.account_id)
    assert HOUR == (refused.again_at or NOON) - NOON
    assert not refused.used_up_for


@pytest.mark.parametrize(("waits", "moves"), [(CHILD, CHILD), (USER, USER), (ACCOUNT, None)])
def test_U24_what_waits_for_a_child_or_a_user_moves_no_window_of_the_others(
    waits: UUID, moves: UUID | None
) -> None:
    """What waits for an account moves those of its user."""
    message = Charge(ACCOUNT, USER, 1, CHILD)
    counts: Sequence[RateCount] = [
        RateCount(
            owner,
            limit("1/hour" if owner == waits else "9/minute", LimitAction.DELAY),
            NOON,
            0,
            told=False,
        )
        for owner in message.owners
    ]
    for _ in range(2):
        verdict, counts = charge(message, counts, NOON)
    assert isinstance(verdict, Granted)
    assert verdict.send_at
    assert NOON + HOUR <= verdict.send_at < NOON + HOUR + SECOND
    ahead = {count.owner_id for count in counts if count.window > NOON}
    assert ({moves} if moves else {ACCOUNT, USER}) == ahead


STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1, 20, 60, 61, 3_600, 90_000]), st.integers(1, 5)), max_size=25
)


@given(STEPS, st.integers(5, 9), st.integers(5, 40))
def test_U24_no_window_ever_has_more_than_its_limit_and_nobody_overtakes(
    steps: Sequence[tuple[int, int]], a_minute: int, an_hour: int
) -> None:
    delays = {Period.MINUTE: a_minute, Period.HOUR: an_hour}
    user = Sender(
        *(
            RateLimit(Counted.RECIPIENTS, period, most, LimitAction.DELAY)
            for period, most in delays.items()
        )
    )
    now, sent = NOON + SECOND / 2, []  # what waits goes in the first moment of a window
    for seconds, recipients in steps:
        now += timedelta(seconds=seconds)
        granted = user.send(now, recipients)
        assert isinstance(granted, Granted)
        sent.append((granted.send_at or now, recipients))
        assert sent[-1][0] >= now
    assert [at for at, _ in sent] == sorted(at for at, _ in sent)
    for period, most in delays.items():
        windows: Counter[datetime] = Counter()
        for at, recipients in sent:
            windows[period.start(at)] += recipients
        assert all(count <= most for count in windows.values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1000/h", "1000 messages an hour"),
        (" 1/min ", "1 message a minute"),
        ("5/D", "5 messages a day"),
        ("7/month", "7 messages a month"),
    ],
)
def test_a_limit_is_read_and_said(text: str, words: str) -> None:
    assert words == str(limit(text))


@pytest.mark.parametrize(
    "text",
    ["", "1000", "1000/", "1000/m", "0/h", "-1/h", "1.5/h", "1000000001/h", "1/h/h", "\u0661/h"],
)
def test_what_is_no_limit_is_told_why(text: str) -> None:
    with pytest.raises(ValueError, match="is not NUMBER/PERIOD, such as 1000/hour"):
        limit(text)


def test_what_waits_for_one_limit_is_counted_by_the_others_when_it_goes() -> None:
    sender = Sender(
        limit("2/hour", LimitAction.DELAY), limit("3/hour", LimitAction.DELAY, Counted.RECIPIENTS)
    )
    for _ in range(4):
        assert isinstance(sender.send(recipients=3), Granted)
    assert [4 * HOUR, 4 * HOUR, 5 * HOUR] == [
        timedelta(hours=each // HOUR) for each in sender.times(3)
    ]


def test_what_waits_for_different_limits_goes_in_its_order() -> None:
    sender = Sender(
        limit("2/hour", LimitAction.DELAY), limit("4/hour", LimitAction.DELAY, Counted.RECIPIENTS)
    )
    sent = [sender.send(recipients=n) for n in (4, 2, 2)]
    times = [each.send_at or NOON for each in sent if isinstance(each, Granted)]
    assert 3 == len(times)
    assert sorted(times) == times
