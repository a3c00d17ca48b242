"""Times as people write them in a report, in a zone of theirs."""

from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from posthouse.traffic.dimension import Dimension

_QUARTER_MINUTES = 15
_DAY = timedelta(days=1)
_YEARS = range(1970, 9999)  # so that no zone, and no day after, is beyond what there is
# Beside the zones, and known here only: PostgreSQL has to know what is asked for, too.
_FILES = ("localtime", "posix", "right/")

_SHOWN: dict[Dimension, Callable[[datetime], str]] = {
    Dimension.QUARTER_HOUR: lambda local: local.isoformat(timespec="minutes"),
    Dimension.HOUR: lambda local: local.isoformat(timespec="minutes"),
    Dimension.DAY: lambda local: f"{local:%Y-%m-%d}",
    Dimension.WEEK: lambda local: f"{local:%G-W%V}",
    Dimension.MONTH: lambda local: f"{local:%Y-%m}",
    Dimension.YEAR: lambda local: f"{local:%Y}",
}


class UnreadableWord(ValueError):
    """A word of a request that cannot be read; says what was seen and what is allowed."""


def zone_named(name: str) -> ZoneInfo:
    """The time zone *name*, as in "Europe/Rome". Raises UnreadableWord."""
    if not name.startswith(_FILES):
        with suppress(ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo(name)
    raise UnreadableWord(f"{name!r} is not a time zone, such as Europe/Rome or UTC")


def first_moment(text: str, zone: ZoneInfo) -> datetime:
    """When the day or time *text* begins in *zone*, at a quarter of an hour or before it.

    Raises UnreadableWord.
    """
    day = _day(text)
    if day is not None:
        return datetime.combine(day, time(), zone)
    moment = _moment(text, zone)
    return moment - timedelta(
        minutes=moment.minute % _QUARTER_MINUTES,
        seconds=moment.second,
        microseconds=moment.microsecond,
    )


def moment_after(text: str, zone: ZoneInfo) -> datetime:
    """When the day *text* has ended in *zone*, or that time itself. Raises UnreadableWord."""
    day = _day(text)
    return _moment(text, zone) if day is None else datetime.combine(day + _DAY, time(), zone)


def start_of_day(moment: datetime, zone: ZoneInfo, *, days_before: int = 0) -> datetime:
    """Midnight in *zone* before *moment*, or so many days earlier."""
    day = moment.astimezone(zone).date() - days_before * _DAY
    return datetime.combine(day, time(), zone)


def period_text(dimension: Dimension, began_at: datetime, zone: ZoneInfo) -> str:
    """How a report names the period that *began_at* some time."""
    return _SHOWN[dimension](began_at.astimezone(zone))


def in_known_years(day: date, text: str) -> None:
    """Raise UnreadableWord if *day*, which was read from *text*, is of a year that nobody means."""
    if day.year not in _YEARS:
        raise UnreadableWord(f"{text!r} is of none of the years {_YEARS[0]} to {_YEARS[-1]}")


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    in_known_years(day, text)
    return day


def _moment(text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableWord(
            f"{text!r} is neither a day (2026-11-30) nor a time (2026-11-30T09:15)"
        ) from error
    in_known_years(moment, text)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
