"""Counts what becomes of each account's mail, and holds an account that does harm.

It consumes the events of all accounts, some seconds behind. Counts, position, hold, audit and the
message to the owner are one transaction; processes take turns, and one that dies leaves nothing
half done.
"""

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
from posthouse.mail.due_results import OPERATOR
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.store.account_holds import AccountHolds
from posthouse.store.account_statistics import READER, AccountStatistics, CountingTurn
from posthouse.store.event_feed import EventPage
from posthouse.store.postgres import Postgres

log = structlog.get_logger()

HOLDS = Counter(
    "posthouse_threshold_holds_total",
    "Accounts that were held because they exceeded a threshold.",
    ["threshold"],
)

_FORGET_SECONDS = 3600.0


class AccountWatch:
    """A `posthouse.running.event_reader.EventConsumer` in every bounces process."""

    reader = READER

    def __init__(
        self,
        database: Postgres,
        relay: RelayIdentity,
        *,
        announce: Callable[[Lane], None],
        limits: ThresholdLimits,
        keep: timedelta = timedelta(days=90),
    ) -> None:
        """*announce* is told, after the commit, in which lane a submission became due."""
        self._statistics = AccountStatistics(database)
        self._holds = AccountHolds(database)
        self._relay = relay
        self._announce = announce
        self._limits = limits
        self._keep = keep
        self._forgot_at: float | None = None

    async def take(self, page: EventPage) -> bool:
        """Count what *page* has."""
        held: list[AccountTotals] = []
        async with self._statistics.counting(page) as turn:
            if turn is None:
                return False
            if harmful := await turn.count(page):
                held = await self._hold(turn, harmful)
        for totals in held:
            await self._holds.mark(totals.account_id)
            if totals.bounce_address is not None:
                self._announce(Lane.NORMAL)
        return True

    async def act(self) -> bool:
        """Forget, once an hour, what is older than is kept."""
        if self._forgot_at is None or monotonic() - self._forgot_at > _FORGET_SECONDS:
            await self._statistics.forget(self._keep)
            self._forgot_at = monotonic()
        return False

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
