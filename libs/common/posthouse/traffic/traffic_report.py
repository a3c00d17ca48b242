"""Makes a report of counts: pure, so that all who show one show the same."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple, TypeAlias

from posthouse.mail.lane import Lane
from posthouse.traffic.csv_text import csv_text
from posthouse.traffic.dimension import OF_LINES, PERIODS, Dimension
from posthouse.traffic.measures import MEASURES, NOTHING, Counts
from posthouse.traffic.moments import period_text
from posthouse.traffic.traffic_request import TrafficRequest

OTHER = "(other)"  # what is not told apart, in tables


class CountedSet(NamedTuple):
    """What a report knows of a set of messages; None where they are not told apart."""

    stream: str
    domain: str
    user: str | None
    lane: int | None
    tags: tuple[str, ...] | None
    subject: str | None
    pattern: str | None
    author: str | None
    author_name: str | None


class CountedLine(NamedTuple):
    """Counts of a set in a period; what the request does not ask for is None or ""."""

    began_at: datetime | None
    set_id: int | None
    provider: str
    answer: str  # the class of an answer
    counts: Counts


Key: TypeAlias = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """The answer to a request."""

    request: TrafficRequest
    # By the values of the dimensions, in their order: "" for mail that has none, None for mail that
    # is not told apart. Times first, else the most mail first.
    rows: tuple[tuple[Key, Counts], ...]
    total: Counts  # each message once; rows by tag have it once for each tag
    # Of mail of which nobody knows any more whether the filters fit it, since it is not told apart
    # by tag, subject or sender. It is in no row and not in the total.
    unknown: Counts

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        asked = self.request
        return {
            "by": [dimension.value for dimension in asked.by],
            "since": asked.since.isoformat(),
            "until": asked.until.isoformat(),
            "zone": asked.zone.key,
            "rows": [
                {**dict(zip(asked.by, key, strict=True)), **counts._asdict()}
                for key, counts in self.rows
            ],
            "total": self.total._asdict(),
            "unknown": self.unknown._asdict(),
        }

    def as_csv(self) -> str:
        """For spreadsheets (RFC 4180), with a line of names."""
        rows = [
            (*(OTHER if part is None else part for part in key), *counts)
            for key, counts in self.rows
        ]
        return csv_text((*self.request.by, *MEASURES), rows)


def report_of(
    request: TrafficRequest, lines: Iterable[CountedLine], sets: Mapping[int, CountedSet]
) -> TrafficReport:
    """The answer to *request* from all *lines* of its time; *sets* has those that it needs."""
    fits = {id_: fitting(request, each) for id_, each in sets.items()}
    rows: defaultdict[Key, list[Counts]] = defaultdict(list)
    total, unknown = [NOTHING], [NOTHING]
    for line in lines:
        does_fit = line.set_id is None or fits.get(line.set_id, False)
        if does_fit is None:
            unknown.append(line.counts)
        elif does_fit:
            total.append(line.counts)
            for key in _keys(request, line, sets):
                rows[key].append(line.counts)
    summed = [(key, Counts.sum(counts)) for key, counts in rows.items()]
    return TrafficReport(
        request,
        tuple(sorted(summed, key=lambda row: _place(request, *row))),
        Counts.sum(total),
        Counts.sum(unknown),
    )


def fitting(request: TrafficRequest, messages: CountedSet) -> bool | None:
    """Whether the filters fit *messages*; None: that is not known, and the others do."""
    found = list(_fits(request, messages))
    if False in found:
        return False
    return None if None in found else True


def _fits(request: TrafficRequest, messages: CountedSet) -> Iterator[bool | None]:
    for wanted, there in (
        (request.stream, messages.stream),
        (request.domain, messages.domain),
        (request.user, messages.user),
        (request.lane, messages.lane),
        (request.subject, messages.subject),
        (request.sender, messages.author),
    ):
        if wanted is not None:
            yield None if there is None else wanted == there
    if request.tags:
        if messages.tags is None:
            yield None
        else:
            has = [tag in messages.tags for tag in request.tags]
            yield all(has) if request.all_tags else any(has)


_OF_SETS: dict[Dimension, Callable[[CountedSet], str | None]] = {
    Dimension.SUBJECT: lambda s: s.subject,
    Dimension.DYNAMIC_SUBJECT: lambda s: s.pattern,
    Dimension.SENDER: lambda s: s.author,
    Dimension.SENDER_NAME: lambda s: s.author_name,
    Dimension.USER: lambda s: s.user,
    Dimension.STREAM: lambda s: s.stream,
    Dimension.TAGS: lambda s: None if s.tags is None else ",".join(s.tags),
    Dimension.DOMAIN: lambda s: s.domain,
    Dimension.LANE: lambda s: None if s.lane is None else Lane(s.lane).label,
}


def _keys(
    request: TrafficRequest, line: CountedLine, sets: Mapping[int, CountedSet]
) -> Iterator[Key]:
    messages = None if line.set_id is None else sets[line.set_id]
    return product(*(_parts(dimension, request, line, messages) for dimension in request.by))


def _parts(
    dimension: Dimension, request: TrafficRequest, line: CountedLine, messages: CountedSet | None
) -> tuple[str | None, ...]:
    if dimension in PERIODS:
        assert line.began_at is not None
        return (period_text(dimension, line.began_at, request.zone),)
    if dimension in OF_LINES:
        return (line.provider if dimension is Dimension.PROVIDER else line.answer,)
    assert messages is not None
    if dimension is Dimension.TAG:
        return (None,) if messages.tags is None else (messages.tags or ("",))
    return (_OF_SETS[dimension](messages),)


def _place(request: TrafficRequest, key: Key, counts: Counts) -> tuple[Any, ...]:
    period = request.period
    when = "" if period is None else key[request.by.index(period)]
    return when, -counts.accepted, -counts.ended, [(part is None, part or "") for part in key]
