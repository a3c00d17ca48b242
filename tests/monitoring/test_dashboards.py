"""Dashboards: what the generator makes, without a data source of their own."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from monitoring.dashboards import DASHBOARDS, FOLDER
from monitoring.panels import Dashboard

EACH = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
OURS = {"type": "prometheus", "uid": "${datasource}"}


def values(node: Any, key: str) -> Iterator[Any]:
    """Every value under *key*, however deep."""
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == key)
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from values(item, key)


@EACH
def test_the_file_is_what_the_generator_makes(dashboard: Dashboard) -> None:
    """If this fails: `make manifests`."""
    assert dashboard.text() == (FOLDER / f"{dashboard.name}.json").read_text()


def test_no_file_is_left_of_a_dashboard_that_is_gone() -> None:
    assert {one.name for one in DASHBOARDS} == {file.stem for file in FOLDER.iterdir()}


@EACH
def test_the_reader_chooses_data_source_and_installation(dashboard: Dashboard) -> None:
    made = json.loads(dashboard.text())
    sources = list(values(made, "datasource"))
    assert sources
    assert all(OURS == source for source in sources)
    names = [variable["name"] for variable in made["templating"]["list"]]
    assert ["datasource", "namespace"] == names[:2]
    for expr in values(made, "expr"):
        assert set(re.findall(r"\$(\w+)", expr)) <= {*names, "__rate_interval"}
        assert "namespace" in expr or "ALERTS" in expr


@EACH
def test_panels_lie_side_by_side(dashboard: Dashboard) -> None:
    places = [panel["gridPos"] for panel in json.loads(dashboard.text())["panels"]]
    cells = [
        (x, y)
        for at in places
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert 24 > max(x for x, _ in cells)


def test_the_overview_has_a_row_for_each_lane_and_begins_with_the_oldest() -> None:
    rows = [row for row in DASHBOARDS[0].rows if row.title.startswith("Lane ")]
    assert ["very-high", "high", "normal", "low", "bulk"] == [row.title[5:] for row in rows]
    assert {"Oldest"} == {row.panels[0].title for row in rows}
