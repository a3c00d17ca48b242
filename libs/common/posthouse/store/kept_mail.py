"""Mail to postmaster@ and abuse@ of our own hosts: forwarded to the operator, or kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.due_results import OPERATOR
from posthouse.mail.submission import Submission
from posthouse.store.notices import HOUR, accept_within
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

# Strangers can write as much as they like: of each message the start is kept, and the newest only.
KEPT_OCTETS = 256 << 10
_MOST_KEPT = 1_000
# The account of mail that concerns no customer, as `posthouse account list` shows it.
_ACCOUNT = "the operator of this relay"


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A message to postmaster@ or abuse@ that was not forwarded, and why."""

    id: UUID
    received_at: datetime
    recipient: str
    sender: str  # "" for the null reverse-path
    client: str
    size: int  # octets of *content*
    content: bytes  # its start
    reason: str


class OperatorMailStore:
    """The statements about mail for the operator."""

    def __init__(self, database: Postgres, *, window: timedelta = HOUR) -> None:
        """*window*: what the limit is for."""
        self._database = database
        self._window = window

    async def forward(self, notice: Submission, limit: int) -> bool:
        """Accept *notice*; False, and nothing is sent, if the hour has had *limit* already."""
        (to,) = notice.recipients
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(QUERIES["forget_notice_windows"], self._window)
            sent = await connection.fetchval(QUERIES["count_notice"], OPERATOR, to)
            if sent > limit:
                return False
            await accept_as_operator(connection, notice)
            return True

    async def keep(self, mail: KeptMail, reason: str) -> None:
        """Keep the start of *mail* for that *reason*, and of all kept mail the newest thousand."""
        await self._database.run(
            "keep_operator_mail",
            mail.id,
            mail.received_at,
            mail.recipient,
            mail.sender,
            mail.client,
            mail.size,
            mail.content[:KEPT_OCTETS],
            reason,
            _MOST_KEPT,
        )

    async def newest(self, limit: int) -> list[KeptMail]:
        """The newest messages that were kept."""
        rows = await self._database.fetch("list_operator_mail", limit)
        return [KeptMail(**dict(row)) for row in rows]

    async def find(self, id_: UUID) -> KeptMail | None:
        """The message with that id."""
        row = await self._database.first("find_operator_mail", id_)
        return None if row is None else KeptMail(**dict(row))

    async def remove(self, id_: UUID | None) -> int:
        """Remove that message, or all; how many there were."""
        return len(await self._database.fetch("remove_operator_mail", id_))


async def accept_as_operator(connection: Any, notice: Submission) -> None:
    """Accept *notice*, of the operator's account, in the transaction open on *connection*."""
    await connection.execute(QUERIES["create_operator_account"], OPERATOR, _ACCOUNT)
    await accept_within(connection, notice)
