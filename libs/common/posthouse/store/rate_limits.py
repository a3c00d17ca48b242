"""Rate limits of credentials and accounts (RULES U24), set by the operator."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from posthouse.mail.rate_limit import Counted, LimitAction, Period, RateCount, RateLimit
from posthouse.store.audit_log import AuditLine, run_audited
from posthouse.store.postgres import Postgres


@dataclass(frozen=True, slots=True)
class LimitOwner:
    """A credential or an account, whose mail a limit counts."""

    id: UUID
    account_id: UUID
    name: str  # of the credential, or of the account

    @property
    def kind(self) -> str:
        """What commands and the audit call it."""
        return "account" if self.id == self.account_id else "credential"


class RateLimitStore:
    """Sets limits and reads them. A session sees its first one within half a minute."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def credential(self, username: str) -> LimitOwner | None:
        """The credential of that name."""
        row = await self._database.first("find_limit_owner", username)
        return None if row is None else LimitOwner(row["id"], row["account_id"], username)

    async def set(self, owner: LimitOwner, limit: RateLimit, actor: str) -> None:
        """Add *limit*, or change the one for the same in the same window.

        What was counted in this window still counts, unless the action is another one.
        """
        line = self._line(owner, actor, set=str(limit), above=limit.action)
        values = (owner.id, limit.counted, limit.period, limit.most, limit.action)
        await run_audited(self._database, line, "set_rate_limit", *values)

    async def remove(self, owner: LimitOwner, counted: Counted, period: Period, actor: str) -> bool:
        """Remove a limit; whether there was one. Mail that waits goes when it would have gone."""
        line = self._line(owner, actor, removed=f"{counted}/{period}")
        return await run_audited(
            self._database, line, "remove_rate_limit", owner.id, counted, period
        )

    def _line(self, owner: LimitOwner, actor: str, **detail: str) -> AuditLine:
        return AuditLine(
            actor, f"{owner.kind} limit", owner.account_id, {owner.kind: owner.name, **detail}
        )

    async def of(self, owner: LimitOwner) -> list[RateCount]:
        """The limits, with what is counted now."""
        rows = await self._database.fetch("list_rate_limits", owner.id)
        return [count_of(row).reset(row["now"]) for row in rows]


def count_of(row: Any) -> RateCount:
    """A row of `rate_limits`."""
    limit = RateLimit(
        Counted(row["counted"]), Period(row["period"]), row["most"], LimitAction(row["action"])
    )
    window: datetime = row["window_at"].astimezone(UTC)
    return RateCount(row["owner_id"], limit, window, row["used"], row["told"])
