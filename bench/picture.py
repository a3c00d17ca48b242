"""The results as a picture for the README: bars in SVG, readable on light and dark."""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.report import OURS, REFERENCE, Measured, Results, median, ratio

_WIDTH, _LEFT, _RIGHT = 760, 220, 130
_BAR, _STEP, _HEAD, _GAP = 22, 34, 64, 30
_STYLE = """\
text { font: 14px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 16px }
.small { font-size: 12px; fill: #59636e }
.ours { fill: #0969da }
.other { fill: #8c959f }
.spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.ours { fill: #4493f8 }
.other { fill: #6e7681 }
.spread { stroke: #e6edf3 }
}"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure of all systems."""

    name: str  # of a field of Figures
    title: str
    better: str
    digits: int


_PANELS = (
    Panel("delivered_per_second", "Delivered messages per second", "more is better", 0),
    Panel("cpu_ms", "CPU milliseconds per message", "less is better", 2),
)


def picture(results: Results) -> str:
    """The SVG document."""
    high = _HEAD + _STEP * len(results.systems) + _GAP
    height = len(_PANELS) * high + 36
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-labelledby="said">'
    )
    drawn = (
        line
        for place, panel in enumerate(_PANELS)
        for line in _draw(panel, results, top=place * high)
    )
    said = f'<title id="said">{escape(_in_words(results))}</title>'
    style = f"<style>{_STYLE}</style>"
    return "\n".join([opening, said, style, *drawn, *_captions(results, height - 30), "</svg>", ""])


def _draw(panel: Panel, results: Results, top: int) -> Iterator[str]:
    longest = max((_values(system, panel)[-1] for system in results.systems), default=0) or 1
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    yield text(0, top + 24, panel.title, "title")
    yield text(0, top + 44, panel.better, "small")
    ours_first = sorted(results.systems, key=lambda system: system.name not in OURS)
    for place, system in enumerate(ours_first):
        y = top + _HEAD + place * _STEP
        values = [value * scale for value in _values(system, panel)]
        width = max(median(system, panel.name) * scale, 1)
        kind = "ours" if system.name in OURS else "other"
        bar = f'x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3"'
        yield text(0, y + 16, system.title)
        yield f'<rect class="{kind}" {bar}/>'
        if values[1:]:
            yield _whisker(_LEFT + values[0], _LEFT + values[-1], y + _BAR / 2)
        yield text(_LEFT + max(width, values[-1]) + 8, y + 16, _label(system, panel, results))


def _values(system: Measured, panel: Panel) -> list[float]:
    """Of all runs, the lowest first."""
    return sorted(getattr(run, panel.name) for run in system.runs)


def _whisker(low: float, high: float, y: float) -> str:
    """From the lowest run to the highest."""
    line = f"M{low:.1f} {y - 4:.0f}v8M{low:.1f} {y:.0f}H{high:.1f}M{high:.1f} {y - 4:.0f}v8"
    return f'<path class="spread" d="{line}"/>'


def text(x: float, y: float, said: str, kind: str = "") -> str:
    """A line of text that begins there, in the style *kind*."""
    styled = f' class="{kind}"' if kind else ""
    return f'<text{styled} x="{x:.0f}" y="{y:.0f}">{escape(said)}</text>'


def _label(system: Measured, panel: Panel, results: Results) -> str:
    times = ratio(system, results.system(REFERENCE), panel.name)
    return _figure(system, panel) + ("" if times is None else f"  ({times:.2f} times)")


def _figure(system: Measured, panel: Panel) -> str:
    return f"{median(system, panel.name):,.{panel.digits}f}"


def _in_words(results: Results) -> str:
    """The picture as text, for screen readers."""
    return "; ".join(
        f"{panel.title}: "
        + ", ".join(f"{system.title} {_figure(system, panel)}" for system in results.systems)
        for panel in _PANELS
    )


def _captions(results: Results, top: int) -> Iterator[str]:
    work, origin = results.work, results.origin
    runs = max((len(system.runs) for system in results.systems), default=0)
    what = (
        f"{work.messages:,} messages of {work.size / 1024:.0f} KB, one recipient, "
        f"{work.connections} connections, DKIM RSA-2048; medians of {runs} runs, "
        "lowest to highest"
    )
    where = f"{origin.machine.processor}, {origin.machine.cores} cores; {origin.date[:10]}"
    yield text(0, top, what, "small")
    yield text(0, top + 16, where, "small")
