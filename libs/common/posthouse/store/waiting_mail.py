"""What an operator does to mail that waits: by a choice, in batches, and with a line of the audit.

Each batch is a transaction of its own, so that no row is locked for long. Rows that others are
writing are passed over, and looked at again. The line of the audit is there before the first batch,
and each batch counts in it: after a crash it says how far that came.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.mail_selector import MailOperation, MailSelector, applies
from posthouse.mail.message_query import spellings
from posthouse.mail.message_state import MessageState
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

POLICY, DELIVERY = "policy", "delivery"  # the stages; submissions first: they become deliveries
_CHOICES = {POLICY: "choose_submissions", DELIVERY: "choose_deliveries"}
_ROWS = 2_000  # looked at by one statement, and changed by one transaction
_PASSES = 40  # over rows that others were writing
_PAUSE_SECONDS = 0.1
_SAMPLE = 5
_FIRST = UUID(int=0)
# Of our own decision, as of the policy of any other system (RFC 3463 X.7.1).
_NOT_AUTHORIZED = "5.7.1"


@dataclass(frozen=True, slots=True)
class WaitingItem:
    """A message that policy has not prepared, or a delivery."""

    stage: str
    id: UUID
    submission_id: UUID | None  # None: it is older than the history
    lane: Lane
    site: str
    state: MessageState
    leased: bool  # a worker has it
    reason: str | None  # of a hold by the operator, or of the quarantine
    recipient: str | None  # the first


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """How many items of one stage, lane, site and state there are."""

    stage: str
    lane: Lane
    site: str
    state: MessageState
    messages: int


@dataclass(frozen=True, slots=True)
class OperationPreview:
    """What an operation would change."""

    lines: tuple[PreviewLine, ...]
    sample: tuple[WaitingItem, ...]
    leased: int  # of these, that a worker has
    others: int  # that were chosen, and that it does not change

    @property
    def messages(self) -> int:
        """How many items it would change."""
        return sum(line.messages for line in self.lines)


class OperationResult(NamedTuple):
    """What an operation has changed."""

    messages: int
    missed: int  # that others were writing until the end


@dataclass(slots=True)
class _Run:
    """An operation that is being carried out."""

    operation: MailOperation
    arguments: Sequence[object]  # of its statements, beside the ids
    audit_line: UUID
    done: int = 0


class WaitingMail:
    """The statements about what is open."""

    def __init__(self, database: Postgres) -> None:
        """*database* commits synchronously."""
        self._database = database

    async def preview(self, operation: MailOperation, selector: MailSelector) -> OperationPreview:
        """What *operation* would change now. Reads all that waits, a part at a time."""
        counts: Counter[tuple[str, Lane, str, MessageState]] = Counter()
        sample: list[WaitingItem] = []
        leased = others = 0
        async for items in self._chosen(selector):
            for item in items:
                if not _applies(operation, item):
                    others += 1
                    continue
                counts[item.stage, item.lane, item.site, item.state] += 1
                leased += item.leased
                if len(sample) < _SAMPLE:
                    sample.append(item)
        lines = tuple(PreviewLine(*about, count) for about, count in sorted(counts.items()))
        return OperationPreview(lines, tuple(sample), leased, others)

    async def run(
        self, operation: MailOperation, selector: MailSelector, actor: str, reason: str = ""
    ) -> OperationResult:
        """Do it to all that are chosen when their turn comes; the *reason* is for hold and bounce.

        A bounce tells it to the sender.
        """
        run = _Run(
            operation,
            _arguments(operation, actor, reason),
            await self._begin_audit(operation, selector, actor, reason),
        )
        missed = 0
        for number in range(_PASSES):
            await asyncio.sleep(_PAUSE_SECONDS if number else 0)
            missed = 0
            async for items in self._chosen(selector):
                if ids := [item.id for item in items if _applies(operation, item)]:
                    missed += len(ids) - await self._change(run, items[0].stage, ids)
            if not missed:
                break
        return OperationResult(run.done, missed)

    async def _change(self, run: _Run, stage: str, ids: Sequence[UUID]) -> int:
        """Change *ids* in one transaction, and count them in the audit; how many were changed."""
        is_end = run.operation in (MailOperation.CANCEL, MailOperation.BOUNCE)
        of = "submissions" if stage == POLICY else "deliveries"
        query = QUERIES[f"{'end' if is_end else run.operation}_{of}"]
        async with self._database.connection() as connection, connection.transaction():
            rows = await connection.fetch(query, ids, *run.arguments)
            await connection.execute(QUERIES["count_audited"], run.audit_line, run.done + len(rows))
        run.done += len(rows)
        return len(rows)

    async def _begin_audit(
        self, operation: MailOperation, selector: MailSelector, actor: str, reason: str
    ) -> UUID:
        detail: dict[str, object] = {"messages": 0, **selector.words}
        if selector.ids:
            detail["ids"] = [one.hex for one in selector.ids]
        if reason:
            detail["because"] = reason
        owner = await self._account(selector)
        row = await self._database.first("begin_audit", actor, f"queue {operation}", owner, detail)
        assert row is not None
        return UUID(str(row["id"]))

    async def _chosen(self, selector: MailSelector) -> AsyncIterator[Sequence[WaitingItem]]:
        """Those that *selector* means, some of one stage at a time."""
        chosen = await self._narrowed(selector)
        if chosen is None:
            return
        for stage, query in _CHOICES.items():
            after: UUID | None = _FIRST
            if stage == POLICY and (selector.site is not None or selector.kind is not None):
                continue
            more = (selector.site, selector.kind) if stage == DELIVERY else ()
            while after is not None:
                rows = await self._database.fetch(query, after, _ROWS, *chosen, *more)
                after = rows[0]["last"]
                if items := [_item(stage, row) for row in rows if row["id"] is not None]:
                    yield items

    async def _narrowed(self, s: MailSelector) -> tuple[object, ...] | None:
        """The arguments of both choices; None where there is no such account or user."""
        account = await self._account(s)
        users = [
            row["id"] for row in await self._database.fetch("find_credentials_named", s.user or "")
        ]
        if (s.account is not None and account is None) or (s.user is not None and not users):
            return None
        ids = [*s.ids]
        for one in s.ids:
            ids += [row["id"] for row in await self._database.fetch("find_deliveries_of", one)]
        now = datetime.now(UTC)
        return (
            ids or None, account, s.lane, sorted(s.states) or None, s.reason,
            None if s.older_than is None else now - s.older_than,
            None if s.newer_than is None else now - s.newer_than,
            users or None, s.stream, s.tag,
            None if s.recipient is None else list(spellings(s.recipient)),
            None if s.domain is None else [
                one.rpartition("@")[2] for one in spellings(f"x@{s.domain}")
            ],
        )  # fmt: skip

    async def _account(self, selector: MailSelector) -> UUID | None:
        if selector.account is None:
            return None
        row = await self._database.first("find_account", selector.account)
        return None if row is None else row["id"]


def _applies(operation: MailOperation, item: WaitingItem) -> bool:
    return applies(operation, item.state, leased=item.leased, reason=item.reason)


def _arguments(operation: MailOperation, actor: str, reason: str) -> tuple[object, ...]:
    """What the statement of *operation* takes beside the ids."""
    match operation:
        case MailOperation.HOLD:
            return (reason,)
        case MailOperation.CANCEL:
            return EventKind.CANCELLED, {"by": actor}
        case MailOperation.BOUNCE:
            detail = {"enhanced": _NOT_AUTHORIZED, "reply": reason, "by": actor}
            return EventKind.BOUNCED, detail
        case MailOperation.RETRY | MailOperation.RELEASE:
            return ()


def _item(stage: str, row: Mapping[str, Any]) -> WaitingItem:
    return WaitingItem(
        stage=stage,
        id=row["id"],
        submission_id=row["submission_id"],
        lane=Lane(row["lane"]),
        site=row["site"],
        state=MessageState(row["state"]),
        leased=row["leased"],
        reason=row["reason"],
        recipient=row["recipient"],
    )
