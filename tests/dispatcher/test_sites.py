"""Limits of destinations."""

import pytest

from dispatcher.core.routes import Route, Tls
from dispatcher.sites import Sites
from posthouse.mail.outcome import Deferred, Delivered, Outcome, Scope
from posthouse.mail.reply import Reply

TAKEN = Delivered(Reply(250, "taken"))
SILENT = Deferred(Reply(451, "timed out"), Scope.HOST)
GREYLISTED = Deferred(Reply(450, "later"), Scope.RECIPIENT)


def route(site: str, *, static: bool = False) -> Route:
    """A way to *site*."""
    return Route((f"mx.{site}",), 25, site, Tls.OPPORTUNISTIC, static)


def test_a_full_site_takes_no_more_and_others_do() -> None:
    """One destination at its limit leaves the others alone."""
    sites = Sites(2)

    assert [True, True, False] == [sites.enter(route("a.example")) for _ in range(3)]
    assert sites.enter(route("b.example"))


def test_the_operators_own_routes_have_no_limit() -> None:
    """A smarthost is limited by the lanes alone."""
    sites = Sites(1)

    assert all(sites.enter(route("smarthost:25", static=True)) for _ in range(5))


def fill(sites: Sites, name: str) -> int:
    """Start transactions until the site takes no more; how many those were."""
    return next(started for started in range(100) if not sites.enter(route(name)))


def drain(sites: Sites, name: str, outcomes: list[Outcome]) -> None:
    """End as many transactions."""
    for outcome in outcomes:
        sites.leave(route(name), outcome)


def test_a_site_that_does_not_answer_soon_holds_one_transaction_only() -> None:
    """However many it had when that began, and although nothing runs to it meanwhile."""
    sites = Sites(10)
    assert fill(sites, "a.example") == 10
    drain(sites, "a.example", [SILENT] * 10)

    assert fill(sites, "a.example") == 1


@pytest.mark.parametrize("answer", [TAKEN, GREYLISTED])
def test_a_site_that_answers_again_gets_its_room_back(answer: Outcome) -> None:
    """One more for each answer, up to the limit."""
    sites = Sites(4)
    fill(sites, "a.example")
    drain(sites, "a.example", [SILENT] * 4)

    assert fill(sites, "a.example") == 1
    drain(sites, "a.example", [answer])
    assert fill(sites, "a.example") == 2
    drain(sites, "a.example", [answer] * 2)
    assert fill(sites, "a.example") == 4
    drain(sites, "a.example", [answer] * 4)
    assert fill(sites, "a.example") == 4


def test_parked_mail_is_fetched_when_half_of_the_room_is_free() -> None:
    """Not one by one: each fetch is a statement."""
    sites = Sites(4)
    fill(sites, "a.example")
    sites.parked("a.example")

    drain(sites, "a.example", [TAKEN])
    assert [] == sites.with_room()
    drain(sites, "a.example", [TAKEN])
    assert [("a.example", 2)] == sites.with_room()
    sites.emptied("a.example")
    assert [] == sites.with_room()


def test_mail_parked_for_a_site_that_failed_is_fetched_one_by_one() -> None:
    """Until it answers."""
    sites = Sites(4)
    fill(sites, "a.example")
    drain(sites, "a.example", [SILENT] * 4)
    sites.parked("a.example", "new.example")

    assert [("a.example", 1), ("new.example", 4)] == sites.with_room()


@pytest.mark.parametrize(("others", "room"), [(5_000, 1), (20_000, 2)])
def test_a_flood_of_failing_sites_is_not_remembered_for_ever(others: int, room: int) -> None:
    """Those that fail last are forgotten, but no transaction that runs."""
    sites = Sites(2)
    assert fill(sites, "busy.example") == 2
    for number in range(others):
        sites.enter(route(f"{number}.example"))
        sites.leave(route(f"{number}.example"), SILENT)

    assert room == fill(sites, f"{others - 1}.example")
    assert fill(sites, "busy.example") == 0
