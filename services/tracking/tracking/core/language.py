"""The language of a page, of those that a reader's program asks for (RFC 9110 section 12.5.4)."""

import math
from collections.abc import Iterator
from enum import StrEnum

_MOST_CHARACTERS = 1_000


class Language(StrEnum):
    """The languages that pages for recipients are written in, by their tags (RFC 5646)."""

    ENGLISH = "en"
    GERMAN = "de"
    ITALIAN = "it"
    FRENCH = "fr"
    SPANISH = "es"


def preferred_language(accept: str) -> Language:
    """The language that *accept*, an Accept-Language field, wants most; English if it wants none.

    Of several with the same weight the first counts. Regions do not matter. What cannot be read is
    left out.
    """
    weights: dict[str, float] = {}
    for tag, weight in _weights(accept[:_MOST_CHARACTERS]):
        weights[tag] = max(weight, weights.get(tag, 0.0))
    named = {tag: weight for tag, weight in weights.items() if tag in list(Language)}
    named |= {tag: weights.get("*", 0.0) for tag in Language if tag not in named}
    wanted = max(named, key=lambda tag: named[tag])
    return Language(wanted) if named[wanted] > 0 else Language.ENGLISH


def _weights(accept: str) -> Iterator[tuple[str, float]]:
    for item in accept.split(","):
        tag, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = _weight(parameters)
        if weight is not None:
            yield tag.partition("-")[0], weight


def _weight(parameters: list[str]) -> float | None:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return None
            return weight if math.isfinite(weight) and 0 <= weight <= 1 else None
    return 1.0
