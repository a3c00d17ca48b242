"""Pictures of dashboards: what is drawn, and those that are in the documentation."""

import re
from xml.etree import ElementTree as ET

import pytest

from monitoring.dashboards import DASHBOARDS
from monitoring.drawing import Series, named, picture, quantity
from monitoring.panels import Dashboard, Panel, Query, Row
from monitoring.pictures import FOLDER

GRAPH = Panel("Waiting", (Query("waiting", "{{state}}"),))
NUMBER = Panel("Due", (Query("due", ""),), kind="stat")
ONE = Dashboard("one", "One", (Row("Now", (NUMBER,)), Row("Lately", (GRAPH,))))
RISING = Series("due", ((0.0, 0.0), (0.5, 5.0), (1.0, 10.0)))


def words(svg: str) -> list[str]:
    """What is written in a picture."""
    return [found.text or "" for found in ET.fromstring(svg).iter() if found.text]  # noqa: S314


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_the_documentation_shows_each_dashboard_as_it_is(dashboard: Dashboard) -> None:
    """If this fails: PYTHONPATH=tests python -m monitoring.pictures."""
    svg = (FOLDER / f"{dashboard.name}.svg").read_text()
    written = words(svg)
    for row in dashboard.rows:
        assert {row.title, *(panel.title for panel in row.panels)} <= set(written)
    assert written.count("nothing in this load") < 8
    assert len(svg.encode()) < 60_000
    assert f"(dashboards/{dashboard.name}.svg)" in (FOLDER.parent / "metrics.md").read_text()


def test_a_line_goes_from_the_bottom_to_its_highest_value() -> None:
    svg = picture(ONE, {NUMBER: [RISING], GRAPH: [RISING]}, "Drawn for a test.")
    found = re.search(r'<path class="l0" d="M([\d. ]+)"', svg)
    assert found is not None
    numbers = [float(number) for number in found[1].split()]
    (x0, x1, x2), (y0, y1, y2) = numbers[::2], numbers[1::2]
    assert 2 * x1 == pytest.approx(x0 + x2, abs=1)
    assert 2 * y1 == pytest.approx(y0 + y2, abs=1)
    assert x0 < x1 < x2
    assert y0 > y1 > y2


def test_a_number_is_the_last_one_and_what_has_none_says_so() -> None:
    written = words(picture(ONE, {NUMBER: [RISING], GRAPH: []}, "Drawn for a test."))
    shown = ["Now", "Due", "10", "Lately", "Waiting", "nothing in this load", "Drawn for a test."]
    assert shown == written[-7:]


def test_a_series_has_the_name_that_grafana_gives_it() -> None:
    assert "bulk ready" == named("{{lane}} {{state}}", {"lane": "bulk", "state": "ready"})
    assert "bulk" == named("{{lane}} {{state}}", {"lane": "bulk"})


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "s", "0 s"),
        (0.0123, "s", "12.3 ms"),
        (90.0, "s", "90 s"),
        (7200.0, "s", "2 h"),
        (0.125, "percentunit", "12.5 %"),
        (12.5, "ops", "12.5 /s"),
        (3 << 20, "bytes", "3 MiB"),
        (213.0, "short", "213"),
    ],
)
def test_quantities_are_written_as_a_person_reads_them(value: float, unit: str, text: str) -> None:
    assert text == quantity(value, unit)
