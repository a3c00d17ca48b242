"""Acceptance: the commit behind a 250, of all messages that come at the same time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.mail.terms import (
    NO_TERMS,
    Acceptance,
    AcceptedBefore,
    Committed,
    KeyTaken,
    Resubmission,
    SandboxUsedUp,
)
from posthouse.store.direct_handoff import DirectHandoff
from posthouse.store.group_commit import GroupCommit
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

KEEP_TRYING = timedelta(days=5)
# Of the messages of a statement; but always one.
_MOST_ITEMS, _MOST_OCTETS = 100, 2 << 20

Refused: TypeAlias = AcceptedBefore | KeyTaken | SandboxUsedUp
T = TypeVar("T")

_DUE, _WAITS = Committed(is_due=True), Committed(is_due=False)


class Acceptor(Generic[T]):
    """Writes submissions in batches: those without terms by one statement, the hot one."""

    def __init__(
        self,
        database: Postgres,
        handoff: DirectHandoff[T],
        *,
        claimed: Callable[[Submission], T],
        keep_trying: timedelta,
        lease: timedelta,
    ) -> None:
        """*handoff* passes what *claimed* makes of submissions to policy, if that is here."""
        self._database = database
        self._handoff = handoff
        self._claimed = claimed
        self._times = (keep_trying, lease)
        self._plain = GroupCommit(
            self._accept, most_items=_MOST_ITEMS, size=lambda s: s.size, only_awaited=True
        )
        self._on_terms = GroupCommit(
            self._accept_on_terms, most_items=_MOST_ITEMS, size=lambda s: s.size, only_awaited=True
        )
        # One at a time, so that large ones leave connections to others.
        self._together = GroupCommit(self._accept_each, most_items=1, only_awaited=True)

    async def accept(self, submission: Submission) -> Acceptance:
        """Return when *submission* is committed, or is known not to be accepted."""
        # Urgent mail does not wait for the batch that is being written.
        urgent = submission.lane <= Lane.HIGH
        if submission.terms is NO_TERMS:
            return await self._plain.add(submission, urgent=urgent)
        if submission.terms.sandbox_limit is not None:  # there are few, and one may be too many
            return (await self.accept_together([submission]))[0]
        return await self._on_terms.add(submission, urgent=urgent)

    async def accept_together(self, submissions: Sequence[Submission]) -> Sequence[Acceptance]:
        """Return when all of *submissions* are committed, or it is known that none is accepted.

        None is when one is refused by its terms; then this is what became of each.
        """
        return await self._together.add(submissions, urgent=submissions[0].lane <= Lane.HIGH)

    async def _accept_each(
        self, together: Sequence[Sequence[Submission]]
    ) -> list[Sequence[Acceptance]]:
        return [await self._accept_on_terms(each, together=True) for each in together]

    async def _accept(self, batch: Sequence[Submission]) -> list[Acceptance]:
        with self._handoff.reserve(len(batch)) as handed:
            rows = await self._database.fetch(
                "accept_submissions", *accept_arguments(batch, handed, *self._times)
            )
            held = {row["id"] for row in rows}
            self._handoff.publish([self._claimed(s) for s in batch[:handed] if s.id not in held])
        return [
            _DUE if place >= handed and s.id not in held else _WAITS
            for place, s in enumerate(batch)
        ]

    async def _accept_on_terms(
        self, batch: Sequence[Submission], *, together: bool = False
    ) -> list[Acceptance]:
        """*together*: all are written, or were before, or else none."""
        with self._handoff.reserve(sum(not s.terms.send_at for s in batch)) as room:
            async with self._database.connection() as connection:
                transaction = connection.transaction()
                await transaction.start()
                refused, repeated = await _judged(connection, batch)
                if together and (why := _first_refusal(refused)):
                    await transaction.rollback()  # its key stays free
                    return [why] * len(batch)
                # What is scheduled comes last, and is not handed over.
                new = [s for s in batch if s.id not in refused]
                new.sort(key=lambda s: s.terms.send_at is not None)
                handed = new[: min(room, sum(not s.terms.send_at for s in new))]
                waiting = await self._write(connection, new, len(handed))
                await transaction.commit()
            self._handoff.publish([self._claimed(s) for s in handed if s.id not in waiting])
        waiting.update(s.id for s in handed)
        if any(s.terms.send_at and s.id not in waiting for s in new):
            self._handoff.shut()  # its time has come, and nothing was reserved for it
        return [
            refused.get(s.id) or Committed(s.id not in waiting, repeated.get(s.id)) for s in batch
        ]

    async def _write(self, connection: Any, new: Sequence[Submission], handed: int) -> set[UUID]:
        """Write the submissions; those that are held, or scheduled."""
        found: set[UUID] = set()
        for place, piece in _pieces(new):
            rows = await connection.fetch(
                QUERIES["accept_submissions"],
                *accept_arguments(piece, max(0, handed - place), *self._times),
            )
            found.update(row["id"] for row in rows)
        times = [(s.id, s.terms.send_at) for s in new if s.terms.send_at]
        rows = await connection.fetch(QUERIES["schedule_submissions"], times) if times else ()
        found.update(row["id"] for row in rows)
        return found


def _pieces(
    submissions: Sequence[Submission],
) -> Iterator[tuple[int, Sequence[Submission]]]:
    """Pieces that one statement writes, each with its place: it has copies of them in memory."""
    start = octets = 0
    for place, submission in enumerate(submissions):
        if octets and (place - start == _MOST_ITEMS or octets + submission.size > _MOST_OCTETS):
            yield start, submissions[start:place]
            start, octets = place, 0
        octets += submission.size
    if submissions:
        yield start, submissions[start:]


def _first_refusal(refused: Mapping[UUID, Refused]) -> KeyTaken | SandboxUsedUp | None:
    return next((why for why in refused.values() if not isinstance(why, AcceptedBefore)), None)


async def _judged(
    connection: Any, batch: Sequence[Submission]
) -> tuple[Mapping[UUID, Refused], Mapping[UUID, UUID]]:
    """Those of *batch* that are not to be written, by their ids, and why.

    And of those that are, under which id the same was accepted before.
    """
    rows = [
        (s.id, s.account_id, k.text, k.digest, k.counts_for, k.mode is Resubmission.REPORT_ONLY)
        for s in batch
        if (k := s.terms.key)
    ]
    keys = await connection.fetch(QUERIES["claim_idempotency_keys"], rows) if rows else ()
    refused: dict[UUID, Refused] = {}
    repeated: dict[UUID, UUID] = {}
    for id_, first, same, only_reported in keys:
        if first == id_:
            continue
        if only_reported:
            repeated[id_] = first
        else:
            refused[id_] = AcceptedBefore(first) if same else KeyTaken(first)
    for s in batch:
        limit = s.terms.sandbox_limit
        if limit is None or s.id in refused:
            continue
        if not await connection.fetch(QUERIES["count_sandbox_message"], s.account_id, limit):
            refused[s.id] = SandboxUsedUp(limit)
    return refused, repeated


def accept_arguments(
    batch: Sequence[Submission],
    handed: int = 0,
    keep_trying: timedelta = KEEP_TRYING,
    lease: timedelta = timedelta(),
) -> tuple[Any, ...]:
    """The arguments of accept_submissions; the first *handed* are written as claimed."""
    return (
        [_accepted(s, handed=place < handed) for place, s in enumerate(batch)],
        [(s.id, s.header, s.body, s.attributes.dsn_as_json()) for s in batch],
        keep_trying,
        lease,
    )


def _accepted(s: Submission, *, handed: bool) -> tuple[Any, ...]:
    """An accept_row_2."""
    return (
        s.id, s.account_id, s.credential_id, s.profile, s.profile_revision, s.lane, s.sender,
        s.recipients, s.smtputf8, s.client, s.helo, s.tls, s.size, s.attributes.as_json(), handed,
        *s.headline,
    )  # fmt: skip
