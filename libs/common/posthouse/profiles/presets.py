"""The presets by name and revision, and how an account's overrides change them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from functools import partial, reduce
from typing import Any, get_type_hints

from posthouse.mail.lane import Lane
from posthouse.profiles.critsend import CRITSEND
from posthouse.profiles.episerver import EPISERVER
from posthouse.profiles.mailtarget import MAILTARGET
from posthouse.profiles.mailup import MAILUP
from posthouse.profiles.maxemail import MAXEMAIL
from posthouse.profiles.native import NATIVE
from posthouse.profiles.profile import Profile

_PRESETS = {
    (preset.name, preset.revision): preset
    for preset in (NATIVE, CRITSEND, MAXEMAIL, MAILUP, MAILTARGET, EPISERVER)
}
_NEWEST = dict(sorted(_PRESETS))  # revision by name
_NO_OVERRIDES: Mapping[str, object] = {}


def newest_presets() -> list[Profile]:
    """Each preset in its newest revision."""
    return [_PRESETS[name, revision] for name, revision in _NEWEST.items()]


class UnknownProfile(ValueError):
    """This program does not know a profile of that name and revision; a newer one may."""


class InvalidOverride(ValueError):
    """An override names no knob, or gives a value that the knob cannot have."""


def resolve(
    name: str, revision: int | None = None, overrides: Mapping[str, object] = _NO_OVERRIDES
) -> Profile:
    """The preset *name* with *overrides*, by dotted knob name: {"tracking.opens": True}.

    *revision*: None for the newest there is. Values are those of JSON. Raises UnknownProfile and
    InvalidOverride, which say what was seen and what is allowed.
    """
    profile = _PRESETS.get((name, _NEWEST.get(name, 0) if revision is None else revision))
    if profile is None:
        wanted = f"{name!r}" if revision is None else f"{name!r}, revision {revision}"
        known = ", ".join(f"{known}, revision {number}" for known, number in _PRESETS)
        raise UnknownProfile(f"no profile is called {wanted}; there is: {known}")
    return with_knobs(profile, overrides)


def with_knobs(profile: Profile, overrides: Mapping[str, object]) -> Profile:
    """*profile* with *overrides*, as for `resolve`; raises InvalidOverride."""
    for knob, given in overrides.items():
        read = _KNOBS.get(knob)
        if read is None:
            raise InvalidOverride(f"no knob is called {knob!r}; there is: {', '.join(_KNOBS)}")
        try:
            profile = _with(profile, knob, read(given))
        except ValueError as error:
            raise InvalidOverride(f"{knob}: {error}") from error
    return profile


def preset_names() -> tuple[str, ...]:
    """The presets there are."""
    return tuple(dict.fromkeys(name for name, _ in _PRESETS))


def knob_values(profile: Profile) -> dict[str, Any]:
    """The value of every knob by its dotted name, as overrides give it."""
    return {name: reduce(getattr, name.split("."), profile) for name in _KNOBS}


def _with(group: Any, path: str, value: object) -> Any:
    """*group* with the knob at *path*, relative to it, set to *value*."""
    name, _, deeper = path.partition(".")
    return replace(group, **{name: _with(getattr(group, name), deeper, value) if deeper else value})


# How the value of each type of knob is read from JSON; each raises ValueError.


def _boolean(given: object) -> bool:
    if not isinstance(given, bool):
        raise ValueError(f"{given!r} is not true or false")  # noqa: TRY004 - of a stored value
    return given


def _count(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise ValueError(f"{given!r} is not a whole number from 0")
    return given


def _text(given: object) -> str:
    # It reaches headers and replies: nothing in it may end a line.
    if not isinstance(given, str) or not given.isprintable():
        raise ValueError(f"{given!r} is not a text without control characters")
    return given


def _texts(given: object) -> tuple[str, ...]:
    if not isinstance(given, list | tuple):
        raise ValueError(f"{given!r} is not a list of texts")  # noqa: TRY004 - of a stored value
    return tuple(_text(each) for each in given)


def _lane(given: object) -> Lane:
    return Lane.from_label(str(given))


def _count_or_nothing(given: object) -> int | None:
    return None if given is None else _count(given)


def _choice(choices: type[StrEnum], given: object) -> StrEnum:
    if not isinstance(given, str) or given not in list(choices):
        raise ValueError(f"{given!r} is not one of: {', '.join(choices)}")
    return choices(given)


_READERS: dict[Any, Callable[[object], object]] = {
    bool: _boolean,
    int: _count,
    int | None: _count_or_nothing,
    str: _text,
    tuple[str, ...]: _texts,
    Lane: _lane,
}


def _knobs(group: Any, prefix: str) -> Iterator[tuple[str, Callable[[object], object]]]:
    """Every knob in *group* by its dotted name, with what reads its value."""
    hints = get_type_hints(type(group))
    for field in fields(group):
        value, name = getattr(group, field.name), prefix + field.name
        if is_dataclass(value):
            yield from _knobs(value, f"{name}.")
        else:
            own, hint = field.metadata.get("read"), hints[field.name]
            yield name, own or _READERS.get(hint) or partial(_choice, hint)


# Name and revision say which preset it is: they are no knobs.
_KNOBS = {name: read for name, read in _knobs(NATIVE, "") if name not in ("name", "revision")}
