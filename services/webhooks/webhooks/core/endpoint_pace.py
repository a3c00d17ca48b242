"""When a request is tried again, and whether it or its endpoint is to blame."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from posthouse.webhooks.event_batch import EndpointFailures

_WAITS: Final = tuple(timedelta(seconds=s) for s in (5, 15, 60, 300, 900, 1800, 3600))
_JITTER: Final = 0.2
LONGEST_WAIT: Final = timedelta(hours=1)
# Answers that are about the request and not about the endpoint (RFC 9110 section 15.5).
_ABOUT_THE_REQUEST: Final = frozenset({400, 406, 411, 412, 413, 414, 415, 422, 431})
_REFUSED_IN_A_ROW: Final = 3
MOST_IN_FLIGHT: Final = 8


@dataclass(frozen=True, slots=True)
class Waits:
    """What waits, and for how long: the batch alone, or everything for its endpoint."""

    batch: timedelta | None = None
    endpoint: timedelta | None = None


@dataclass(frozen=True, slots=True)
class PauseRule:
    """When nothing more is sent to an endpoint until somebody says so."""

    after: timedelta = timedelta(hours=24)
    failures: int = 20  # in a row, at least

    def says(self, failures: EndpointFailures) -> bool:
        """Whether it has failed for long enough, and often enough."""
        return (
            failures.since is not None
            and failures.since >= self.after
            and failures.count >= self.failures
        )


def waits_after(
    status: int | None,
    *,
    tries: int,
    failures: int,
    chance: float,
    asked: timedelta | None = None,
) -> Waits:
    """What follows from an answer with that *status* (None: there was none) that is no success.

    *tries* of the batch and *failures* of the endpoint in a row, before this one; *chance* in
    [0, 1); *asked*: what the endpoint asked for (Retry-After), of which an hour counts at most.
    A batch that is refused for what it is goes on by itself, unless several are in a row.
    """
    if status in _ABOUT_THE_REQUEST and failures < _REFUSED_IN_A_ROW:
        return Waits(batch=_wait(tries, chance))
    wait = _wait(failures, chance)
    return Waits(endpoint=wait if asked is None else min(max(wait, asked), LONGEST_WAIT))


def room_after(room: int, *, success: bool) -> int:
    """How many requests an endpoint may have at the same time from now on."""
    return min(room + 1, MOST_IN_FLIGHT) if success else 1


def _wait(before: int, chance: float) -> timedelta:
    return _WAITS[min(before, len(_WAITS) - 1)] * (1 - _JITTER + 2 * _JITTER * chance)
