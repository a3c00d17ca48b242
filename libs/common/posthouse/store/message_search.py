"""Messages that match a query, newest first, in pages."""

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from posthouse.mail.lane import Lane
from posthouse.mail.message_query import MessageQuery, matches_subject, spellings
from posthouse.mail.message_state import END_KINDS, MessageState, RecipientState, recipient_states
from posthouse.mail.submission import Attributes
from posthouse.store.postgres import Postgres

_FIRST, _BEYOND = UUID(int=0), UUID(int=(1 << 128) - 1)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Messages whose state is read by one statement: as many as a page has, if all of them match.
_LEAST_AT_ONCE, _MOST_AT_ONCE = 50, 200
_SCANNED_AT_ONCE = 20_000
# Looked at for one page: then it ends where it is, perhaps with nothing, and the cursor leads on.
_MOST_READ = 2_000
_MOST_SCANNED = 200_000
_USER, _SENDER, _RECIPIENT, _TAG = 1, 2, 3, 4  # the kinds of `message_key`


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message and what has become of it."""

    id: UUID
    accepted_at: datetime
    account_id: UUID
    account: str
    credential_id: UUID
    user: str | None  # None: it is a message of ours
    sender: str  # of the envelope
    subject: str  # of the headline, as are author and name; "" also where that was not kept
    author: str
    author_name: str
    tags: tuple[str, ...]
    stream: str
    lane: Lane
    size: int  # octets
    recipients: tuple[RecipientState, ...]


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages, newest first."""

    messages: tuple[FoundMessage, ...]
    cursor: str | None  # with which the next page begins; None: there are no others


class _Looked(NamedTuple):
    """Ids that may match, and the id that was looked at last; None if there are no others."""

    ids: Sequence[UUID]
    last: UUID | None


@dataclass(frozen=True, slots=True)
class _Source:
    """Where candidates come from: a key of that kind, or all of the accounts."""

    kind: int | None
    values: Sequence[str]
    accounts: Collection[UUID] | None


