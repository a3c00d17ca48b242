"""JSON in the body of a request: read strictly, and into a type; errors say where and what."""

import re
from typing import Any, TypeVar

import msgspec

from ingest.core.json_field import UnreadableJson, shown, strict_json
from ingest.core.new_message import WrongValue, escaped

T = TypeVar("T")

_MOST_VALUES = 250_000  # each takes some hundred octets of memory

_WHERE = re.compile(r"(.*) - at `(?:key in )?\$(.*)`", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z_]+)|\[(\d+)\]|(\[\.\.\.\])")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_SHOWABLE = (str, int, float, bool, type(None))


def parsed(octets: bytes) -> Any:
    """The value that *octets* stand for in JSON (RFC 8259); raises WrongValue."""
    try:
        text = octets.decode()
        _check_number(text)
        return strict_json(text)
    except UnicodeDecodeError as error:
        raise WrongValue("", f"this is no UTF-8 at octet {error.start + 1}") from error
    except UnreadableJson as error:
        raise WrongValue("", f"this is no JSON: {error}") from error


def _check_number(text: str) -> None:
    """Raise WrongValue for so many values that they take far more memory than their *text*."""
    if _separators(text) <= _MOST_VALUES:
        return
    # A value is one string at most, and one its name. To take out millions takes long.
    strings = (text.count('"') - text.count('\\"')) // 2
    if strings > 2 * _MOST_VALUES + 2 or _separators(_without_strings(text)) > _MOST_VALUES:
        raise WrongValue("", f"there are more than {_MOST_VALUES} values, the most that are read")


def _without_strings(text: str) -> str:
    """What stands between strings; not by a pattern, which holds up all others for long."""
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    return "".join(unescaped.split('"')[::2])


def _separators(text: str) -> int:
    """At least as many as there are values, but for one."""
    return sum(text.count(one) for one in ",[{")


def as_kind(found: Any, kind: type[T], pointer: str = "") -> T:
    """*found*, which stands at *pointer*, as *kind*; raises WrongValue."""
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        where, text = _place(found, str(error))
        raise WrongValue(pointer + where, text) from error


def _place(found: Any, text: str) -> tuple[str, str]:
    """Where a value is that cannot be, and what is wrong with it."""
    match = _WHERE.fullmatch(text)
    why, path = (match[1], match[2]) if match else (text, "")
    pointer, value = "", found
    for name, number, _ in _STEP.findall(path):
        step: Any = int(number) if number else name
        try:
            value = value[step]
        except (LookupError, TypeError):
            return pointer, why
        pointer += f"/{step}"
    if unknown := _UNKNOWN.fullmatch(why):
        return f"{pointer}/{escaped(unknown[1])}", f"there is no field {shown(unknown[1])} here"
    if isinstance(value, _SHOWABLE) and value is not found:
        why = f"{shown(value if isinstance(value, str) else repr(value))} seen: {why}"
    return pointer, why
