"""Streams of an account, and the settings of single addresses that it sends from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.message_flag import Flags, MessageFlag, Stream
from posthouse.store.audit_log import AuditLine, run_audited
from posthouse.store.postgres import Postgres
from posthouse.tracking.list_frame import ListFrame

# Each login brings all of them, so there must not be any number.
MOST_OF_AN_ACCOUNT = 1_000

FlagChanges: TypeAlias = Mapping[MessageFlag, bool | None]
"""On, off, or None: as the profile says. A flag that is not named stays as it is."""


class NotMade(StrEnum):
    """Why there is no new stream."""

    TAKEN = "taken"  # the account has one that is called by this name or code
    TOO_MANY = "too_many"
    NOTHING_LIKE_IT = "nothing_like_it"  # there is no stream that it is to be like


OfStream: TypeAlias = tuple[UUID, str]
"""A credential, and the name of a stream that its account may have."""


@dataclass(frozen=True, slots=True)
class SenderFlags:
    """What is set for messages from one address (RULES M19)."""

    address: str
    flags: Flags


class StreamStore:
    """Reads and changes them. Logins have the changes within half a minute."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def create(
        self, account_id: UUID, name: str, code: str, flags: FlagChanges, *, like: str = ""
    ) -> NotMade | None:
        """Make a stream, or say why there is none; what is not said is as of the one *like*."""
        (row,) = await self._database.fetch(
            "create_stream",
            *(account_id, name, code.lower(), *_changes(flags), MOST_OF_AN_ACCOUNT, like),
        )
        if like and not row["found"]:
            return NotMade.NOTHING_LIKE_IT
        if row["made"]:
            return None
        return NotMade.TOO_MANY if row["many"] else NotMade.TAKEN

    async def set(
        self, account_id: UUID, name: str, code: str | None, flags: FlagChanges
    ) -> Stream | None:
        """Change a stream; None if there is none of that name, or another one has the *code*."""
        lower = None if code is None else code.lower()
        row = await self._database.first("set_stream", account_id, name, lower, *_changes(flags))
        return None if row is None else Stream(row["name"], row["code"], row["flags"])

    async def delete(self, account_id: UUID, name: str, actor: str = "") -> bool:
        """Delete a stream; what was counted for it stays. False if there is none of that name."""
        line = AuditLine(actor, "stream delete", account_id, {"stream": name})
        return await run_audited(self._database, line, "delete_stream", account_id, name)

    async def of_account(self, account_id: UUID) -> list[Stream]:
        """The streams of an account, by name."""
        rows = await self._database.fetch("list_streams", account_id)
        return [Stream(row["name"], row["code"], row["flags"]) for row in rows]

    async def frame(self, account_id: UUID, name: str) -> ListFrame | None:
        """What a stream puts around its messages; None if there is none of that name."""
        row = await self._database.first("read_list_frame", account_id, name)
        return None if row is None else _frame(row)

    async def set_frame(self, account_id: UUID, name: str, frame: ListFrame) -> bool:
        """Change that; False if there is no stream of that name. Seen by the next message."""
        return bool(await self._database.fetch("set_list_frame", account_id, name, *frame))

    async def list_frames(self, wanted: Collection[OfStream]) -> dict[OfStream, ListFrame]:
        """What those of *wanted* that are streams put around their messages."""
        pairs = list(wanted)
        ids, names = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        rows = await self._database.fetch("find_list_frames", ids, names)
        return {pairs[row["place"] - 1]: _frame(row) for row in rows}

    async def set_sender(
        self, account_id: UUID, address: str, flags: FlagChanges
    ) -> SenderFlags | None:
        """Change what is set for messages from *address*; None: there are too many others."""
        row = await self._database.first(
            "set_sender_flags",
            *(account_id, normal_form(address), address, *_changes(flags), MOST_OF_AN_ACCOUNT),
        )
        return None if row is None else SenderFlags(row["address"], row["flags"])

    async def delete_sender(self, account_id: UUID, address: str, actor: str = "") -> bool:
        """Let messages from *address* be as others; False if nothing was set for it."""
        line = AuditLine(actor, "sender delete", account_id, {"address": address})
        return await run_audited(
            self._database, line, "delete_sender", account_id, normal_form(address)
        )

    async def senders(self, account_id: UUID) -> list[SenderFlags]:
        """What is set for addresses of an account."""
        rows = await self._database.fetch("list_senders", account_id)
        return [SenderFlags(row["address"], row["flags"]) for row in rows]


def _frame(row: Any) -> ListFrame:
    return ListFrame(*[row[name] for name in ListFrame._fields])


def _changes(flags: FlagChanges) -> tuple[dict[str, bool], list[str]]:
    """The flags that are set, and those that are as the profile says."""
    set_ = {flag.value: value for flag, value in flags.items() if value is not None}
    return set_, [flag.value for flag, value in flags.items() if value is None]
