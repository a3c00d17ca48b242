"""JSON in a header field or a request, read so that no other reader and no store can differ."""

import json
import math
import re
from typing import Any, NoReturn

from posthouse.mail.encoded_words import decoded
from posthouse.mail.message import Field

_DEEPEST = 32  # arrays and objects within each other
_TOO_DEEP = f"arrays and objects may be within each other {_DEEPEST} times"
_SHOWN = 80  # characters of a wrong value that are quoted back
_AT_ONCE = 262_144  # characters that are looked at, so that a thread can be interrupted

_FOLD = re.compile(rb"\r\n[ \t]+")
_NOT_ASCII = re.compile(rb"[^\x00-\x7f]")


class UnreadableJson(ValueError):
    """It is no JSON object, or can be read in two ways; the text says why."""


def json_object(raw: Field) -> dict[str, Any]:
    """The object that a header field holds; raises UnreadableJson.

    Its lines are unfolded with one space (T22). It is in ASCII, or one text in encoded words (T23).
    """
    octets = _FOLD.sub(b" ", raw.raw.partition(b":")[2]).strip()
    if wrong := _NOT_ASCII.search(octets):
        # T23. Only ASCII is read alike by all.
        raise UnreadableJson(
            f"octet 0x{wrong[0].hex()} at character {wrong.start() + 1} is not ASCII:"
            " write the character as \\u and four digits, or in an encoded word"
        )
    text = octets.decode("ascii")
    if text.startswith("=?"):
        text = decoded(text)
    found = strict_json(text)
    if not isinstance(found, dict):
        raise UnreadableJson("it must be of type 'json object'")
    return found


def strict_json(text: str) -> Any:
    """The value that *text* stands for; raises UnreadableJson for what can be read in two ways."""
    try:
        found = json.loads(text, object_pairs_hook=_each_once, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise UnreadableJson(f"{error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise UnreadableJson(_TOO_DEEP) from error
    except ValueError as error:  # of the hooks, or a number of thousands of digits
        raise UnreadableJson(str(error)) from error
    _check(found, _DEEPEST)
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise UnreadableJson(f"{shown(name)} is given twice")
        found[name] = value
    return found


def _refuse_constant(word: str) -> NoReturn:
    raise UnreadableJson(f"{word} is no JSON")


def _check(value: Any, deeper: int) -> None:
    """Refuse what PostgreSQL has no JSON for: NUL, half a character, a number without end."""
    if deeper < 0:
        raise UnreadableJson(_TOO_DEEP)
    if isinstance(value, dict):
        for name, each in value.items():
            _check(name, deeper)
            _check(each, deeper - 1)
    elif isinstance(value, list):
        for each in value:
            _check(each, deeper - 1)
    elif isinstance(value, str):
        if not _is_storable(value):
            raise UnreadableJson(f"{shown(value)} holds a NUL or half of a surrogate pair")
    elif isinstance(value, float) and not math.isfinite(value):
        raise UnreadableJson("a number is larger than any number may be")


def _is_storable(text: str) -> bool:
    if "\0" in text:
        return False
    if text.isascii():  # a long one is looked at in no time
        return True
    try:
        for at in range(0, len(text), _AT_ONCE):
            text[at : at + _AT_ONCE].encode()  # ten times as fast as a pattern
    except UnicodeEncodeError:  # it holds half of a pair
        return False
    return True


def shown(text: str) -> str:
    """*text* in ASCII, on one line and cut, for a reply."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
