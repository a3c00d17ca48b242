"""What the long forms believe: the count of messages, the blows, and the line through memory."""

import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from bench.load_summary import Sent
from bench.sink_session import Arrival, Outcome

from chaos.cases import CASES, Case
from chaos.memory import Life, Memory, Slope, Verdict
from chaos.strikes import in_turn, moments
from chaos.tally import Count, Records, Tally
from posthouse.mail.return_path import sign

CASE = {case.name: case for case in CASES}
WELL = Count(
    messages=9,
    accepted=9,
    refused=0,
    lost=0,
    doubled=0,
    cut=0,
    resubmitted=0,
    uncertain=0,
    unlogged=0,
    delivered_twice=0,
    unexplained=0,
    seconds=1.0,
)


def sent(number: int, code: int = 250) -> Sent:
    return Sent(str(number), 3, "ann@dest.example", 0.0, 0.0, code, 1)


def arrival(number: int, delivery: UUID, outcome: Outcome = Outcome.TAKEN, day: int = 1) -> Arrival:
    path = sign(delivery, "relay.example", b"key", date(2026, 1, day))
    return Arrival(str(number), 0.0, 0.0, outcome, path, ("ann@dest.example",), 9, b"")


def count(
    answers: Sequence[Sent], arrivals: Sequence[Arrival], *uncertain: UUID, deliveries: int = 0
) -> Count:
    tally = Tally()
    tally.answers(answers)
    tally.arrivals(arrivals)
    events = Counter({"accepted": deliveries, "delivered": deliveries})
    return tally.count(Records(events, Counter(uncertain), 0), 1.0)


def test_a_message_that_was_accepted_and_never_came_is_lost() -> None:
    found = count([sent(0), sent(1), sent(7), sent(9, 554)], [arrival(1, uuid4())], deliveries=1)
    assert (4, 3, 1, 2) == (found.messages, found.accepted, found.refused, found.lost)


def test_a_second_transaction_of_a_delivery_is_a_double_and_needs_its_own_event() -> None:
    once, twice = uuid4(), uuid4()
    arrivals = [arrival(0, once), arrival(1, twice), arrival(1, twice, day=2)]
    logged = count([sent(0), sent(1)], arrivals, twice, deliveries=2)
    assert (1, 1, 0) == (logged.doubled, logged.uncertain, logged.unlogged)
    assert (0, 0, 0) == (logged.lost, logged.resubmitted, logged.unexplained)

    elsewhere = count([sent(0), sent(1)], arrivals, once, deliveries=2)
    assert (1, 1, 1) == (elsewhere.doubled, elsewhere.uncertain, elsewhere.unlogged)


def test_another_delivery_of_the_same_message_was_submitted_twice() -> None:
    first, second = uuid4(), uuid4()
    arrivals = [arrival(0, first), arrival(0, second), arrival(0, second)]
    found = count([sent(0)], arrivals, second, deliveries=2)
    assert (1, 1, 0) == (found.resubmitted, found.doubled, found.unlogged)


def test_what_the_sink_cut_is_no_double_and_what_it_refused_has_not_come() -> None:
    cut, soft = uuid4(), uuid4()
    arrivals = [
        arrival(0, cut, Outcome.CUT),
        arrival(0, cut),
        arrival(1, soft, Outcome.SOFT),
        arrival(1, soft),
    ]
    found = count([sent(0), sent(1)], arrivals, cut, deliveries=2)
    assert (1, 0, 1, 0) == (found.cut, found.doubled, found.uncertain, found.unlogged)
    assert 1 == count([sent(0), sent(1)], arrivals[:3], cut).lost


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_these_are_promised_whatever_is_done(case: Case) -> None:
    well = replace(WELL, cut=3, uncertain=3) if case.manners.cut else WELL
    assert () == case.broken(9, well)
    ill = [
        replace(well, accepted=8),
        replace(well, refused=1),
        replace(well, lost=1),
        replace(well, unlogged=1),
        replace(well, delivered_twice=1),
        replace(well, unexplained=-1),
    ]
    assert [1] * len(ill) == [len(case.broken(9, count)) for count in ill]


