"""What docker compose makes of our files, as far as they use what it offers: no engine is needed.

`test_stack` compares this with what compose itself says.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

ROOT = Path(__file__).parents[2]
BASE = "docker-compose.yml"
HOST = {"POSTHOUSE_HOSTNAME": "relay.example.com"}  # nothing starts without it

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:?[-?])([^}]*))?\})")

Service: TypeAlias = dict[str, Any]


class Required(Exception):
    """A variable has to be given; the text says which, and what for."""


class Instead:
    """A value that replaces that of the file before, instead of being added to it."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _override(loader: yaml.SafeLoader, node: yaml.Node) -> Instead:
    if isinstance(node, yaml.MappingNode):
        return Instead(loader.construct_mapping(node, deep=True))
    assert isinstance(node, yaml.SequenceNode)
    return Instead(loader.construct_sequence(node, deep=True))


yaml.SafeLoader.add_constructor("!override", _override)


def variables(text: str) -> set[str]:
    """The variables that a file reads."""
    return {name for _, name, _, _ in _VARIABLE.findall(text) if name}


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file such as .env, without quotes and the like: ours have none."""
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, equals, value in lines if equals and not name.startswith("#")}


def project(given: Mapping[str, str] = HOST, *, files: Sequence[str] = (BASE,)) -> dict[str, Any]:
    """All of *files*, one over the other, with *given* as .env."""
    merged: dict[str, Any] = {}
    for name in files:
        merged = _over(merged, _filled(_loaded(name), given))
    return {key: value for key, value in merged.items() if not key.startswith("x-")}


@cache
def _loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def services(
    given: Mapping[str, str] = HOST,
    *,
    files: Sequence[str] = (BASE,),
    profiles: Collection[str] = (),
) -> dict[str, Service]:
    """The services that run, each with the environment that its container gets."""
    found = project(given, files=files)["services"]
    active = {
        n: s for n, s in found.items() if not s.get("profiles") or set(s["profiles"]) & {*profiles}
    }
    return {name: {**s, "environment": environment(s, given)} for name, s in active.items()}


def environment(service: Service, given: Mapping[str, str]) -> dict[str, str]:
    """The variables in the container of *service*: handed on, of its files, and its own."""
    found: dict[str, str] = {}
    if base := service.get("extends"):
        names = _loaded(base["file"])["services"][base["service"]]["environment"]
        found |= {name: given[name] for name in names if name in given}
    if any(isinstance(file, dict) for file in service.get("env_file", ())):
        found |= given
    return found | {name: str(value) for name, value in service.get("environment", {}).items()}


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    match value:
        case str():
            return _VARIABLE.sub(lambda found: _value(found, given), value)
        case dict():
            return {key: _filled(item, given) for key, item in value.items()}
        case list():
            return [_filled(item, given) for item in value]
        case Instead():
            return Instead(_filled(value.value, given))
        case _:
            return value


def _value(found: re.Match[str], given: Mapping[str, str]) -> str:
    dollar, name, form, other = found.groups()
    if dollar:
        return "$"
    value = given.get(name)
    missing = not value if (form or "").startswith(":") else value is None
    if missing and (form or "").endswith("?"):
        raise Required(f"{name}: {other}")
    return (other or "") if missing else (value or "")


def _over(lower: Any, upper: Any) -> Any:
    match lower, upper:
        case _, Instead():
            return upper.value
        case dict(), dict():
            return {
                key: _over(lower.get(key), upper[key]) if key in upper else lower[key]
                for key in {**lower, **upper}
            }
        case list(), list():
            return [*lower, *upper]
        case _:
            return upper
