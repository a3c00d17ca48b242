"""One attempt at a delivery: find the route, ask for room, speak SMTP, decide what follows."""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Protocol, TypeAlias

from dispatcher.core.classify import unsendable
from dispatcher.core.envelope import Envelope, flaw
from dispatcher.core.next_action import MINIMUM_TRIES, NextAction, expired_untried, next_action
from dispatcher.core.reports_owed import owed
from dispatcher.core.routes import Route
from dispatcher.core.second_look import SecondLook, Unconfirmed
from dispatcher.core.sent import Sent
from dispatcher.sites import Full, Sites
from posthouse.answers import failure_of
from posthouse.mail.address import domain_of
from posthouse.mail.address_failure import AddressFailure
from posthouse.mail.events import EventKind
from posthouse.mail.outcome import Bounced, Deferred, Outcome
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope
from posthouse.running.loop_histogram import LoopHistogram
from posthouse.store.deliveries import Attempt, ClaimedDelivery, Settlement

QUEUE_TIME = LoopHistogram(
    "posthouse_queue_time_seconds",
    "From accepted to the start of the first attempt, in seconds.",
    ["lane"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600),
)

# Looking a metric up costs more than moving it: each is kept.
_queue_time = cache(QUEUE_TIME.labels)

_utc_now = partial(datetime.now, UTC)

_PAST_RETENTION = Bounced(Reply(554, "the message is past its retention", "5.6.0"), Scope.MESSAGE)


class Resolver(Protocol):
    """Finds the route of a domain's mail."""

    async def route(self, domain: str) -> Route | Deferred | Bounced:
        """The servers to try, or why there are none."""

    def doubt(self, domain: str) -> None:
        """What was found leads nowhere: do not remember it for long."""


class Sender(Protocol):
    """Speaks SMTP to the servers of a route."""

    async def send(self, route: Route, envelope: Envelope) -> Sent:
        """One transaction; failures of servers and the network are outcomes."""

    async def close(self) -> None:
        """Close every connection with QUIT."""


@dataclass(frozen=True, slots=True)
class Parked:
    """It was not tried: park it until this limit has room."""

    waits_for: str


AttemptResult: TypeAlias = Settlement | Parked
ReadMessage: TypeAlias = Callable[[ClaimedDelivery], Awaitable[ClaimedDelivery]]


async def has_its_message(claimed: ClaimedDelivery) -> ClaimedDelivery:
    """For a delivery whose message was read before."""
    return claimed


