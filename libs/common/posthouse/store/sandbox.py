"""Mail from the sandbox domain, kept to be read."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from posthouse.store.postgres import Postgres

KEPT = timedelta(days=7)
_ROWS = 1000  # deleted by one statement


@dataclass(frozen=True, slots=True)
class SandboxedMessage:
    """One copy of a message, as its recipients would have got it."""

    id: UUID  # of the message, as its client heard it
    account: str
    kept_at: datetime
    sender: str
    recipients: tuple[str, ...]
    delivered_to: tuple[str, ...]  # those of them that got it
    header: bytes
    size: int  # octets of header and body


class SandboxStore:
    """Reads and deletes them; policy writes them, with what it prepares."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def newest(self, limit: int, account_id: UUID | None = None) -> list[SandboxedMessage]:
        """Up to *limit*, of all accounts or of one; the newest first."""
        return [
            SandboxedMessage(
                id=row["submission_id"],
                account=row["account"],
                kept_at=row["kept_at"],
                sender=row["sender"],
                recipients=tuple(row["recipients"]),
                delivered_to=tuple(row["delivered_to"]),
                header=row["header"],
                size=len(row["header"]) + row["body_octets"],
            )
            for row in await self._database.fetch("list_sandbox", account_id, limit)
        ]

    async def copies(self, submission_id: UUID) -> list[bytes]:
        """The whole text of each copy of that message; none if it is not kept."""
        rows = await self._database.fetch("find_in_sandbox", submission_id)
        return [row["header"] + row["body"] for row in rows]

    async def sweep(self) -> None:
        """Delete what was kept for seven days."""
        while len(await self._database.fetch("sweep_sandbox", KEPT, _ROWS)) == _ROWS:
            continue
