"""Draws docs/dashboards: what the queries of each dashboard return of a relay under load.

PYTHONPATH=tests python -m monitoring.pictures

It takes three minutes, as root, which the database and Prometheus of Debian need.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from monitoring.asked import filled
from monitoring.busy_relay import MANNERS, SETTINGS, BusyRelay, open_to_others
from monitoring.dashboards import DASHBOARDS
from monitoring.drawing import Series, named, picture
from monitoring.panels import Panel
from monitoring.prometheus_server import PrometheusServer, prometheus
from servers.shared_relay import shared_relay

FOLDER = Path(__file__).parents[2] / "docs/dashboards"
_SECONDS, _POINTS = 150.0, 50
_MOST_LINES = 8  # of a panel: those that rise highest
_CAPTION = (
    f"{_SECONDS:.0f} seconds of one relay, under a load that has some of everything."
    " A graph goes from 0 to the number at its right."
)


async def main() -> None:
    """Load a relay, ask, draw."""
    with TemporaryDirectory() as made:
        folder = open_to_others(Path(made))
        async with (
            shared_relay(folder, ("opportunistic", "http"), MANNERS, **SETTINGS) as relay,
            prometheus(folder, relay.health) as server,
        ):
            busy = await BusyRelay.of(relay)
            begun, number = time.time(), 0
            while time.time() < begun + _SECONDS:
                number += 1
                await busy.round(number)
                await asyncio.sleep(2 * abs(math.sin(number / 5)))  # busy hours, and quiet ones
            for dashboard in DASHBOARDS:
                panels = [panel for row in dashboard.rows for panel in row.panels]
                found = {panel: await _series(server, panel, begun) for panel in panels}
                drawn = picture(dashboard, found, _CAPTION)
                (FOLDER / f"{dashboard.name}.svg").write_text(drawn)


async def _series(server: PrometheusServer, panel: Panel, begun: float) -> Sequence[Series]:
    found = [
        Series(
            named(query.legend, sample["metric"]),
            [
                ((float(at) - begun) / _SECONDS, float(value))
                for at, value in sample["values"]
                if math.isfinite(float(value))
            ],
        )
        for query in panel.queries
        for sample in await server.ask_between(
            filled(query.expr), begun, begun + _SECONDS, _SECONDS / _POINTS
        )
    ]
    found = [series for series in found if series.points]
    found.sort(key=lambda series: max(value for _, value in series.points), reverse=True)
    return found[:_MOST_LINES]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    asyncio.run(main())
