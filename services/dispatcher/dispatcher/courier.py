"""One delivery from hand to result: find the way, speak SMTP, conclude."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from typing import Protocol

import structlog
from prometheus_client import Counter, Histogram

from dispatcher.connections import Sent
from dispatcher.core.conclude import Conclusion, conclude, too_old
from dispatcher.core.envelope import Envelope
from dispatcher.core.retry import MINIMUM_TRIES
from dispatcher.core.routes import Route
from dispatcher.sites import Sites
from dispatcher.window import Held
from posthouse.mail.address import domain_of
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.outcome import Bounced, Deferred, Outcome, Scope
from posthouse.mail.reply import Reply
from posthouse.store.deliveries import Attempt, ClaimedDelivery, Settlement

ATTEMPTS = Counter("posthouse_delivery_attempts_total", "Attempts that ended.", ["lane", "result"])
DURATION = Histogram(
    "posthouse_delivery_duration_seconds", "One attempt from start to result, in seconds.", ["lane"]
)
QUEUE_TIME = Histogram(
    "posthouse_queue_time_seconds",
    "From accepted to the start of the first attempt, in seconds.",
    ["lane"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600),
)


# Finding a metric by its labels costs more than moving it.
@cache
def _attempts(lane: Lane, kind: EventKind) -> Counter:
    return ATTEMPTS.labels(lane.label, kind.value)


@cache
def _duration(lane: Lane) -> Histogram:
    return DURATION.labels(lane.label)


@cache
def _queue_time(lane: Lane) -> Histogram:
    return QUEUE_TIME.labels(lane.label)


_utc_now = partial(datetime.now, UTC)

_GONE = Bounced(Reply(554, "the message is past its retention", "5.6.0"), Scope.MESSAGE)

log = structlog.get_logger()


class Resolver(Protocol):
    """Where a domain's mail goes."""

    async def route(self, domain: str) -> Route | Deferred | Bounced:
        """The servers to try, or why there are none."""


class Sender(Protocol):
    """Speaks SMTP to the servers of a route."""

    async def send(self, route: Route, envelope: Envelope) -> Sent:
        """One transaction; never raises for what a server or the network does."""

    async def close(self) -> None:
        """Take leave of every server."""


class Courier:
    """Carries one delivery at a time; holds no state of its own between them."""

    def __init__(
        self,
        resolver: Resolver,
        sender: Sender,
        sites: Sites,
        *,
        now: Callable[[], datetime] = _utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._resolver = resolver
        self._sender = sender
        self._sites = sites
        self._now = now
        self._chance = chance
        self._log = log.bind()  # the one above is lazy, and would bind itself for each line

    async def carry(self, held: Held) -> Settlement | str:
        """The result to write down, or the site that has no room for it now."""
        claimed = held.claimed
        if claimed.expired and claimed.tries >= MINIMUM_TRIES:
            return self._settlement(claimed, too_old(), None)
        started = self._now()
        if not held.header:
            return self._judged(claimed, _GONE, started)
        if not claimed.tries:
            age = (started - claimed.received_at).total_seconds()
            _queue_time(claimed.delivery.lane).observe(max(age, 0))
        route = await self._resolver.route(domain_of(claimed.delivery.recipient))
        if not isinstance(route, Route):
            return self._judged(claimed, route, started)
        if not self._sites.enter(route):
            return route.site
        delivery = claimed.delivery
        envelope = Envelope(delivery.return_path, (delivery.recipient,), held.header, held.body)
        outcome: Outcome | None = None
        try:
            sent = await self._sender.send(route, envelope)
            outcome = sent.outcomes[0]
        finally:
            self._sites.leave(route, outcome)
        return self._judged(claimed, outcome, started, route.site, sent)

    def _judged(
        self,
        claimed: ClaimedDelivery,
        outcome: Outcome,
        started: datetime,
        site: str = "",
        sent: Sent | None = None,
    ) -> Settlement:
        now = self._now()
        lane = claimed.delivery.lane
        _duration(lane).observe((now - started).total_seconds())
        conclusion = conclude(
            outcome,
            lane=lane,
            tries=claimed.tries + 1,
            expired=claimed.expired,
            jitter=self._chance(),
        )
        reply = outcome.reply
        attempt = Attempt(
            started_at=started,
            outcome=type(outcome).__name__.lower(),
            scope=conclusion.detail.get("scope"),
            site=site,
            host=sent.host if sent else "",
            tls=sent.tls if sent else "",
            code=reply.code,
            enhanced=reply.enhanced,
            reply=reply.text,
        )
        return self._settlement(claimed, conclusion, attempt)

    def _settlement(
        self, claimed: ClaimedDelivery, conclusion: Conclusion, attempt: Attempt | None
    ) -> Settlement:
        delivery, kind, detail = claimed.delivery, conclusion.kind, conclusion.detail
        _attempts(delivery.lane, kind).inc()
        if attempt is not None:
            detail = {**detail, "host": attempt.host}
        self._log.info(
            kind.value,
            delivery=delivery.id.hex,
            submission=delivery.submission_id.hex,
            claim=claimed.claim,
            **detail,
        )
        said = {"recipient": delivery.recipient, **detail}
        return Settlement(claimed, kind, conclusion.wait, attempt, said, conclusion.suppress)

    async def close(self) -> None:
        """Take leave of every server."""
        await self._sender.close()

    def broken(self, held: Held, reason: str) -> Settlement:
        """The result when our own code failed on this one: put off, so that others go on."""
        outcome = Deferred(Reply(451, f"internal fault: {reason}", "4.3.0"), Scope.MESSAGE)
        return self._judged(held.claimed, outcome, self._now())
