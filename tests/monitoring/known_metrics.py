"""Every metric of the product, by the name it is scraped under."""

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

from prometheus_client import Counter, Info
from prometheus_client.metrics import MetricWrapperBase

from posthouse.running.loop_histogram import LoopHistogram

PACKAGES = (
    "posthouse",
    "ingest",
    "policy",
    "dispatcher",
    "bounces",
    "tracking",
    "webhooks",
    "console",
    "onebox",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A metric as it is scraped."""

    kind: str | None
    labels: tuple[str, ...]
    meaning: str
    module: str


def metrics() -> dict[str, Shown]:
    """Those of every module of the library and the services, programs' entry points left out."""
    return {
        name: shown
        for module in _modules()
        for value in vars(import_module(module)).values()
        for name, shown in _shown(value, module)
    }


def series_names() -> set[str]:
    """The names that queries may ask for."""
    found = metrics()
    histograms = [name for name, shown in found.items() if shown.kind == "histogram"]
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "count", "sum")}
    return parts | (found.keys() - set(histograms))


def _modules() -> Iterator[str]:
    for package in PACKAGES:
        path = import_module(package).__path__
        for found in pkgutil.walk_packages(path, f"{package}."):
            if not found.name.endswith(".__main__"):
                yield found.name


def _shown(value: object, module: str) -> Iterator[tuple[str, Shown]]:
    if isinstance(value, LoopHistogram):
        yield value.name, Shown("histogram", value.label_names, value.documentation, module)
    elif isinstance(value, MetricWrapperBase):
        suffix = {Counter: "_total", Info: "_info"}.get(type(value), "")
        labels = tuple(value._labelnames)
        yield f"{value._name}{suffix}", Shown(value._type, labels, value._documentation, module)
