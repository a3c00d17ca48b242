"""Which delivery in hand goes next, and how many to claim."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from dispatcher import window as window_module
from dispatcher.core.lanes import LaneLimits
from dispatcher.window import Held, Window
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery
from posthouse.running.identity import new_id
from posthouse.store.deliveries import ClaimedDelivery

NOBODY = UUID(int=0)
NOW = datetime.now(UTC)


def held(lane: Lane = Lane.BULK, *, abandoned: int = 0) -> Held:
    """A claimed delivery of that lane."""
    delivery = Delivery(new_id(), NOBODY, NOBODY, NOBODY, lane, "a@b.example", "r@h.example")
    claimed = ClaimedDelivery(
        delivery,
        claim=1,
        tries=0,
        abandoned=abandoned,
        expired=False,
        received_at=NOW,
        expires_at=NOW,
    )
    return Held(claimed, good_until=1.0)


def window(*lanes: Lane, running: int = 0) -> Window:
    """Five transactions for the highest lane, three for bulk; *running* bulk ones on the wire."""
    made = Window(LaneLimits((5, 4, 3, 3, 3)))
    for _ in range(running):
        made.add(held())
        assert made.start_next() is not None
    for lane in lanes:
        made.add(held(lane))
    return made


def test_the_highest_lane_starts_first_then_as_they_came() -> None:
    """Lanes before arrival, arrival within a lane."""
    made = Window(LaneLimits((5, 5, 5, 5, 5)))
    bulk, late_bulk, alert = held(), held(), held(Lane.VERY_HIGH)
    for one in (bulk, late_bulk, alert):
        made.add(one)

    assert [alert, bulk, late_bulk, None] == [made.start_next() for _ in range(4)]


def test_a_suspect_is_on_the_wire_alone() -> None:
    """What may end the process takes nothing with it that was on the wire; once is no suspicion."""
    made = window(Lane.BULK, running=1)
    (first,) = made.running.values()
    once, suspect, last = held(abandoned=1), held(abandoned=2), held()
    for one in (once, suspect, last):
        made.add(one)
    before = [made.start_next(), made.start_next()]
    assert once in before
    assert made.start_next() is None
    for started in (first, *before):
        assert started is not None
        made.finish(started)

    assert made.has_suspect
    assert [suspect, None] == [made.start_next(), made.start_next()]
    made.finish(suspect)
    assert not made.has_suspect
    assert last == made.start_next()


def test_an_answer_gives_its_place_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """While results wait to be written down the wire is used, but not without end."""
    monkeypatch.setattr(window_module, "MOST_UNWRITTEN", 3)
    made = window(*[Lane.BULK] * 4, running=3)
    assert made.start_next() is None
    answered = list(made.running.values())
    for one in answered:
        made.answered(one)
    following = [made.start_next() for _ in range(4)]
    assert following[3] is None  # three places

    assert following[0] is not None
    made.answered(following[0])  # the fourth result that is not written down keeps its place
    assert made.start_next() is None
    assert (2, 4) == (len(made.running), made.unwritten)
    made.finish(answered[0])
    assert made.start_next() is not None
    assert made.in_flight


def test_a_suspect_waits_for_results_to_be_written_down() -> None:
    """Its end must not make an answer uncertain that came before."""
    made = window(running=1)
    (first,) = made.running.values()
    suspect = held(abandoned=2)
    made.add(suspect)
    made.answered(first)
    assert made.start_next() is None

    made.finish(first)
    assert not made.in_flight
    assert suspect is made.start_next()


def test_an_alert_starts_where_bulk_may_not() -> None:
    """What a full wire has left over is for the express."""
    made = window(Lane.BULK, Lane.VERY_HIGH, running=3)

    started = made.start_next()

    assert started is not None
    assert Lane.VERY_HIGH == started.lane
    assert made.start_next() is None


@pytest.mark.parametrize(
    ("waiting", "running", "reserve", "expected"),
    [
        ((), 0, 0, (Lane.BULK, 3)),
        ((), 0, 10, (Lane.BULK, 13)),
        ((), 3, 10, (Lane.BULK, 10)),
        ((Lane.BULK,) * 6, 3, 10, (Lane.HIGH, 1)),
        ((Lane.HIGH,) * 6, 3, 10, (Lane.VERY_HIGH, 2)),
        ((Lane.VERY_HIGH,) * 6, 3, 10, None),
        ((), 5, 0, None),
    ],
)
def test_what_is_worth_claiming(
    waiting: tuple[Lane, ...], running: int, reserve: int, expected: tuple[Lane, int] | None
) -> None:
    """Enough to fill the wire and the reserve; with that in hand only what would overtake it."""
    made = Window(LaneLimits((5, 4, 3, 3, 3)))
    for _ in range(running):
        made.add(held(Lane.VERY_HIGH))
        made.start_next()
    for lane in waiting:
        made.add(held(lane))

    assert expected == made.room(reserve)


def test_a_hint_matters_when_its_lane_would_overtake() -> None:
    """Bulk hints wake nobody who has bulk waiting."""
    made = window(Lane.NORMAL)

    assert made.would_overtake(Lane.HIGH)
    assert not made.would_overtake(Lane.NORMAL)
    assert window().would_overtake(Lane.BULK)


def test_lost_leases_leave_and_renewed_ones_last_longer() -> None:
    """What was taken from us is not started; what is on the wire finishes."""
    made = window(running=1)
    kept, lost = held(), held()
    made.add(kept)
    made.add(lost)
    running = next(iter(made.running.values()))

    made.extend({kept.claimed.delivery.id, running.claimed.delivery.id}, good_until=9.0)
    made.drop_waiting({lost.claimed.delivery.id})

    assert (9.0, 9.0, 1.0) == (kept.good_until, running.good_until, lost.good_until)
    assert [kept] == made.take_waiting()
    assert [running] == made.in_hand


def test_what_is_in_hand_goes_on_under_its_new_claim() -> None:
    """A lease of ours that ran out and came back to us starts nothing twice."""
    made = window(running=1)
    running = next(iter(made.running.values()))
    again = replace(running.claimed, claim=2)

    made.add(Held(again, good_until=5.0))

    assert made.start_next() is None
    assert (again, 5.0) == (running.claimed, running.good_until)
    made.finish(running)
    assert [] == made.in_hand
