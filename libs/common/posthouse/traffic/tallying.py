"""Makes counts of the lines that events were summed up to."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from posthouse.answers import provider_of
from posthouse.traffic.measures import MEASURES, measure_of
from posthouse.traffic.message_set import MessageSet, pattern_of

OTHER_PROVIDER = "other"
_MOST_CHARACTERS = 500  # of what a server said

_PLACES = {name: place for place, name in enumerate(MEASURES)}
_RECIPIENTS = _PLACES["recipients"]
_pattern = lru_cache(4096)(pattern_of)
_provider_of = lru_cache(4096)(provider_of)


class Line(NamedTuple):
    """What is counted together."""

    messages: MessageSet
    began_at: datetime  # of the quarter of an hour
    provider: str  # of recipients; "" for messages, which have any
    answer: str  # the class of an answer, "" for none


class RefusalSample(NamedTuple):
    """What a server said against a message."""

    at: datetime
    submission_id: UUID
    reply: str


@dataclass(slots=True)
class Tally:
    """The counts of some events."""

    counts: defaultdict[Line, list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0] * len(MEASURES))
    )
    # The newest of each account, provider and class.
    refusals: dict[tuple[UUID, str, str], RefusalSample] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count *row*, as the statement tally_traffic gives it."""
        kind, answer = row["kind"], row["class"]
        line = Line(_set_of(row), row["began_at"], _provider(row), answer)
        counts = self.counts[line]
        counts[_PLACES[measure_of(kind, answer, row["reader"])]] += row["count"]
        counts[_RECIPIENTS] += row["recipients"] or 0
        if row["sample"]:
            key = row["account_id"], line.provider, answer
            refusal = _refusal(row["sample"], row["began_at"])
            if key not in self.refusals or self.refusals[key].at <= refusal.at:
                self.refusals[key] = refusal


def _set_of(row: Mapping[str, Any]) -> MessageSet:
    subject, tags = row["subject"], row["tags"]
    return MessageSet(  # by place: a page may have thousands
        row["account_id"],
        _month(row["began_at"]),
        row["stream"],
        row["domain"],
        row["credential_id"],
        row["lane"],
        tuple(sorted(tags)) if tags else (),
        subject,
        _pattern(subject),
        row["author"],
        row["author_name"],
    )


@lru_cache(100)
def _month(began_at: datetime) -> date:
    return began_at.astimezone(UTC).date().replace(day=1)


def _provider(row: Mapping[str, Any]) -> str:
    if row["kind"] == "accepted":
        return ""
    return _provider_of(row["host"]) or _provider_of(row["recipient_domain"]) or OTHER_PROVIDER


def _refusal(sample: str, at: datetime) -> RefusalSample:
    """*sample*: the ids of event and message, and what was said."""
    _, submission_id, *said = sample.split(" ", 2)
    return RefusalSample(at, UUID(submission_id), "".join(said)[:_MOST_CHARACTERS])
