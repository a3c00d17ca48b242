"""The part of a message's trace that an attempt to deliver it is, with its phases."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from dispatcher.in_flight import Lease
from dispatcher.phases import NotedAttempt, noted_phases
from posthouse.mail.address import domain_of
from posthouse.mail.events import EventKind
from posthouse.running.traces import MessageSpan, Phase, SpanName, Traces
from posthouse.store.deliveries import Settlement


class AttemptTraces:
    """Notes the phases of attempts, and tells of each when its result is committed."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    @contextmanager
    def noting(self, lease: Lease) -> Iterator[None]:
        """The attempt on *lease* is what happens inside."""
        if not self._traces.takes(lease.claimed.delivery.submission_id):
            yield
            return
        began = perf_counter()
        with noted_phases() as phases:
            yield
        lease.noted = NotedAttempt(phases, began, perf_counter())

    def tell(self, lease: Lease, result: Settlement) -> None:
        """The *result* of *lease* is committed."""
        delivery = lease.claimed.delivery
        noted, now = lease.noted, perf_counter()
        if not self._traces.takes(delivery.submission_id):
            return
        phases: tuple[Phase, ...] = ()
        if noted is not None:  # else another process attempted it, or our own code failed
            waited = Phase("wait", lease.since, noted.began)
            phases = (waited, *noted.phases, Phase("settle", noted.ended, now))
        error = "" if result.kind is EventKind.DELIVERED else result.kind.value
        span = MessageSpan(SpanName.DELIVER, lease.since, now, _about(lease, result), phases, error)
        self._traces.tell(delivery.submission_id, span)


def _about(lease: Lease, result: Settlement) -> dict[str, str | int]:
    delivery, attempt = lease.claimed.delivery, result.attempt
    about: dict[str, str | int] = {
        "posthouse.delivery": delivery.id.hex,
        "posthouse.lane": delivery.lane.label,
        "posthouse.recipient.domain": domain_of(delivery.recipient),
        "posthouse.tries": lease.claimed.tries + 1,
        "posthouse.result": result.kind.value,
    }
    if attempt is not None:
        about |= {
            "server.address": attempt.host,
            "posthouse.site": attempt.site,
            "posthouse.tls": attempt.tls,
            "posthouse.reply": f"{attempt.code} {attempt.enhanced}".rstrip(),
        }
    return about
