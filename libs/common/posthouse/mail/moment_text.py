"""Lengths of time and moments, as operators write them."""

import re
from datetime import UTC, datetime, timedelta

_AGE = re.compile(r"([0-9]{1,5})(min|h|d)")
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)  # of the times that ids have
_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class UnreadableMoment(ValueError):
    """The text quotes what was seen and says what is allowed."""


def age_in(text: str) -> timedelta:
    """A length of time: "30min", "2h" or "5d". Raises UnreadableMoment."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise UnreadableMoment(f"{text!r} is not like 30min, 2h or 5d")
    return int(match[1]) * _UNITS[match[2]]


def moment_in(text: str, now: datetime) -> datetime:
    """So long before *now*, or a time as in ISO 8601, in UTC if it says nothing else.

    In UTC, and never before 1970. Raises UnreadableMoment.
    """
    if _AGE.fullmatch(text):
        return max(_FIRST, now - age_in(text))
    try:
        found = datetime.fromisoformat(text)
        return max(_FIRST, found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise UnreadableMoment(
            f"{text!r} is not like 2h, 5d, 2026-11-30 or 2026-11-30T14:00"
        ) from error
