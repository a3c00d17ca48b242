"""The forms in which endpoints are told of events, by name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from posthouse.webhooks import native_events
from posthouse.webhooks.occurrence import Occurrence

_SUCCESS: Final = range(200, 300)


class AnswerVerdict(StrEnum):
    """What an answer to a request means for its events."""

    TAKEN = "taken"
    GIVEN_UP = "given_up"  # no try follows, and no dead letter
    RETRY = "retry"


def _until_taken(status: int) -> AnswerVerdict:
    return AnswerVerdict.TAKEN if status in _SUCCESS else AnswerVerdict.RETRY


@dataclass(frozen=True, slots=True)
class Dialect:
    """How events are written, and what answers mean."""

    render: Callable[[Occurrence], Iterator[bytes]]  # objects of JSON; none: it is not told
    wrap: Callable[[UUID, datetime, int, bytes], bytes]  # batch, when made, retries, events
    judge: Callable[[int], AnswerVerdict] = _until_taken  # of the status of an answer
    gather: timedelta = timedelta()  # that is asked for, where an endpoint does not say


DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {"native": Dialect(native_events.render, native_events.wrap)}
)
