"""Credentials that are there, and change; `AccountStore` makes them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.lane import Lane
from posthouse.mail.permission import Permission
from posthouse.mail.secret import StoredSecret
from posthouse.mail.terms import Resubmission
from posthouse.store.audit_log import AuditLine, run_audited, run_audited_within, write_audit
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES


@dataclass(frozen=True, slots=True)
class CredentialTerms:
    """What a credential may be used for, and how its mail is treated."""

    profile: str = "native"
    lane: Lane = Lane.NORMAL  # for messages without priority
    highest_lane: Lane = Lane.HIGH  # that messages may ask for
    note: str = ""
    permissions: Collection[str] = (Permission.SMTP,)
    resubmission: Resubmission = Resubmission.OFF


USUAL_TERMS = CredentialTerms()


class SecretTaken(Exception):
    """Another user has the secret, and a key of the HTTP API says by it alone whose it is."""

    def __init__(self) -> None:
        super().__init__(
            "another user has this secret: as a key it could not say whose it is, so give each user"
            " its own"
        )


async def run_with_secret(
    database: Postgres, line: AuditLine, query: str, username: str, secret: bytes, *more: object
) -> bool:
    """As `run_audited`, for a statement that gives *username* the *secret*; raises SecretTaken.

    Not by a unique index: rows of deleted users, and the secret before, count otherwise.
    """
    async with database.connection() as connection, connection.transaction():
        await connection.execute(QUERIES["lock_credentials"])
        if await connection.fetchval(QUERIES["secret_is_taken"], secret, username):
            raise SecretTaken
        return await run_audited_within(connection, line, query, *more)


def new_row(
    account_id: UUID, username: str, secret: StoredSecret, terms: CredentialTerms
) -> tuple[object, ...]:
    """The parameters of `create_credential`."""
    return (
        *(account_id, username, secret.hash, terms.profile, terms.lane, terms.highest_lane),
        *(terms.note, secret.scram, secret.sealed, sorted(terms.permissions), terms.resubmission),
    )


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """What becomes of a credential; None: as it is."""

    lane: Lane | None = None
    highest_lane: Lane | None = None
    note: str | None = None
    permissions: Collection[str] | None = None
    profile: str | None = None
    resubmission: Resubmission | None = None

    def named(self) -> dict[str, object]:
        """What is changed, for the audit."""
        every = {
            "lane": self.lane and self.lane.label,
            "highest_lane": self.highest_lane and self.highest_lane.label,
            "note": self.note,
            "permissions": None if self.permissions is None else sorted(self.permissions),
            "profile": self.profile,
            "resubmission": self.resubmission,
        }
        return {name: value for name, value in every.items() if value is not None}


class CredentialStore:
    """Changes credentials. Sessions that are logged in see it within half a minute."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def set_active(self, username: str, *, active: bool, actor: str = "") -> bool:
        """Switch a credential on or off; whether there is one of that name."""
        action = "credential enable" if active else "credential disable"
        line = AuditLine(actor, action, None, {"username": username})
        return await run_audited(self._database, line, "set_credential_active", username, active)

    async def set_secret(
        self,
        username: str,
        secret: StoredSecret,
        *,
        keep_previous: timedelta = timedelta(),
        actor: str = "",
    ) -> bool:
        """Replace the secret of a credential; whether there is one of that name.

        Raises SecretTaken. The one before goes on to count for *keep_previous*, where it is given.
        """
        material = (secret.hash, secret.scram, secret.sealed)
        line = AuditLine(actor, "credential reset", None, {"username": username})
        arguments = (username, *material, keep_previous)
        return await run_with_secret(
            self._database, line, "set_secret", username, secret.hash, *arguments
        )

    async def set_expiry(self, username: str, at: datetime | None, actor: str = "") -> bool:
        """Let a credential end at *at*, or never; whether there is one of that name."""
        ends = at.isoformat() if at else "never"
        line = AuditLine(actor, "credential expire", None, {"username": username, "at": ends})
        return await run_audited(self._database, line, "set_credential_expiry", username, at)

    async def change(
        self, username: str, change: CredentialChange, actor: str = ""
    ) -> tuple[Lane, Lane] | None:
        """Change what is not None; None if there is no credential of that name.

        Returns its lanes. If the default is above the highest one, nothing was changed.
        """
        permissions = None if change.permissions is None else sorted(change.permissions)
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(
                QUERIES["change_credential"],
                *(username, change.lane, change.highest_lane, change.note),
                *(permissions, change.profile, change.resubmission),
            )
            if row is None:
                return None
            lanes = Lane(row["lane"]), Lane(row["highest_lane"])
            if actor and lanes[0] >= lanes[1]:
                detail = {"username": username} | change.named()
                await write_audit(connection, actor, "credential set", None, **detail)
            return lanes

    async def delete(self, username: str, actor: str = "") -> bool:
        """Delete a credential for good; whether there was one of that name.

        Mail that it has submitted goes on, and history keeps its name.
        """
        line = AuditLine(actor, "credential delete", None, {"username": username})
        return await run_audited(self._database, line, "delete_credential", username)

    async def find(
        self, *, account: str | None = None, stream: str | None = None, username: str | None = None
    ) -> list[Any]:
        """Those of that account, that may send in that stream (a name or code), called so.

        None: whichever. What is kept of their secrets is not among it, but for its kinds.
        """
        return await self._database.fetch("list_credentials", account, stream, username)
