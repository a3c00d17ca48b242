"""Which settings each program of the product reads."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Annotated

from pydantic import Field

from bounces.settings import BouncesSettings
from dispatcher.settings import DispatcherSettings
from ingest.settings import IngestSettings
from onebox.place import PlaceSettings
from policy.settings import PolicySettings
from posthouse.running.program import ProgramSettings
from posthouse.running.settings import Settings, names

_MOST_BY_DEFAULT = 4


def _cores() -> int:
    return min(len(os.sched_getaffinity(0)), _MOST_BY_DEFAULT)


class OneboxSettings(PlaceSettings):
    """What `posthouse up` can be told beside what its services can."""

    workers: Annotated[int, Field(ge=1, le=64)] = Field(default_factory=_cores)
    """Processes that do the work of `posthouse up`, each with every service. Default: one for each
    core, at most four."""


SERVICES: Mapping[str, type[ProgramSettings]] = {
    "ingest": IngestSettings,
    "policy": PolicySettings,
    "dispatcher": DispatcherSettings,
    "bounces": BouncesSettings,
}


@cache
def known_names() -> frozenset[str]:
    """Every variable that is a setting of some program: in a shared environment none is wrong."""
    models: list[type[Settings]] = [*SERVICES.values(), OneboxSettings]
    return frozenset().union(*(names(model) for model in models))