def test_a_stop_doubles_nothing_and_a_kill_what_it_owns_up_to() -> None:
    doubled = replace(WELL, doubled=2, uncertain=2, resubmitted=2)
    assert () == CASE["split"].broken(9, doubled)
    assert 3 == len(CASE["services-stop"].broken(9, doubled))
    assert ("2 doubled without need",) == CASE["servers-stop"].broken(9, doubled)


def test_doubles_equal_cuts() -> None:
    cut = CASE["onebox-cut"]
    assert ("the sink cut nothing",) == cut.broken(9, WELL)
    assert ("4 uncertain for 3 cut",) == cut.broken(9, replace(WELL, cut=3, uncertain=4))


def test_services_are_struck_in_turn_and_servers_a_quarter_as_often() -> None:
    blows = CASE["split"].blows(20)
    often = Counter(name for blow in blows for name in blow)
    assert {20} == {often[name] for name in ("ingest", "policy", "dispatcher", "bounces")}
    assert {5} == {often[name] for name in ("postgres", "rabbitmq")}
    assert [("a",), ("a",), ("b",), ("a",), ("a",)] == in_turn({"a": 4, "b": 1})
    assert 5 == len(CASE["all-at-once"].blows(20))


def test_moments_are_in_order_and_apart() -> None:
    places = moments(50, seed=7)
    assert places == sorted(places)
    assert 0 < places[0] < places[-1] < 0.9
    assert min(b - a for a, b in pairwise(places)) > 0.2 * 0.9 / 50


def test_the_slope_of_a_line_is_found_within_its_error() -> None:
    chance = random.Random(5)  # noqa: S311 -- noise
    values = [80 + 3.0 / 60 * minute + chance.gauss(0, 0.05) for minute in range(45)]
    slope = Slope.through(values)
    assert slope is not None
    assert 0 < slope.error < 0.7
    assert abs(slope.mb_an_hour - 3.0) < 2 * slope.error
    assert Slope.through([1.0, 2.0]) is None
    assert Slope(60.0, 0.0) == Slope.through([1.0, 2.0, 3.0])


def test_growth_by_steps_lies_within_the_error_too() -> None:
    """A step after each sixth minute, now small, now large: few summands, much doubt."""
    within = 0
    for seed in range(200):
        chance = random.Random(seed)  # noqa: S311 -- noise
        steps = [chance.expovariate(1) * 0.05 for _ in range(8)]
        slope = Slope.through([80 + sum(steps[: minute // 6]) for minute in range(45)])
        assert slope is not None
        within += abs(slope.mb_an_hour - 0.5) < slope.error
    assert within > 160


@pytest.mark.parametrize(
    ("growth", "noise", "minutes", "verdict"),
    [
        (0.0, 0.02, 60, Verdict.HOLDS),
        (0.5, 0.02, 60, Verdict.HOLDS),
        (3.0, 0.02, 60, Verdict.BROKEN),
        (0.5, 0.2, 60, Verdict.OPEN),
        (1.5, 0.2, 60, Verdict.BROKEN),
        (9.0, 0.0, 30, Verdict.TOO_SHORT),
    ],
)
def test_a_verdict_on_growth(growth: float, noise: float, minutes: int, verdict: Verdict) -> None:
    """Behind a warm-up in which memory grows as it likes."""
    chance = random.Random(1)  # noqa: S311 -- noise
    values = [
        90 + min(minute, 15) + growth / 60 * minute + chance.gauss(0, noise)
        for minute in range(minutes)
    ]
    assert verdict == Life("policy 2", tuple(values), warm_up=15).verdict


def test_a_process_that_begins_anew_has_another_life() -> None:
    memory = Memory()
    for seconds in (0, 30, 60, 90, 120):
        memory.look({"me": os.getpid(), "gone": 1 << 30}, seconds)
    memory.look({"me": os.getppid()}, 120)
    lives = [(life.process, len(life.resting_mb)) for life in memory.lives(0)]
    assert [("me", 2), ("me", 0)] == [life for life in lives if life[0] == "me"]
