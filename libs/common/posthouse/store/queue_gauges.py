"""The gauges of the queue, which one process shows for all."""

import time

from prometheus_client import Gauge

from posthouse.mail.lane import Lane
from posthouse.store.timeline import QueueLine

QUEUE_MESSAGES = Gauge("posthouse_queue_messages", "Open messages.", ["stage", "lane", "state"])
QUEUE_OLDEST = Gauge(
    "posthouse_queue_oldest_seconds",
    "Age of the oldest open message since it was accepted, in seconds.",
    ["stage", "lane", "state"],
)

# Shown as zero where there is none, so that a graph or an alert of it is not without data.
_USUAL = frozenset(
    (stage, lane.label, state)
    for stage, states in (
        ("policy", ("ready", "inflight", "quarantined")),
        ("delivery", ("ready", "inflight", "deferred", "parked", "quarantined")),
    )
    for state in states
    for lane in Lane
)


class QueueGauges:
    """The queue as last seen; the age of the oldest message never stands still."""

    def __init__(self) -> None:
        self._ages: dict[tuple[str, str, str], float] = {}
        self._seen = time.monotonic()

    def show(self, lines: list[QueueLine]) -> None:
        """Show the queue as it is now; a line that is gone is shown as zero."""
        self._seen = time.monotonic()
        now = {(line.stage, line.lane.label, line.state): line for line in lines}
        for labels in _USUAL | self._ages.keys() | now.keys():
            line = now.get(labels)
            self._ages[labels] = line.oldest_seconds if line else 0
            QUEUE_MESSAGES.labels(*labels).set(line.messages if line else 0)
            QUEUE_OLDEST.labels(*labels).set(self._ages[labels])

    def age(self, *, overdue: float) -> None:
        """Add the time since the queue was last seen, if that is more than *overdue* seconds."""
        since = time.monotonic() - self._seen
        if since > overdue:
            for labels, seconds in self._ages.items():
                if seconds:
                    QUEUE_OLDEST.labels(*labels).set(seconds + since)

    def clear(self) -> None:
        """Show nothing: another process shows the queue."""
        if self._ages:
            self._ages.clear()
            QUEUE_MESSAGES.clear()
            QUEUE_OLDEST.clear()
