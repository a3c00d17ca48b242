"""A dashboard as a picture in SVG, of what its queries returned: readable on light and dark."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.picture import text

from monitoring.panels import Dashboard, Panel

_WIDTH, _GAP, _HEAD = 1140, 12, 30
_GRAPH, _NUMBER = 132, 58  # heights of panels
_TOP, _FOOT = 24, 22  # of a graph: for its title, and for the names of its lines
_LETTER = 5.6  # the width of one in the names of lines, on average
_COLOURS = ("#2f81f7", "#d4682c", "#2da44e", "#bf3989", "#9a7b00", "#8250df", "#1b9aa8", "#848d97")
_STYLE = f"""
text {{ font: 11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328 }}
.title {{ font-size: 18px; font-weight: 600 }} .row {{ font-size: 14px; font-weight: 600 }}
.small {{ font-size: 10px; fill: #59636e }} .number {{ font-size: 20px; font-weight: 600 }}
.frame {{ fill: none; stroke: #d1d9e0 }} path {{ fill: none; stroke-width: 1.3 }}
{" ".join(f".l{n} {{ stroke: {c} }} .t{n} {{ fill: {c} }}" for n, c in enumerate(_COLOURS))}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }} .small {{ fill: #9198a1 }} .frame {{ stroke: #3d444d }}
{" ".join(f".t{n} {{ fill: {c} }}" for n, c in enumerate(_COLOURS))} }}"""


class Series(NamedTuple):
    """A line of a panel: its name, and times from 0 to 1 with values."""

    name: str
    points: Sequence[tuple[float, float]]


class Place(NamedTuple):
    """Where a panel is drawn."""

    x: float
    y: float
    width: float
    height: float


def picture(dashboard: Dashboard, found: Mapping[Panel, Sequence[Series]], caption: str) -> str:
    """The SVG document, with the series of each panel."""
    drawn = list(_rows(dashboard, found))
    height = sum(_height(row.panels) for row in dashboard.rows) + 54
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'aria-labelledby="said">'
    )
    title = f"Posthouse: {dashboard.title}"
    head = (f'<title id="said">{title}</title>', f"<style>{_STYLE}</style>")
    below = text(0, height - 8, caption, "small")
    return "\n".join([opening, *head, text(0, 20, title, "title"), *drawn, below, "</svg>", ""])


def _rows(dashboard: Dashboard, found: Mapping[Panel, Sequence[Series]]) -> Iterator[str]:
    y = _HEAD
    for row in dashboard.rows:
        yield text(0, y + 18, row.title, "row")
        width = (_WIDTH - _GAP * (len(row.panels) - 1)) / len(row.panels)
        for number, panel in enumerate(row.panels):
            x = number * (width + _GAP)
            place = Place(round(x), y + _HEAD - 4, round(width), _height(row.panels) - _HEAD - 4)
            yield from _panel(panel, found[panel], place)
        y += _height(row.panels)


def _height(panels: Sequence[Panel]) -> int:
    return _HEAD + _GAP + (_NUMBER if panels[0].kind == "stat" else _GRAPH)


def _panel(panel: Panel, series: Sequence[Series], at: Place) -> Iterator[str]:
    frame = f'x="{at.x}" y="{at.y}" width="{at.width}" height="{at.height}" rx="4"'
    yield f'<rect class="frame" {frame}/>'
    yield text(at.x + 8, at.y + 15, panel.title)
    if not series:
        yield text(at.x + 8, at.y + 34, "nothing in this load", "small")
    elif panel.kind == "stat":
        yield text(at.x + 8, at.y + 42, quantity(series[0].points[-1][1], panel.unit), "number")
    else:
        yield from _graph(panel, series, at)


def _graph(panel: Panel, series: Sequence[Series], at: Place) -> Iterator[str]:
    most = max(value for line in series for _, value in line.points)
    label = quantity(most, panel.unit)
    yield text(at.x + at.width - 8 - _LETTER * len(label), at.y + 15, label, "small")
    width, height = at.width - 16, at.height - _TOP - _FOOT
    for number, line in enumerate(series):
        spots = [
            f"{at.x + 8 + time * width:.0f} "
            f"{at.y + _TOP + height * (1 - max(value, 0) / (most or 1)):.0f}"
            for time, value in line.points
        ]
        yield f'<path class="l{number % len(_COLOURS)}" d="M{" ".join(spots)}"/>'
    yield from _names(series, at)


def _names(series: Sequence[Series], at: Place) -> Iterator[str]:
    """As many as there is room for."""
    x, y = at.x + 8, at.y + at.height - 7
    for number, line in enumerate(series):
        wide = _LETTER * (len(line.name) + 2)
        if x + wide > at.x + at.width - 30 and number:
            yield text(x, y, f"and {len(series) - number}", "small")
            return
        yield text(x, y, line.name, f"small t{number % len(_COLOURS)}")
        x += wide


def quantity(value: float, unit: str) -> str:
    """*value* in *unit*, one of Grafana's, as a person reads it."""
    match unit:
        case "percentunit":
            return f"{value * 100:.3g} %"
        case "bytes":
            return f"{value / (1 << 20):.3g} MiB"
        case "ops":
            return f"{value:.3g} /s"
        case "s":
            return _seconds(value)
        case _:
            return f"{value:.3g}"


def _seconds(value: float) -> str:
    if not value:
        return "0 s"
    for size, name in ((31_557_600, "years"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if value >= 2 * size:
            return f"{value / size:.3g} {name}"
    return f"{value * 1000:.3g} ms"


def named(legend: str, labels: Mapping[str, str]) -> str:
    """The name of a series, as Grafana fills {{label}} in."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend).strip()