class DeliveryAttempts:
    """Attempts deliveries, each by itself."""

    def __init__(
        self,
        resolver: Resolver,
        sender: Sender,
        sites: Sites,
        *,
        now: Callable[[], datetime] = _utc_now,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*now* is what is written down; *clock* never jumps."""
        self._resolver = resolver
        self._sender = sender
        self._sites = sites
        self._now = now
        self._chance = chance
        self._clock = clock
        self._second_look = SecondLook()
        self._sound = b"", b""  # the header and body that were last looked through and have no flaw

    async def run(
        self, claimed: ClaimedDelivery, read: ReadMessage = has_its_message
    ) -> AttemptResult:
        """The result to record, or the limit that it has to wait for.

        The message is *read* when there is room, if the claim came without it.
        """
        if claimed.expired and claimed.tries >= MINIMUM_TRIES:
            return _settlement(claimed, expired_untried(), None)
        started = self._now()
        if not claimed.tries:
            age = (started - claimed.received_at).total_seconds()
            _queue_time(claimed.delivery.lane.label).observe(max(age, 0))
        domain = domain_of(claimed.delivery.recipient)
        route = await self._resolver.route(domain)
        if not isinstance(route, Route):
            return self._settled(claimed, self._believed(claimed, domain, route), started)
        go = self._sites.enter(route, claimed)
        if isinstance(go, Full):
            return Parked(go.waits_for)
        outcome: Outcome | None = None
        try:
            if claimed.is_large and not claimed.header:
                claimed = await read(claimed)
            sent = await self._send(route, claimed)
            if sent.host:
                self._second_look.disagrees(domain)
            outcome = self._believed(claimed, domain, sent.outcomes[0], route)
        finally:
            self._sites.leave(go, outcome)
        return self._settled(claimed, outcome, started, route.site, sent)

    async def _send(self, route: Route, claimed: ClaimedDelivery) -> Sent:
        if not claimed.header:
            return Sent((_PAST_RETENTION,))
        delivery, message = claimed.delivery, (claimed.header, claimed.body)
        # Deliveries that share a message come one after the other, and share its octets: they are
        # looked through once. Of a large one each reads a copy of its own.
        if message[0] is not self._sound[0] or message[1] is not self._sound[1]:
            if problem := flaw(*message):
                return Sent((unsendable(554, "5.6.0", problem),))
            if not claimed.is_large:
                self._sound = message
        return await self._sender.send(
            route,
            Envelope(
                delivery.return_path,
                (delivery.recipient,),
                *message,
                is_sound=True,
                dsn=claimed.dsn,
            ),
        )

    def _believed(
        self, claimed: ClaimedDelivery, domain: str, outcome: Outcome, route: Route | None = None
    ) -> Outcome:
        """*outcome*, final or deferred if one look was not enough."""
        if not isinstance(outcome, Unconfirmed):
            return outcome
        if outcome.scope is Scope.HOST:
            # About this message and all hosts that could be asked.
            return self._second_look.at(claimed.delivery.id, outcome, self._clock())
        self._resolver.doubt(domain)
        if route is not None and route.by_operator:
            return Deferred(outcome.reply, outcome.scope)
        return self._second_look.at(domain, outcome, self._clock())

    def broken(self, claimed: ClaimedDelivery, reason: str) -> Settlement:
        """The result when our own code failed: it is put off, so that others go on."""
        outcome = Deferred(Reply(451, f"internal fault: {reason}", "4.3.0"), Scope.MESSAGE)
        return self._settled(claimed, outcome, self._now())

    async def close(self) -> None:
        """Close every connection with QUIT."""
        await self._sender.close()

    def _settled(
        self,
        claimed: ClaimedDelivery,
        outcome: Outcome,
        started: datetime,
        site: str = "",
        sent: Sent | None = None,
    ) -> Settlement:
        action = self._next_action(claimed, outcome, started)
        reply = outcome.reply
        attempt = Attempt(
            started_at=started,
            outcome=type(outcome).__name__.lower(),
            scope=action.detail.get("scope"),
            site=site,
            host=sent.host if sent else "",
            tls=sent.tls if sent else "",
            code=reply.code,
            enhanced=reply.enhanced,
            reply=reply.text,
        )
        failure = _against_address(outcome, attempt.host, expired=action.kind is EventKind.EXPIRED)
        return _settlement(claimed, action, attempt, failure, sent.source if sent else "")

    def _next_action(
        self, claimed: ClaimedDelivery, outcome: Outcome, started: datetime
    ) -> NextAction:
        action = next_action(
            outcome,
            lane=claimed.delivery.lane,
            tries=claimed.tries + 1,
            expired=claimed.expired,
            jitter=self._chance(),
        )
        if claimed.dsn is not None:
            asked = claimed.dsn.of(claimed.delivery.recipient)
            age = started - claimed.received_at
            if report := owed(asked, outcome, age, final=action.wait is None):
                action.detail["dsn"] = report
        return action


def _settlement(
    claimed: ClaimedDelivery,
    action: NextAction,
    attempt: Attempt | None,
    failure: AddressFailure | None = None,
    source: str = "",
) -> Settlement:
    detail = {"recipient": claimed.delivery.recipient, **action.detail}
    if attempt is not None:
        detail["host"] = attempt.host
    if source:
        detail["source"] = source
    return Settlement(claimed, action.kind, action.wait, attempt, detail, failure)


def _against_address(outcome: Outcome, host: str, *, expired: bool) -> AddressFailure | None:
    """What counts against the recipient's address: a server said so, or DNS of its domain."""
    if not isinstance(outcome, Bounced | Deferred):
        return None
    if outcome.answer is None or outcome.judged is None:
        return None
    return failure_of(outcome.answer, outcome.judged, expired=expired, host=host or "DNS")
