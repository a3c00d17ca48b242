"""Submissions: accepted by ingest, claimed and prepared by policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery, Rendition, Submission
from posthouse.store.group_commit import GroupCommit
from posthouse.store.postgres import Postgres, columns
from posthouse.store.recent import RecentMessages


@dataclass(frozen=True, slots=True)
class ClaimedSubmission:
    """A submission that this worker holds until its lease runs out."""

    submission: Submission
    claims: int  # how often it was claimed, this time included; fences the result
    expired: bool  # older than mail may become: must not be prepared any more


@dataclass(frozen=True, slots=True)
class Prepared:
    """What policy made of a submission."""

    claimed: ClaimedSubmission
    renditions: tuple[Rendition, ...]
    deliveries: tuple[Delivery, ...]
    suppressed: tuple[str, ...]  # recipients that get no delivery
    detail: dict[str, Any] = field(default_factory=dict)  # for the timeline


class SubmissionStore:
    """What ingest and policy ask of the store."""

    def __init__(
        self,
        database: Postgres,
        background: Postgres,
        recent: RecentMessages,
        *,
        keep_trying: timedelta = timedelta(days=5),
        lease: timedelta = timedelta(seconds=20),
    ) -> None:
        """*background* carries what a crash of the server may undo, because it is done again."""
        self._database = database
        self._background = background
        self._recent = recent
        self._keep_trying = keep_trying
        self._lease = lease
        self._accepting = GroupCommit(
            self._accept, most_items=100, size=lambda s: len(s.body), writers=2, only_awaited=True
        )

    async def accept(self, submission: Submission) -> None:
        """Return when *submission* is committed: only then may the client hear 250."""
        await self._accepting.add(submission)
        self._recent.put(submission.id, submission.header, submission.body)

    async def _accept(self, batch: Sequence[Submission]) -> None:
        rows = [
            (
                s.id, s.header, s.body, s.account_id, s.credential_id, s.profile, s.lane, s.sender,
                "\n".join(s.recipients), s.smtputf8, s.client, s.helo, s.tls,
                len(s.header) + len(s.body),
            )
            for s in batch
        ]  # fmt: skip
        await self._database.run("accept_submissions", *columns(rows, 14), self._keep_trying)

    async def claim(self, limit: int) -> list[ClaimedSubmission]:
        """Up to *limit* submissions of the highest lane that has any due, oldest first."""
        rows = await self._background.fetch("claim_submissions", limit, self._lease)
        contents = await self._contents([row["id"] for row in rows])
        for row in rows:
            if row["id"] not in contents:
                await self._put_aside(row, EventKind.REFUSED, "its content is no longer kept")
        return [
            ClaimedSubmission(_submission(row, *contents[row["id"]]), row["claim"], row["expired"])
            for row in rows
            if row["id"] in contents
        ]

    async def _contents(self, ids: Sequence[UUID]) -> dict[UUID, tuple[bytes, bytes]]:
        found = {id_: message for id_ in ids if (message := self._recent.get(id_))}
        missing = [id_ for id_ in ids if id_ not in found]
        if missing:
            for row in await self._database.fetch("read_contents", missing):
                found[row["id"]] = (row["header"], row["body"])
        return found

    async def prepare(self, prepared: Sequence[Prepared]) -> None:
        """Commit the batch; a submission whose claim was lost meanwhile is left alone."""
        claims = [(p.claimed.submission.id, p.claimed.claims) for p in prepared]
        renditions = [
            (r.id, r.submission_id, r.header, r.body) for p in prepared for r in p.renditions
        ]
        deliveries = [
            (d.id, d.submission_id, d.account_id, d.rendition_id, d.recipient, d.return_path)
            for p in prepared
            for d in p.deliveries
        ]
        events = [event for p in prepared for event in _events(p)]
        await self._background.run(
            "prepare_submissions",
            *columns(claims, 2),
            *columns(renditions, 4),
            *columns(deliveries, 6),
            *columns(events, 4),
        )
        for p in prepared:
            self._recent.take(p.claimed.submission.id)
            for r in p.renditions:
                body = p.claimed.submission.body if r.body is None else r.body
                self._recent.put(r.id, r.header, body)

    async def refuse(
        self, claimed: ClaimedSubmission, reason: str, kind: EventKind = EventKind.REFUSED
    ) -> None:
        """Put the submission aside with the *reason*; nothing of it will be sent."""
        await self._put_aside(
            {
                "id": claimed.submission.id,
                "claim": claimed.claims,
                "account_id": claimed.submission.account_id,
            },
            kind,
            reason,
        )

    async def _put_aside(self, row: Mapping[str, Any], kind: EventKind, reason: str) -> None:
        await self._database.run(
            "refuse_submission",
            *(row["id"], row["claim"], row["account_id"], kind, {"reason": reason}, reason),
        )


def _events(prepared: Prepared) -> list[tuple[UUID, UUID, str, dict[str, Any]]]:
    submission = prepared.claimed.submission
    return [
        (submission.account_id, submission.id, EventKind.PREPARED.value, prepared.detail),
        *(
            (submission.account_id, submission.id, EventKind.SUPPRESSED.value, {"recipient": r})
            for r in prepared.suppressed
        ),
    ]


def _submission(row: Any, header: bytes, body: bytes) -> Submission:
    return Submission(
        id=row["id"],
        account_id=row["account_id"],
        credential_id=row["credential_id"],
        profile=row["profile"],
        lane=Lane(row["lane"]),
        sender=row["sender"],
        recipients=tuple(row["recipients"]),
        smtputf8=row["smtputf8"],
        client=row["client"],
        helo=row["helo"],
        tls=row["tls"],
        header=header,
        body=body,
    )
