"""Which settings each program of the product reads."""

from collections.abc import Mapping
from functools import cache

from bounces.settings import BouncesSettings
from dispatcher.settings import DispatcherSettings
from ingest.settings import IngestSettings
from onebox.place import PlaceSettings
from policy.settings import PolicySettings
from posthouse.running.program import ProgramSettings
from posthouse.running.settings import Settings, names

SERVICES: Mapping[str, type[ProgramSettings]] = {
    "ingest": IngestSettings,
    "policy": PolicySettings,
    "dispatcher": DispatcherSettings,
    "bounces": BouncesSettings,
}


@cache
def known_names() -> frozenset[str]:
    """Every variable that is a setting of some program: in a shared environment none is wrong."""
    models: list[type[Settings]] = [*SERVICES.values(), PlaceSettings]
    return frozenset().union(*(names(model) for model in models))
