"""Addresses whose owners said that an account may send them what it tries in the sandbox.

A code is mailed to the address, and who reads it there tells it to the account.
"""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from posthouse.mail.address import Address, normal_form
from posthouse.mail.submission import Submission
from posthouse.store.audit_log import AuditLine, run_audited
from posthouse.store.kept_mail import accept_as_operator
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.suppressions import Addressed

CODE_LIFETIME = timedelta(hours=24)
PAUSE = timedelta(minutes=10)  # between two codes to one address
MOST_TRIES = 5


class Confirmed(StrEnum):
    """What came of a code."""

    YES = "yes"
    WRONG = "wrong"
    NO_CODE = "no_code"  # none was mailed lately, or too many wrong ones were tried


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An address of an account, and whether its owner has agreed."""

    address: str
    asked_at: datetime
    confirmed_at: datetime | None


def new_code() -> str:
    """Sixteen hex digits that nobody can guess."""
    return secrets.token_hex(8)


class ConfirmationStore:
    """The statements about confirmed addresses."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def ask(self, account_id: UUID, address: Address, code: str, notice: Submission) -> bool:
        """Keep *code* and send *notice*, which tells it.

        False, and nothing is sent, if there was another code in the last minutes. What was
        confirmed stays confirmed.
        """
        text = str(address)
        arguments = (account_id, normal_form(text), text, _hash(code), PAUSE)
        async with self._database.connection() as connection, connection.transaction():
            if not await connection.fetch(QUERIES["ask_for_confirmation"], *arguments):
                return False
            await accept_as_operator(connection, notice)
            return True

    async def confirm(self, account_id: UUID, address: Address, code: str) -> Confirmed:
        """Whether *code* is the one that was mailed to *address* within a day."""
        row = await self._database.first(
            "confirm_address",
            *(account_id, normal_form(str(address)), _hash(code), CODE_LIFETIME, MOST_TRIES),
        )
        if row is None or row["matched"] is None:
            return Confirmed.NO_CODE
        return Confirmed.YES if row["matched"] else Confirmed.WRONG

    async def confirmed(self, wanted: Collection[Addressed]) -> frozenset[Addressed]:
        """Those of *wanted* that are confirmed addresses of their account."""
        asked = list(wanted)
        rows = [(account_id, normal_form(address)) for account_id, address in asked]
        found = await self._database.fetch("find_confirmed", rows)
        return frozenset(asked[row["place"] - 1] for row in found)

    async def of_account(self, account_id: UUID) -> list[Confirmation]:
        """Those that were asked, confirmed or not."""
        rows = await self._database.fetch("list_confirmations", account_id)
        return [Confirmation(r["address"], r["asked_at"], r["confirmed_at"]) for r in rows]

    async def remove(self, account_id: UUID, address: Address, actor: str = "") -> bool:
        """Send it nothing more from the sandbox; False if it was not asked."""
        line = AuditLine(actor, "confirmation remove", account_id, {"address": str(address)})
        return await run_audited(
            self._database, line, "remove_confirmation", account_id, normal_form(str(address))
        )


def _hash(code: str) -> bytes:
    """Codes are random, so that their hash tells nothing."""
    return hashlib.sha256(code.strip().lower().encode()).digest()
