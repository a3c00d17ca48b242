"""Visits near to each other: what repeats, and which links are followed together."""

from uuid import UUID

from posthouse.mail.events import EventKind
from posthouse.tracking.visit import Visit
from tracking.core.recent_visits import LinksNear, Noted, RecentVisits

COPY = UUID(int=7)


def click(link: int, at: float, client: str = "192.0.2.1", copy: UUID = COPY) -> Visit:
    id_ = UUID(int=int(at * 1000) << 16 | link)
    return Visit(id_, EventKind.CLICKED, copy, at, client, "agent", link=link)


def noted(*visits: Visit) -> RecentVisits:
    recent = RecentVisits()
    for visit in visits:
        assert recent.note(visit) is Noted.NEW
    return recent


def test_the_same_again_within_ten_seconds_is_a_repetition() -> None:
    recent = noted(click(0, 1.0))
    assert recent.note(click(0, 10.9)) is Noted.REPEATED
    assert recent.note(click(0, 11.1)) is Noted.NEW
    opened = click(0, 11.2)._replace(kind=EventKind.OPENED, link=None)
    for other in (
        click(1, 11.2),
        click(0, 11.3, client="192.0.2.2"),
        click(0, 11.3, copy=UUID(int=8)),
        click(0, 11.3)._replace(agent="another"),
        click(0, 11.3)._replace(is_head=True),
        click(0, 11.3)._replace(is_prefetch=True),
        opened,
    ):
        assert recent.note(other) is Noted.NEW
    assert recent.note(opened) is Noted.REPEATED


def test_a_scan_counts_its_links_before_and_after_and_the_click_of_a_person_does_not() -> None:
    scan = [click(n, 1.0 + n / 10, client=f"192.0.2.{n}") for n in range(4)]
    person = click(2, 9.0, client="198.51.100.1")
    recent = noted(*scan, person)
    assert [LinksNear(4, 1, 1)] * 4 == [recent.near(visit) for visit in scan]
    assert LinksNear(1, 1, 1) == recent.near(person)


def test_links_of_another_copy_do_not_count() -> None:
    recent = noted(click(0, 1.0), click(1, 1.1, copy=UUID(int=8)))
    assert LinksNear(1, 1, 1) == recent.near(click(0, 1.0))


def test_links_in_order_are_counted_for_ten_seconds() -> None:
    visits = [click(0, 1.0), click(1, 4.0), click(2, 7.0), click(3, 12.0), click(5, 14.0)]
    recent = noted(*visits)
    assert [1, 2, 3, 3, 1] == [recent.near(visit).in_order for visit in visits]


def test_an_open_has_no_links() -> None:
    opened = click(0, 1.0)._replace(kind=EventKind.OPENED, link=None)
    assert LinksNear() == noted(opened).near(opened)


def test_what_is_remembered_is_limited() -> None:
    recent = noted(*(click(n, 1.0) for n in range(64)))
    assert recent.note(click(64, 1.0)) is Noted.TOO_MANY
    assert recent.note(click(64, 17.0)) is Noted.NEW
    assert {COPY} == set(recent._by_copy)
    assert 1 == len(recent._in_order) == len(recent._by_copy[COPY])
    for n in range(50_100):
        recent.note(click(0, 17.0, copy=UUID(int=n + 100)))
    assert 50_000 == len(recent._in_order) == len(recent._by_copy)
