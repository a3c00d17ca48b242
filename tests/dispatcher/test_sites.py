"""Limits of destinations."""

from dispatcher.core.routes import Route, Tls
from dispatcher.sites import Sites


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


def test_parked_mail_is_fetched_when_half_of_the_limit_is_free() -> None:
    """Not one by one: each fetch is a statement."""
    sites = Sites(4)
    for _ in range(4):
        sites.enter(route("a.example"))
    sites.parked("a.example")

    sites.leave(route("a.example"))
    assert [] == sites.with_room()
    sites.leave(route("a.example"))
    assert [("a.example", 2)] == sites.with_room()
    sites.emptied("a.example")
    assert [] == sites.with_room()