class MessageSearch:
    """Reads only."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def page(
        self,
        query: MessageQuery,
        *,
        limit: int = 100,
        before: UUID | None = None,
        accounts: Collection[UUID] | None = None,
    ) -> MessagePage:
        """Up to *limit* messages that match *query*, from those accepted earlier than *before* on.

        *accounts*: only of these, whatever the query says. A page may have fewer, or none, and
        still a cursor: it ends after 2,000 messages whose state it read in vain, or 200,000 rows.
        """
        source = await self._source(query, accounts)
        if source is None:
            return MessagePage((), None)
        found: list[FoundMessage] = []
        end: UUID | None = None
        async for messages, last in self._candidates(query, source, before, limit):
            end = last
            for message in messages:
                if _matches(query, message, source):
                    found.append(message)
                    if len(found) == limit:
                        return MessagePage(tuple(found), message.id.hex)
        return MessagePage(tuple(found), None if end is None else end.hex)

    async def named(self, ids: Sequence[UUID]) -> list[FoundMessage]:
        """Those called *ids* that are kept, in that order."""
        return await self._read(ids)

    async def _candidates(
        self, query: MessageQuery, source: _Source, before: UUID | None, limit: int
    ) -> AsyncIterator[tuple[Sequence[FoundMessage], UUID | None]]:
        """Messages that may match, and what was looked at last with them; None: it is the end."""
        at_once = min(max(limit, _LEAST_AT_ONCE), _MOST_AT_ONCE)
        first, beyond = await self._bounds(query)
        at = min(beyond, before or beyond)
        scanned = read = 0
        while scanned < _MOST_SCANNED:
            looked = await self._look(query, source, (first, at), at_once)
            for start in range(0, len(looked.ids), at_once):
                ids = looked.ids[start : start + at_once]
                yield await self._read(ids), ids[-1]
                read += len(ids)
                if read >= _MOST_READ:
                    return
            yield (), looked.last
            if looked.last is None:
                return
            at = looked.last
            scanned += _SCANNED_AT_ONCE if source.kind is None else 0

    async def _source(
        self, query: MessageQuery, accounts: Collection[UUID] | None
    ) -> _Source | None:
        """None: there is no such account or user, so there is nothing to be found."""
        if query.account is not None:
            owner = await self._database.first("find_account", query.account)
            if owner is None or (accounts is not None and owner["id"] not in accounts):
                return None
            accounts = (owner["id"],)
        # Those that lead to the fewest first.
        if query.to is not None:
            return _Source(_RECIPIENT, spellings(query.to), accounts)
        if query.tag is not None:
            return _Source(_TAG, [f"{one} {query.tag}" for one in accounts or ()], accounts)
        if query.sender is not None:
            return _Source(_SENDER, spellings(query.sender), accounts)
        if query.user is not None:
            rows = await self._database.fetch("find_credentials_named", query.user)
            return _Source(_USER, [str(row["id"]) for row in rows], accounts) if rows else None
        return _Source(None, (), accounts)

    async def _bounds(self, query: MessageQuery) -> tuple[UUID, UUID]:
        bounds = []
        for moment, otherwise in ((query.since, _FIRST), (query.until, _BEYOND)):
            row = await self._database.first("first_id_at", moment) if moment else None
            bounds.append(row["id"] if row else otherwise)
        return bounds[0], bounds[1]

    async def _look(
        self, query: MessageQuery, source: _Source, between: tuple[UUID, UUID], at_once: int
    ) -> _Looked:
        if source.kind is not None:
            rows = await self._database.fetch(
                "find_message_keys", source.kind, source.values, *between, at_once
            )
            ids = [row["id"] for row in rows]
            return _Looked(ids, ids[-1] if len(ids) == at_once else None)
        accounts = None if source.accounts is None else list(source.accounts)
        rows = await self._database.fetch("scan_messages", *between, accounts, _SCANNED_AT_ONCE)
        ids = [
            row["id"]
            for row in rows
            if row["id"] is not None
            and (not query.subject or matches_subject(query, row["subject"] or ""))
        ]
        return _Looked(ids, rows[0]["last"])

    async def _read(self, ids: Sequence[UUID]) -> list[FoundMessage]:
        rows = await self._database.fetch("read_found_messages", ids, END_KINDS)
        return [_found(row) for row in rows]


def _found(row: Any) -> FoundMessage:
    attributes = Attributes.from_json(row["attributes"])
    return FoundMessage(
        id=row["id"],
        accepted_at=_UNIX_EPOCH + timedelta(milliseconds=row["id"].int >> 80),
        account_id=row["account_id"],
        account=row["account"],
        credential_id=row["credential_id"],
        user=row["username"],
        sender=row["sender"],
        subject=row["subject"] or "",
        author=row["author"] or "",
        author_name=row["author_name"] or "",
        tags=attributes.tags,
        stream=attributes.stream,
        lane=Lane(row["lane"]),
        size=row["size"],
        recipients=tuple(_recipients(row, attributes)),
    )


def _recipients(row: Any, attributes: Attributes) -> Iterator[RecipientState]:
    states = recipient_states(
        row["recipients"], row["waits"], row["deliveries"] or (), row["ends"] or ()
    )
    yield from states
    known = {one.recipient for one in states}
    for address, _ in attributes.discarded:
        if address not in known:
            yield RecipientState(address, MessageState.DISCARDED)


def _matches(query: MessageQuery, message: FoundMessage, source: _Source) -> bool:
    """Whether it does: a key is a hash, and leads to others now and then."""
    if query.to is not None and not _is_one_of(
        query.to, [one.recipient for one in message.recipients]
    ):
        return False
    return (
        (source.accounts is None or message.account_id in source.accounts)
        and (query.sender is None or _is_one_of(query.sender, [message.sender]))
        and (query.user is None or message.user == query.user)
        and (query.tag is None or query.tag in message.tags)
        and matches_subject(query, message.subject)
        and (not query.states or any(one.state in query.states for one in message.recipients))
    )


def _is_one_of(address: str, stored: Sequence[str]) -> bool:
    wanted = spellings(address)
    return any(wanted_one in spellings(one) for one in stored for wanted_one in wanted)
