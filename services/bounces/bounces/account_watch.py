"""Counts what becomes of each account's mail, and holds an account that does harm.

It follows the events of all accounts, some seconds behind. Counts, cursor, hold, audit and the
message to the owner are one transaction; processes take turns, and one that dies leaves nothing
half done.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from uuid import UUID

import structlog
from prometheus_client import Counter

from bounces.core.notices.hold_text import hold_notice
from bounces.core.notices.telling import host_of
from bounces.core.thresholds import ThresholdLimits, exceeded
from bounces.relay_identity import RelayIdentity
from posthouse.answers import HARD_CLASSES
from posthouse.mail.account_totals import AccountTotals
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.mail.undelivered import OPERATOR
from posthouse.running.waiting import wait_before_retry, wait_for_event
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.account_holds import AccountHolds
from posthouse.store.account_statistics import READER, AccountStatistics, CountingTurn
from posthouse.store.event_feed import AnotherIncarnation, EventFeed
from posthouse.store.postgres import Postgres

log = structlog.get_logger()

HOLDS = Counter(
    "posthouse_threshold_holds_total",
    "Accounts that were held because they exceeded a threshold.",
    ["threshold"],
)

_LOOK_SECONDS = 5.0
_EVENTS_AT_ONCE = 5_000
_FORGET_SECONDS = 3600.0


class AccountWatch:
    """Runs in every bounces process; one at a time has the turn."""

    def __init__(
        self,
        database: Postgres,
        relay: RelayIdentity,
        *,
        announce: Callable[[Lane], None],
        limits: ThresholdLimits,
        keep: timedelta = timedelta(days=90),
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """*announce* is told, after the commit, in which lane a submission became due."""
        self._database = database.alone(connections=3)
        self._statistics = AccountStatistics(self._database)
        self._holds = AccountHolds(self._database)
        self._feed = EventFeed(self._database, READER, kinds=())  # only how far it is settled
        self._relay = relay
        self._announce = announce
        self._limits = limits
        self._keep = keep
        self._look_seconds = look_seconds
        self._forgot_at: float | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Count until *stopping*; if the database is away, it is tried again."""
        failures = 0
        async with self._database:
            while not stopping.is_set():
                wait = self._look_seconds
                try:
                    while await self._follow() and not stopping.is_set():
                        continue
                    await self._forget()
                    failures = 0
                except (StoreUnavailable, StoreRefused) as error:
                    failures += 1
                    log.warning("not_counted", reason=str(error), failures=failures)
                    wait += wait_before_retry(failures, random.random())  # noqa: S311
                except Exception:  # a mistake of ours must not end the process
                    log.exception("not_counted")
                await wait_for_event(stopping, wait)

    async def _follow(self) -> bool:
        """Count the next events; whether there are more."""
        async with self._statistics.turn() as turn:
            if turn is None:
                return False
            stored = await turn.cursor()
            page = await self._feed.read(stored, _EVENTS_AT_ONCE)
            if isinstance(page, AnotherIncarnation):
                await turn.move(page.start)
                return True
            held: list[AccountTotals] = []
            if page.cursor != stored:
                harmful = await turn.count(stored, page.cursor)
                held = await self._hold(turn, harmful) if harmful else []
                await turn.move(page.cursor)
        for totals in held:
            await self._holds.mark(totals.account_id)
            if totals.bounce_address is not None:
                self._announce(Lane.NORMAL)
        return page.more

    async def _hold(self, turn: CountingTurn, harmful: set[UUID]) -> list[AccountTotals]:
        """Hold those of *harmful* that exceed a threshold."""
        found = await turn.totals(
            harmful,
            bounces=self._limits.bounces.window,
            complaints=self._limits.complaints.window,
            hard=HARD_CLASSES,
        )
        held = []
        for totals in found:
            if not (reasons := dict(exceeded(totals, self._limits))):
                continue
            reason = "; ".join(reasons.values())
            if not await turn.hold(totals, reason, await self._notice(totals, reason)):
                continue
            for threshold in reasons:
                HOLDS.labels(threshold=threshold).inc()
            log.warning("account_held", account=totals.name, reason=reason)
            held.append(totals)
        return held

    async def _notice(self, totals: AccountTotals, reason: str) -> Submission | None:
        """What tells the owner: mail of ours, since the account's own waits."""
        to = totals.bounce_address
        if to is None or await self._relay.takes_mail_for(host_of(to)):
            return None
        frame = self._relay.own_frame()
        message = hold_notice(to, totals.name, reason, frame)
        return frame.submission(OPERATOR, to, Lane.NORMAL, message)

    async def _forget(self) -> None:
        if self._forgot_at is None or monotonic() - self._forgot_at > _FORGET_SECONDS:
            await self._statistics.forget(self._keep)
            self._forgot_at = monotonic()
