"""Submissions: accepted by ingest, claimed and prepared by policy."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Attributes, Delivery, Rendition, Submission
from posthouse.mail.suppression_list import SuppressedRecipient
from posthouse.store.deliveries import LARGE_OCTETS, PREEMPTION_WINDOW, ClaimedDelivery
from posthouse.store.direct_handoff import DirectHandoff
from posthouse.store.group_commit import GroupCommit
from posthouse.store.postgres import Postgres

# A claim brings no more than this many octets of messages, but always one message.
CLAIMED_OCTETS = 32 << 20
KEEP_TRYING = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class ClaimedSubmission:
    """A submission that is leased to this worker."""

    submission: Submission
    claims: int  # how often it was claimed, this time included; fences the result


@dataclass(frozen=True, slots=True)
class ClaimedSubmissions:
    """The result of a claim."""

    submissions: tuple[ClaimedSubmission, ...]
    more: bool  # something may still be due that this claim did not bring


@dataclass(frozen=True, slots=True)
class Prepared:
    """The result of policy for a submission."""

    claimed: ClaimedSubmission
    renditions: tuple[Rendition, ...]
    deliveries: tuple[Delivery, ...]
    suppressed: tuple[SuppressedRecipient, ...]  # they get no delivery
    detail: dict[str, Any] = field(default_factory=dict)  # for the timeline

    def to_send(self) -> Iterator[tuple[Delivery, tuple[bytes, bytes]]]:
        """Each delivery with the header and body it sends."""
        body = self.claimed.submission.body
        of = {r.id: (r.header, body if r.body is None else r.body) for r in self.renditions}
        for delivery in self.deliveries:
            yield delivery, of[delivery.rendition_id]


class SubmissionStore:
    """The statements of ingest and policy."""

    def __init__(
        self,
        database: Postgres,
        background: Postgres,
        *,
        accepted: DirectHandoff[ClaimedSubmission] | None = None,
        prepared: DirectHandoff[ClaimedDelivery] | None = None,
        keep_trying: timedelta = KEEP_TRYING,
        lease: timedelta = timedelta(seconds=20),
        window: timedelta = PREEMPTION_WINDOW,
    ) -> None:
        """*background* commits asynchronously: after a crash of the server its work is done again.

        *accepted* and *prepared* hand over to policy and dispatcher, if they are in this process.
        """
        self._database = database
        self._background = background
        self.accepted = accepted or DirectHandoff()
        self._prepared = prepared or DirectHandoff()
        self._keep_trying = keep_trying
        self._lease = lease
        self._window = window
        self._accepting = GroupCommit(
            self._accept, most_items=100, size=lambda s: s.size, only_awaited=True
        )

    async def accept(self, submission: Submission) -> bool:
        """Return when *submission* is committed: only then may the client get its 250.

        True when it is due and policy needs a hint; False when policy has it already, or when its
        account is held.
        """
        # Urgent mail does not wait for the batch that is being written.
        urgent = submission.lane <= Lane.HIGH
        return await self._accepting.add(submission, urgent=urgent)

    async def _accept(self, batch: Sequence[Submission]) -> list[bool]:
        with self.accepted.reserve(len(batch)) as handed:
            rows = await self._database.fetch(
                "accept_submissions",
                *accept_arguments(batch, handed, self._keep_trying, self._lease),
            )
            held = {row["id"] for row in rows}
            self.accepted.publish(
                [ClaimedSubmission(s, claims=1) for s in batch[:handed] if s.id not in held]
            )
        return [place >= handed and s.id not in held for place, s in enumerate(batch)]

    async def claim(
        self,
        limit: int,
        *,
        octets: int = CLAIMED_OCTETS,
        lowest: Lane = Lane.BULK,
        suspects: bool = True,
    ) -> ClaimedSubmissions:
        """Up to *limit* of the highest lane, down to *lowest*, that has any due, oldest first.

        No more once they hold *octets*, but one at least. Of those that were taken up twice before
        at most one, and with *suspects* False none.
        """
        asked = self.accepted.claim_begins()
        rows = await self._background.fetch(
            "claim_submissions", limit, self._lease, octets, suspects, lowest
        )
        more = bool(rows and rows[0]["more"])
        if lowest is Lane.BULK:  # of other lanes this claim knows nothing
            self.accepted.claim_ends(asked, more=more)
        for row in rows:
            if not row["kept"]:
                await self._quarantine(row["id"], row["claim"], "its content is no longer kept")
        found = [ClaimedSubmission(_submission(row), row["claim"]) for row in rows if row["kept"]]
        return ClaimedSubmissions(tuple(found), more)

    async def prepare(self, prepared: Sequence[Prepared]) -> Counter[Lane]:
        """Commit the batch; a submission whose claim was lost meanwhile is left alone.

        How many deliveries came due in which lane, without those handed over to a dispatcher here.
        """
        contents = {d.id: (d, *content) for p in prepared for d, content in p.to_send()}
        with self._prepared.reserve(len(contents)) as handed:
            # A delivery that is sent at once must be on disk first: see DeliveryStore.claim.
            database = self._database if handed else self._background
            rows = await database.fetch(
                "prepare_submissions",
                [(p.claimed.submission.id, p.claimed.claims) for p in prepared],
                [(r.id, r.submission_id, r.header, r.body) for p in prepared for r in p.renditions],
                [
                    _delivery(d, len(header) + len(body), handed=place < handed)
                    for place, (d, header, body) in enumerate(contents.values())
                ],
                [event for p in prepared for event in _events(p)],
                self._lease,
                self._window,
            )
            self._prepared.publish(
                [_handed(row, *contents[row["id"]]) for row in rows if row["leased"]]
            )
        return Counter(Lane(row["lane"]) for row in rows if not row["leased"])

    async def return_leases(self, claimed: Sequence[ClaimedSubmission], delay: timedelta) -> None:
        """End the claims as if they had not been made; the submissions come due after *delay*."""
        rows = [(c.submission.id, c.claims) for c in claimed]
        await self._background.run("return_submission_leases", rows, delay)

    async def quarantine(self, claimed: ClaimedSubmission, reason: str) -> None:
        """Quarantine the submission with the *reason*; nothing if the claim was lost."""
        await self._quarantine(claimed.submission.id, claimed.claims, reason)

    async def _quarantine(self, id_: UUID, claim: int, reason: str) -> None:
        await self._database.run("quarantine_submission", id_, claim, reason)


def accept_arguments(
    batch: Sequence[Submission],
    handed: int = 0,
    keep_trying: timedelta = KEEP_TRYING,
    lease: timedelta = timedelta(),
) -> tuple[Any, ...]:
    """The arguments of accept_submissions; the first *handed* are written as claimed."""
    return (
        [_accepted(s, handed=place < handed) for place, s in enumerate(batch)],
        [(s.id, s.header, s.body) for s in batch],
        keep_trying,
        lease,
    )


def _accepted(s: Submission, *, handed: bool) -> tuple[Any, ...]:
    """An accept_row_1."""
    return (
        s.id, s.account_id, s.credential_id, s.profile, s.profile_revision, s.lane, s.sender,
        s.recipients, s.smtputf8, s.client, s.helo, s.tls, s.size, s.attributes.as_json(), handed,
    )  # fmt: skip


def _delivery(d: Delivery, size: int, *, handed: bool) -> tuple[Any, ...]:
    """A delivery_row_1."""
    return (
        d.id, d.submission_id, d.rendition_id, d.recipient, d.kind, d.return_path, d.site, size,
        handed,
    )  # fmt: skip


def _handed(row: Any, delivery: Delivery, header: bytes, body: bytes) -> ClaimedDelivery:
    """As a claim would give it: a large message without its text."""
    size = len(header) + len(body)
    return ClaimedDelivery(
        delivery=delivery,
        claim=1,
        tries=0,
        abandoned=0,
        expired=False,
        received_at=row["received_at"],
        expires_at=row["expires_at"],
        size=size,
        header=header if size <= LARGE_OCTETS else b"",
        body=body if size <= LARGE_OCTETS else b"",
    )


def _events(prepared: Prepared) -> list[tuple[UUID, UUID, str, dict[str, Any]]]:
    submission = prepared.claimed.submission
    return [
        (submission.account_id, submission.id, EventKind.PREPARED.value, prepared.detail),
        *(
            (submission.account_id, submission.id, EventKind.SUPPRESSED.value, r.detail())
            for r in prepared.suppressed
        ),
    ]


def _submission(row: Any) -> Submission:
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
        header=row["header"],
        body=row["body"],
        profile_revision=row["profile_revision"],
        attributes=Attributes.from_json(row["attributes"]),
    )
