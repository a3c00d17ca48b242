"""Submissions of the past, to be decided about once more."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.submission import Attributes
from posthouse.store.postgres import Postgres

_PAGE = 500


@dataclass(frozen=True, slots=True)
class PastSubmission:
    """What is still known of a submission."""

    id: UUID
    credential_id: UUID
    username: str | None  # None: the credential is gone
    profile: str
    profile_revision: int
    sender: str
    recipients: tuple[str, ...]
    smtputf8: bool
    attributes: Attributes
    size: int
    header: bytes | None  # None: it is past its retention


class PastSubmissions:
    """Reads only."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def find(self, id_: UUID) -> PastSubmission | None:
        """The one of that id, if a client submitted it and it is still kept."""
        before, later = UUID(int=id_.int - 1), datetime.now(UTC) + timedelta(days=1)
        rows = await self._database.fetch("read_past_submissions", before, later, None, 1)
        return _past(rows[0]) if rows and rows[0]["id"] == id_ else None

    async def under_key(self, account_id: UUID, key: str) -> tuple[UUID, datetime] | None:
        """What was accepted under an idempotency key that still counts, and until when it does."""
        row = await self._database.first("find_idempotency_key", account_id, key)
        return None if row is None else (row["submission_id"], row["until"])

    async def between(
        self, since: datetime, until: datetime, account_id: UUID | None = None
    ) -> AsyncIterator[PastSubmission]:
        """Those that clients submitted from *since* on and before *until*, oldest first."""
        (first,) = await self._database.fetch("first_id_at", since)
        after: UUID = first["id"]
        while True:
            rows = await self._database.fetch(
                "read_past_submissions", after, until, account_id, _PAGE
            )
            for row in rows:
                yield _past(row)
            if len(rows) < _PAGE:
                return
            after = rows[-1]["id"]


def _past(row: Any) -> PastSubmission:
    return PastSubmission(
        id=row["id"],
        credential_id=row["credential_id"],
        username=row["username"],
        profile=row["profile"],
        profile_revision=row["profile_revision"],
        sender=row["sender"],
        recipients=tuple(row["recipients"]),
        smtputf8=row["smtputf8"],
        attributes=Attributes.from_json(row["attributes"]),
        size=row["size"],
        header=row["header"],
    )
