"""The JSON of a Grafana dashboard, made of rows of panels."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_ALL = "$__all"
_WIDTH = 24  # of a dashboard, as Grafana counts


@dataclass(frozen=True, slots=True)
class Query:
    """One line, or several, of a panel."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph, or a number."""

    title: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: str = "timeseries"
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side under a title."""

    title: str
    panels: Sequence[Panel]
    height: int = 7


@dataclass(frozen=True, slots=True)
class Variable:
    """What the reader chooses: values of a label, any number of them."""

    name: str
    metric: str


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page."""

    name: str
    title: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = field(default=())

    def text(self) -> str:
        """The file that Grafana reads."""
        return json.dumps(self._json(), indent=1) + "\n"

    def _json(self) -> dict[str, Any]:
        return {
            "uid": f"posthouse-{self.name}",
            "title": f"Posthouse: {self.title}",
            "tags": ["posthouse"],
            "schemaVersion": 39,
            "version": 1,
            "editable": True,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "browser",
            "graphTooltip": 1,
            "links": [
                {"type": "dashboards", "tags": ["posthouse"], "title": "Posthouse",
                 "asDropdown": True, "includeVars": True, "keepTime": True}
            ],
            "templating": {"list": [_datasource(), *map(_choice, self._choices())]},
            "panels": list(self._panels()),
        }  # fmt: skip

    def _choices(self) -> Sequence[Variable]:
        return (Variable("namespace", "posthouse_build_info"), *self.variables)

    def _panels(self) -> Iterator[dict[str, Any]]:
        number, top = 1, 0
        for row in self.rows:
            place = {"x": 0, "y": top, "w": _WIDTH, "h": 1}
            yield {"id": number, "type": "row", "title": row.title, "gridPos": place,
                   "collapsed": False, "panels": []}  # fmt: skip
            number, top = number + 1, top + 1
            width = _WIDTH // len(row.panels)
            for column, panel in enumerate(row.panels):
                place = {"x": column * width, "y": top, "w": width, "h": row.height}
                yield {"id": number, "gridPos": place, **_panel(panel)}
                number += 1
            top += row.height


def _panel(panel: Panel) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _DATASOURCE, "expr": query.expr,
             "legendFormat": query.legend, "range": True}
            for number, query in enumerate(panel.queries)
        ],
    }  # fmt: skip
    if panel.kind == "timeseries":
        made["options"] = {"tooltip": {"mode": "multi", "sort": "desc"}}
    else:
        made["options"] = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    return made


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource",
            "query": "prometheus", "current": {}}  # fmt: skip


def _choice(variable: Variable) -> dict[str, Any]:
    own = "" if variable.name == "namespace" else '{namespace=~"$namespace"}'
    query = f"label_values({variable.metric}{own}, {variable.name})"
    return {
        "name": variable.name,
        "label": variable.name.capitalize(),
        "type": "query",
        "datasource": _DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "A"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Also what has no such label: a relay that is not on Kubernetes has no namespace.
        "allValue": ".*",
        "current": {"text": "All", "value": [_ALL]},
    }
