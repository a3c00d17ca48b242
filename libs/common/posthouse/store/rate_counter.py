"""Messages are counted against rate limits (RULES U24) before they are accepted.

One transaction counts all messages that come at the same time, and commits asynchronously: rows are
locked for less than a millisecond, and not while the disk is waited for. A crash loses no count of
a message that was accepted, because the acceptance comes later in PostgreSQL's log. A message that
is counted and then not accepted has used its place.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from posthouse.mail.rate_charge import Counts, charge_together
from posthouse.mail.rate_limit import (
    Charge,
    Exceeded,
    Excess,
    Granted,
    LimitAction,
    RateCount,
    Together,
)
from posthouse.store.account_holds import RELAY, hold_within, lock_holds
from posthouse.store.group_commit import GroupCommit
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.rate_limits import count_of

_MOST = 50  # messages of a batch: they are counted in a millisecond


class RateCounter:
    """Counts messages of credentials that have limits, or whose account has."""

    def __init__(self, background: Postgres) -> None:
        """*background* commits asynchronously."""
        self._database = background
        self._charges = GroupCommit(
            self._charge, most_items=_MOST, size=len, most_octets=_MOST, only_awaited=True
        )

    async def charge(self, messages: Sequence[Charge], *, urgent: bool) -> Together:
        """Whether and when *messages* may go, which go together; raises StoreUnavailable.

        None is counted if one is refused. *urgent*: they do not wait for others that are being
        counted.
        """
        return await self._charges.add(messages, urgent=urgent)

    async def _charge(self, batch: Sequence[Sequence[Charge]]) -> list[Together]:
        charges = [message for messages in batch for message in messages]
        owners = {owner for message in charges for owner in message.owners}
        async with self._database.connection() as connection, connection.transaction():
            rows = await connection.fetch(QUERIES["lock_rate_limits"], list(owners))
            if not rows:  # they were removed, and sessions have not seen it yet
                return [[Granted()] * len(messages) for messages in batch]
            before = [count_of(row) for row in rows]
            verdicts, after = _verdicts(batch, before, rows[0]["now"].astimezone(UTC))
            changed = [_row(count) for count in set(after).difference(before)]
            await connection.execute(QUERIES["count_rates"], changed)
            await _hold(connection, verdicts)
        return verdicts


def _verdicts(
    batch: Sequence[Sequence[Charge]], counts: Sequence[RateCount], now: datetime
) -> tuple[list[Together], list[RateCount]]:
    """The verdicts about *batch* one after the other, and all counts after it."""
    by_owner: Counts = {
        owner: [count for count in counts if count.owner_id == owner]
        for owner in {count.owner_id for count in counts}
    }
    verdicts = []
    for messages in batch:
        verdict, by_owner = charge_together(messages, by_owner, now)
        verdicts.append(verdict)
    return verdicts, [count for each in by_owner.values() for count in each]


def _row(count: RateCount) -> tuple[Any, ...]:
    """A rate_row_1."""
    limit = count.limit
    return count.owner_id, limit.counted, limit.period, count.window, count.used, count.told


async def _hold(connection: Any, verdicts: Sequence[Together]) -> None:
    """Hold the accounts whose limits say so, and their children, for whom they may send.

    The duty `account_holds` marks what is there already.
    """
    held: Mapping[UUID, Excess] = {
        excess.account_id: excess
        for verdict in verdicts
        if not isinstance(verdict, Exceeded)
        for granted in verdict
        for excess in granted.excess
        if excess.limit.action is LimitAction.HOLD and excess.is_first
    }
    if held:
        await lock_holds(connection)
    for account_id, excess in held.items():
        of = "its account" if excess.of_account else "a user"
        reason = f"more than {excess.limit}, the limit of {of}"
        children = await connection.fetch(QUERIES["find_children"], account_id)
        for each in (account_id, *(row["id"] for row in children)):
            await hold_within(connection, each, RELAY, reason)
