"""The forms in which endpoints are told of events, by name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from posthouse.webhooks import critsend_events, native_events, sparkpost_events
from posthouse.webhooks.occurrence import Occurrence

_SUCCESS: Final = range(200, 300)
_FAULT: Final = range(500, 600)


class AnswerVerdict(StrEnum):
    """What an answer to a request means for its events."""

    TAKEN = "taken"
    GIVEN_UP = "given_up"  # no try follows, and no dead letter
    RETRY = "retry"


def _until_taken(status: int) -> AnswerVerdict:
    return AnswerVerdict.TAKEN if status in _SUCCESS else AnswerVerdict.RETRY


def _while_the_server_fails(status: int) -> AnswerVerdict:
    """2xx is success, 5xx is tried again, all else is final (RULES C27)."""
    if status in _SUCCESS:
        return AnswerVerdict.TAKEN
    return AnswerVerdict.RETRY if status in _FAULT else AnswerVerdict.GIVEN_UP


@dataclass(frozen=True, slots=True)
class Dialect:
    """How events are written, and what answers mean."""

    render: Callable[[Occurrence], Iterator[bytes]]  # objects of JSON; none: it is not told
    wrap: Callable[[UUID, datetime, int, bytes], bytes]  # batch, when made, retries, events
    judge: Callable[[int], AnswerVerdict] = _until_taken  # of the status of an answer
    gather: timedelta = timedelta()  # that is asked for, where an endpoint does not say


DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        "native": Dialect(native_events.render, native_events.wrap),
        "critsend": Dialect(
            critsend_events.render,
            critsend_events.wrap,
            _while_the_server_fails,
            timedelta(minutes=5),
        ),
        "sparkpost": Dialect(sparkpost_events.render, sparkpost_events.wrap),
    }
)
