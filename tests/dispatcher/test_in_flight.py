"""Which claimed delivery goes next, and how many to claim."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from dispatcher import in_flight as in_flight_module
from dispatcher.in_flight import InFlight, LaneLimits, Lease
from posthouse.mail.lane import Lane
from servers.claimed_delivery import claimed_delivery

NOBODY = UUID(int=0)
NOW = datetime.now(UTC)


def lease(lane: Lane = Lane.BULK, *, abandoned: int = 0) -> Lease:
    """A claimed delivery of that lane."""
    claimed = claimed_delivery(lane=lane, abandoned=abandoned)
    return Lease(claimed, start_before=1.0)


def in_flight(*lanes: Lane, running: int = 0) -> InFlight:
    """Five transactions for the highest lane, three for bulk; *running* bulk ones on the wire."""
    made = InFlight(LaneLimits((5, 4, 3, 3, 3)))
    for _ in range(running):
        made.admit(lease())
        assert made.start_next() is not None
    for lane in lanes:
        made.admit(lease(lane))
    return made


def test_the_highest_lane_starts_first_then_as_they_came() -> None:
    """Lanes before arrival, arrival within a lane."""
    made = InFlight(LaneLimits((5, 5, 5, 5, 5)))
    bulk, late_bulk, alert = lease(), lease(), lease(Lane.VERY_HIGH)
    for one in (bulk, late_bulk, alert):
        made.admit(one)

    assert [alert, bulk, late_bulk, None] == [made.start_next() for _ in range(4)]


def test_a_suspect_keeps_nobody_waiting() -> None:
    """It starts at once, away from the others, whatever is on the wire and however long it takes.

    Once abandoned is no suspicion.
    """
    made = in_flight(Lane.BULK, running=3)
    once, suspect, alert = lease(abandoned=1), lease(abandoned=2), lease(Lane.VERY_HIGH)
    assert suspect is made.admit(suspect)
    assert [None, None] == [made.admit(once), made.admit(alert)]

    assert [alert, None] == [made.start_next(), made.start_next()]
    assert (2, [suspect]) == (made.waiting, list(made.isolated))
    made.answered(suspect)
    made.finish(suspect)
    assert suspect not in made.leases
    assert 0 == made.unwritten


def test_suspects_come_one_at_a_time_and_one_more_if_it_is_urgent() -> None:
    """An alert does not wait for the suspect of a newsletter; there are never more than two."""
    made = in_flight()
    wanted = [made.suspects_wanted]
    for lane in (Lane.BULK, Lane.HIGH):
        made.admit(lease(lane, abandoned=2))
        wanted.append(made.suspects_wanted)

    assert [Lane.BULK, Lane.HIGH, None] == wanted
    assert made.any_started


def test_an_answer_gives_its_place_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """While results wait to be written down the wire is used, but not without end."""
    monkeypatch.setattr(in_flight_module, "MOST_UNWRITTEN", 3)
    made = in_flight(*[Lane.BULK] * 4, running=3)
    assert made.start_next() is None
    answered = list(made.on_wire)
    for one in answered:
        made.answered(one)
    following = [made.start_next() for _ in range(4)]
    assert following[3] is None  # three places

    assert following[0] is not None
    made.answered(following[0])  # the fourth result that is not written down keeps its place
    assert made.start_next() is None
    assert (2, 4) == (len(made.on_wire), made.unwritten)
    made.finish(answered[0])
    assert made.start_next() is not None
    assert made.any_started


def test_an_alert_starts_where_bulk_may_not() -> None:
    """The places left on a full wire are for higher lanes."""
    made = in_flight(Lane.BULK, Lane.VERY_HIGH, running=3)

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
    """Enough to fill the wire and the reserve; after that only what would overtake it."""
    made = InFlight(LaneLimits((5, 4, 3, 3, 3)))
    for _ in range(running):
        made.admit(lease(Lane.VERY_HIGH))
        made.start_next()
    for lane in waiting:
        made.admit(lease(lane))

    assert expected == made.to_claim(reserve)


def test_a_hint_matters_when_its_lane_would_overtake() -> None:
    """A bulk hint does not wake a dispatcher that has bulk waiting."""
    made = in_flight(Lane.NORMAL)

    assert made.would_overtake(Lane.HIGH)
    assert not made.would_overtake(Lane.NORMAL)
    assert in_flight().would_overtake(Lane.BULK)


def test_lost_leases_leave_and_renewed_ones_last_longer() -> None:
    """What was taken from us is not started; what is on the wire finishes."""
    made = in_flight(running=1)
    kept, lost = lease(), lease()
    made.admit(kept)
    made.admit(lost)
    running = next(iter(made.on_wire))

    made.extend({kept.claimed.delivery.id, running.claimed.delivery.id}, start_before=9.0)
    made.drop_waiting([lost.claimed])

    assert (9.0, 9.0, 1.0) == (kept.start_before, running.start_before, lost.start_before)
    assert [kept] == made.take_waiting()
    assert [running] == made.leases


def test_lost_leases_do_not_change_the_order_of_the_others() -> None:
    """First in, first out within a lane."""
    made = in_flight()
    many = [lease() for _ in range(20)]
    for one in many:
        made.admit(one)
    made.drop_waiting([one.claimed for one in many[::3]])
    made.limits = LaneLimits((99,) * 5)

    kept = [one for number, one in enumerate(many) if number % 3]
    assert kept == [made.start_next() for _ in kept]


def test_what_is_in_flight_goes_on_under_its_new_claim() -> None:
    """A lease of ours that ran out and came back to us starts nothing twice."""
    made = in_flight(running=1)
    running = next(iter(made.on_wire))
    again = replace(running.claimed, claim=2)

    made.admit(Lease(again, start_before=5.0))

    assert made.start_next() is None
    assert (again, 5.0) == (running.claimed, running.start_before)
    made.finish(running)
    assert [] == made.leases


def test_what_was_parked_and_is_claimed_again_starts_again() -> None:
    """Also when we hear of the new claim first, and only then that it was parked."""
    made = in_flight(running=1)
    parked = next(iter(made.on_wire))
    made.answered(parked)
    parked.parked = True
    again = Lease(replace(parked.claimed, claim=2), start_before=5.0)

    made.admit(again)
    assert again is made.start_next()
    made.finish(parked)

    assert ({again}, [again], 0) == (made.on_wire, made.leases, made.unwritten)
    made.finish(again)
    assert [] == made.leases


def test_what_waits_under_a_newer_claim_is_not_lost_with_an_older_one() -> None:
    """A renewal of the older one found it gone, because we had claimed it again meanwhile."""
    made = in_flight()
    waiting = lease()
    made.admit(waiting)
    older = waiting.claimed
    made.admit(Lease(replace(older, claim=2), start_before=5.0))

    made.drop_waiting([older])

    assert [waiting] == made.take_waiting()
