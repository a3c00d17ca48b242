"""Limits of destinations."""

from collections import defaultdict
from typing import Any

import pytest

from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.site_metrics import LIMITED
from dispatcher.sites import Full, Go, Sites
from posthouse.mail.lane import Lane
from posthouse.mail.outcome import Deferred, Delivered, Outcome
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope
from posthouse.store.deliveries import ClaimedDelivery
from servers.claimed_delivery import claimed_delivery

TAKEN = Delivered(Reply(250, "taken"))
SILENT = Deferred(Reply(451, "timed out"), Scope.HOST)
GREYLISTED = Deferred(Reply(450, "later"), Scope.RECIPIENT)


def route(site: str, *, static: bool = False) -> Route:
    """A way to *site*."""
    return Route(((f"mx.{site}",),), 25, site, TlsPolicy.OPPORTUNISTIC, static)


def delivery(size: int = 1_000, lane: Lane = Lane.BULK) -> ClaimedDelivery:
    """A claimed delivery of a message of *size* octets."""
    return claimed_delivery(lane=lane, size=size)


class Destinations(Sites):
    """Sites, with the transactions that run to each."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.running: dict[str, list[Go]] = defaultdict(list)

    def start(self, site: str, *, static: bool = False, **message: Any) -> Go | Full:
        """Enter a site with a message."""
        found = self.enter(route(site, static=static), delivery(**message))
        if isinstance(found, Go):
            self.running[site].append(found)
        return found

    def fill(self, site: str) -> int:
        """Start transactions until the site takes no more; how many those were."""
        return next(n for n in range(100) if isinstance(self.start(site), Full))

    def end(self, site: str, *outcomes: Outcome) -> None:
        """End as many transactions, the latest first."""
        for outcome in outcomes:
            self.leave(self.running[site].pop(), outcome)


def test_a_full_site_takes_no_more_and_others_do() -> None:
    """One destination at its limit leaves the others alone."""
    sites = Destinations(2)

    answers = [sites.start("a.example") for _ in range(3)]
    assert [Go, Go, Full] == [type(answer) for answer in answers]
    assert Full("a.example") == answers[2]
    assert isinstance(sites.start("b.example"), Go)


def test_the_operators_own_routes_have_no_limit() -> None:
    """A smarthost is limited by the lanes alone."""
    sites = Destinations(1)

    answers = [sites.start("smarthost:25", static=True) for _ in range(5)]
    assert {Go} == {type(answer) for answer in answers}


def test_a_site_that_does_not_answer_soon_holds_one_transaction_only() -> None:
    """However many it had when that began, and although nothing runs to it meanwhile."""
    sites = Destinations(10)
    assert sites.fill("a.example") == 10
    sites.end("a.example", *[SILENT] * 10)

    assert sites.fill("a.example") == 1


@pytest.mark.parametrize("answer", [TAKEN, GREYLISTED])
def test_a_site_that_answers_again_gets_its_room_back(answer: Outcome) -> None:
    """One more for each answer, up to the limit."""
    sites = Destinations(4)
    sites.fill("a.example")
    sites.end("a.example", *[SILENT] * 4)

    assert sites.fill("a.example") == 1
    sites.end("a.example", answer)
    assert sites.fill("a.example") == 2
    sites.end("a.example", *[answer] * 2)
    assert sites.fill("a.example") == 4
    sites.end("a.example", *[answer] * 4)
    assert sites.fill("a.example") == 4


def test_parked_mail_is_fetched_when_half_of_the_room_is_free() -> None:
    """Not one by one: each fetch is a statement."""
    sites = Destinations(4)
    sites.fill("a.example")
    sites.parked("a.example")

    sites.end("a.example", TAKEN)
    assert [] == sites.with_room()
    sites.end("a.example", TAKEN)
    assert [("a.example", 2)] == sites.with_room()
    sites.emptied("a.example")
    assert [] == sites.with_room()


def test_the_metric_has_what_is_at_a_limit_now() -> None:
    """By the provider, which such a site is of."""

    def shown(state: str, provider: str = "google") -> float:
        return float(LIMITED.labels(provider, state)._value.get())

    before = {state: shown(state) for state in ("full", "slowed")}
    sites = Destinations(4)
    sites.fill("google.com")
    assert shown("full") == before["full"] + 1
    sites.end("google.com", *[SILENT] * 4)
    assert (shown("full"), shown("slowed")) == (before["full"], before["slowed"] + 1)

    for _ in range(4):
        sites.start("google.com")
        sites.end("google.com", TAKEN)
    assert (shown("full"), shown("slowed")) == (before["full"], before["slowed"])


def test_the_metric_forgets_what_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatcher.sites._MOST_KNOWN", 0)
    slowed = LIMITED.labels("microsoft", "slowed")
    before = slowed._value.get()
    sites = Destinations(4)
    sites.start("outlook.com")
    sites.end("outlook.com", SILENT)
    assert slowed._value.get() == before


def test_mail_parked_for_a_site_that_failed_is_fetched_one_by_one() -> None:
    """Until it answers."""
    sites = Destinations(4)
    sites.fill("a.example")
    sites.end("a.example", *[SILENT] * 4)
    sites.parked("a.example", "new.example")

    assert [("a.example", 1), ("new.example", 4)] == sites.with_room()


@pytest.mark.parametrize(("others", "room"), [(5_000, 1), (20_000, 2)])
def test_a_flood_of_failing_sites_is_not_remembered_for_ever(others: int, room: int) -> None:
    """Those that fail last are forgotten, but no transaction that runs."""
    sites = Destinations(2)
    assert sites.fill("busy.example") == 2
    for number in range(others):
        sites.start(f"{number}.example")
        sites.end(f"{number}.example", SILENT)

    assert room == sites.fill(f"{others - 1}.example")
    assert sites.fill("busy.example") == 0


LARGE = 25 << 20


@pytest.mark.parametrize("static", [False, True])
def test_a_site_has_one_large_message_on_the_wire_and_small_ones_pass_it(*, static: bool) -> None:
    """Also where the operator set the route; other large ones wait for octets, not for places."""
    sites = Destinations(10)
    first = sites.start("slow.example", static=static, size=LARGE)
    assert isinstance(first, Go)

    waiting = sites.start("slow.example", static=static, size=LARGE)
    assert Full("slow.example (large)") == waiting
    assert isinstance(sites.start("slow.example", static=static), Go)
    assert isinstance(sites.start("other.example", size=LARGE), Go)

    sites.parked("slow.example (large)")
    assert [] == sites.with_room()
    sites.leave(first, TAKEN)
    (found,) = sites.with_room()
    assert "slow.example (large)" == found[0]
    assert isinstance(sites.start("slow.example", static=static, size=LARGE), Go)


def test_large_messages_that_hang_leave_octets_for_lanes_above() -> None:
    """Each of the two highest lanes has its own; small messages need none in any lane."""
    sites = Destinations(10)
    for number in range(2):
        assert isinstance(sites.start(f"slow{number}.example", size=LARGE), Go)
    for lane in (Lane.BULK, Lane.NORMAL):
        assert Full("lanes 3-5 (large)") == sites.start("good.example", size=LARGE, lane=lane)
        assert isinstance(sites.start("good.example", lane=lane), Go)
    for lane in (Lane.HIGH, Lane.VERY_HIGH):
        assert isinstance(sites.start(f"{lane.label}.example", size=LARGE, lane=lane), Go)
    assert Full("lane 1 (large)") == sites.start("x.example", size=LARGE, lane=Lane.VERY_HIGH)
