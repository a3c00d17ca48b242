"""What a report is asked for: one value, made of words, whoever asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from posthouse.mail.lane import Lane
from posthouse.traffic.dimension import OF_LINES, PERIODS, Dimension
from posthouse.traffic.moments import (
    UnreadableWord,
    first_moment,
    moment_after,
    start_of_day,
    zone_named,
)

MOST_DIMENSIONS = 3
_DAYS = 7  # without a start
_FILTERS = ("stream", "subject", "sender", "user", "domain", "provider")
WORDS = ("by", "zone", "since", "until", "tag", "match", "lane", *_FILTERS)


@dataclass(frozen=True, slots=True)
class TrafficRequest:
    """Counts from *since* on and before *until*, of mail that all the filters fit."""

    since: datetime
    until: datetime
    zone: ZoneInfo
    by: tuple[Dimension, ...] = (Dimension.DAY,)
    tags: tuple[str, ...] = ()
    all_tags: bool = False  # mail has to have all of *tags*; else one is enough
    stream: str | None = None  # "": mail of no stream; likewise all that follow
    subject: str | None = None
    sender: str | None = None
    user: str | None = None
    domain: str | None = None
    provider: str | None = None
    lane: Lane | None = None

    @classmethod
    def parse(cls, words: Mapping[str, Sequence[str]], now: datetime) -> Self:
        """Read *words*, each with its values, such as {"by": ["day", "stream"], "tag": ["a"]}.

        by: up to three dimensions, of which one may be a time; without it the total. zone: as in
        Europe/Rome. since and until: days of that zone, the last of them whole, or times; without
        them the last seven days. tag: any number; match: any or all of them. stream, subject,
        sender, user, domain, provider, lane: one value each. Raises UnreadableWord.
        """
        if unknown := words.keys() - set(WORDS):
            raise UnreadableWord(f"{min(unknown)!r} is none of: {', '.join(WORDS)}")
        one = {word: _only(word, given) for word, given in words.items()}
        zone = zone_named(one.get("zone") or "UTC")
        since, until = _span(one.get("since"), one.get("until"), zone, now)
        filters = {word: one.get(word) for word in _FILTERS}
        lane = one.get("lane")
        return cls(
            since=since,
            until=until,
            zone=zone,
            by=_dimensions(words.get("by", ())),
            tags=tuple(dict.fromkeys(words.get("tag", ()))),
            all_tags=_is_all(one.get("match") or "any"),
            lane=None if lane is None else _lane(lane),
            **filters,
        )

    @property
    def period(self) -> Dimension | None:
        """By which periods it is told apart, if by any."""
        return next((dimension for dimension in self.by if dimension in PERIODS), None)

    @property
    def needs_sets(self) -> bool:
        """Whether it asks for something that sets of messages have."""
        wanted = (self.stream, self.subject, self.sender, self.user, self.domain, self.lane)
        asked = any(dimension not in OF_LINES for dimension in self.by)
        return asked or bool(self.tags) or any(each is not None for each in wanted)


def _only(word: str, given: Sequence[str]) -> str | None:
    if word in ("by", "tag"):
        return None
    if len(given) > 1:
        raise UnreadableWord(f"{word} is given {len(given)} times: one value is allowed")
    return given[0] if given else None


def _dimensions(given: Sequence[str]) -> tuple[Dimension, ...]:
    words = [word.strip() for text in given for word in text.split(",") if word.strip()]
    known = [dimension.value for dimension in Dimension]
    if unknown := [word for word in words if word not in known]:
        raise UnreadableWord(f"by: {unknown[0]!r} is none of: {', '.join(known)}")
    found = tuple(dict.fromkeys(map(Dimension, words)))
    if len(found) > MOST_DIMENSIONS:
        raise UnreadableWord(f"by: {len(found)} given, at most {MOST_DIMENSIONS} are allowed")
    if sum(dimension in PERIODS for dimension in found) > 1:
        raise UnreadableWord(f"by: at most one of {', '.join(PERIODS)} is allowed")
    return found


def _span(
    since: str | None, until: str | None, zone: ZoneInfo, now: datetime
) -> tuple[datetime, datetime]:
    beyond = now if until is None else moment_after(until, zone)
    if since is None:
        return start_of_day(beyond, zone, days_before=_DAYS - 1), beyond
    first = first_moment(since, zone)
    if first >= beyond:
        raise UnreadableWord(f"since {since!r} is not before until {until or 'now'!r}")
    return first, beyond


def _is_all(match: str) -> bool:
    if match not in ("any", "all"):
        raise UnreadableWord(f"match: {match!r} is neither any nor all")
    return match == "all"


def _lane(text: str) -> Lane:
    try:
        return Lane.from_label(text)
    except ValueError as error:
        raise UnreadableWord(str(error)) from error
