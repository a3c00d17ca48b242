"""The queries of the dashboards, as Grafana would ask them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from monitoring.dashboards import DASHBOARDS

_CHOSEN = {"$namespace": ".*", "$provider": ".*", "$__rate_interval": "1m"}


class Asked(NamedTuple):
    """A query, and the line of a panel that it is for."""

    line: str
    expr: str

    def is_about(self, names: Mapping[str, str]) -> bool:
        """Whether it has one of *names*, the keys, in it."""
        return any(name in self.expr for name in names)


def asked() -> list[Asked]:
    """Those of every dashboard, without the number that some have in place of nothing."""
    return [
        Asked(
            f"{dashboard.name}: {row.title}: {panel.title}: {query.legend}",
            filled(query.expr).removesuffix(" or vector(0)"),
        )
        for dashboard in DASHBOARDS
        for row in dashboard.rows
        for panel in row.panels
        for query in panel.queries
    ]


def filled(expr: str) -> str:
    """A query, for all that the reader can choose."""
    for name, value in _CHOSEN.items():
        expr = expr.replace(name, value)
    return expr


def has_data(samples: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a panel shows anything."""
    return any(sample["value"][1] != "NaN" for sample in samples)
