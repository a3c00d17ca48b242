"""Submissions: accepted by ingest, claimed and prepared by policy."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.events import EventKind
from posthouse.mail.headline import Headline
from posthouse.mail.lane import Lane
from posthouse.mail.sandboxed_copy import SandboxedCopy
from posthouse.mail.submission import (
    NO_ATTRIBUTES,
    Attributes,
    Delivery,
    Rendition,
    Submission,
)
from posthouse.mail.suppression_list import SuppressedRecipient
from posthouse.mail.terms import Acceptance
from posthouse.store.accepting import KEEP_TRYING, Acceptor
from posthouse.store.deliveries import LARGE_OCTETS, PREEMPTION_WINDOW, ClaimedDelivery
from posthouse.store.direct_handoff import DirectHandoff
from posthouse.store.known_link_sets import KnownLinkSets
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.tracking.link_set import LinkSet

# A claim brings no more than this many octets of messages, but always one message.
CLAIMED_OCTETS = 32 << 20


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
    sandboxed: tuple[SandboxedCopy, ...] = ()  # kept to be read
    links: LinkSet | None = None  # where its tracked links lead

    def to_send(self) -> Iterator[tuple[Delivery, tuple[bytes, bytes, DsnRequest | None]]]:
        """Each delivery with the header and body it sends, and what the sender asked about it."""
        body, dsn = self.claimed.submission.body, self.claimed.submission.attributes.dsn
        of = {r.id: (r.header, body if r.body is None else r.body, dsn) for r in self.renditions}
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
        self._lease = lease
        self._window = window
        self._link_sets = KnownLinkSets()
        self._acceptor = Acceptor(
            database,
            self.accepted,
            claimed=lambda submission: ClaimedSubmission(submission, claims=1),
            keep_trying=keep_trying,
            lease=lease,
        )

    async def accept(self, submission: Submission) -> Acceptance:
        """Return when *submission* is committed: only then may the client get its 250.

        Or when it is known that, by its terms, it is not accepted.
        """
        return await self._acceptor.accept(submission)

    async def accept_together(self, submissions: Sequence[Submission]) -> Sequence[Acceptance]:
        """Return when all of *submissions* are committed, or it is known that none is accepted.

        None is when one is refused by its terms; then this is what became of each.
        """
        return await self._acceptor.accept_together(submissions)

    async def has_just_accepted_high(self) -> bool:
        """Whether a process accepted mail of lane 1 or 2 within the last second."""
        row = await self._database.first("has_just_accepted_high")
        assert row is not None
        return bool(row["found"])

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
            if links := self._link_sets.others(one.links for one in prepared):  # link_set_row_1
                kept = await database.fetch("keep_link_sets", links)
                self._link_sets.learn([row["id"] for row in kept])
            rows = await _prepare(
                database,
                [row for p in prepared for row in _sandboxed(p)],
                [(p.claimed.submission.id, p.claimed.claims) for p in prepared],
                [r.row() for p in prepared for r in p.renditions],
                [
                    _delivery(d, len(header) + len(body), handed=place < handed)
                    for place, (d, header, body, _) in enumerate(contents.values())
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


async def _prepare(
    database: Postgres, sandboxed: Sequence[tuple[Any, ...]], *arguments: Any
) -> list[Any]:
    """Run prepare_submissions; first, in the same transaction, keep what is from the sandbox."""
    if not sandboxed:
        return await database.fetch("prepare_submissions", *arguments)
    async with database.connection() as connection, connection.transaction():
        await connection.fetch(QUERIES["keep_in_sandbox"], sandboxed)
        rows: list[Any] = await connection.fetch(QUERIES["prepare_submissions"], *arguments)
        return rows


def _sandboxed(prepared: Prepared) -> Iterator[tuple[Any, ...]]:
    """A sandbox_row_1 for each copy of a message from the sandbox domain."""
    submission, claims = prepared.claimed.submission, prepared.claimed.claims
    renditions = {rendition.id: rendition for rendition in prepared.renditions}
    for copy in prepared.sandboxed:
        rendition = renditions[copy.rendition_id]
        yield (
            rendition.id, submission.id, claims, submission.account_id, submission.sender,
            copy.recipients, copy.delivered_to, rendition.header,
            submission.body if rendition.body is None else rendition.body,
        )  # fmt: skip


def _delivery(d: Delivery, size: int, *, handed: bool) -> tuple[Any, ...]:
    """A delivery_row_1."""
    return (
        d.id, d.submission_id, d.rendition_id, d.recipient, d.kind, d.return_path, d.site, size,
        handed,
    )  # fmt: skip


def _handed(
    row: Any, delivery: Delivery, header: bytes, body: bytes, dsn: DsnRequest | None
) -> ClaimedDelivery:
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
        dsn=dsn,
    )


def _events(prepared: Prepared) -> list[tuple[UUID, UUID, str, dict[str, Any]]]:
    submission = prepared.claimed.submission
    events = [
        (EventKind.PREPARED, prepared.detail),
        *((EventKind.SANDBOXED, each.detail()) for each in prepared.sandboxed),
        *((EventKind.SUPPRESSED, each.detail()) for each in prepared.suppressed),
    ]
    if submission.attributes is not NO_ATTRIBUTES:
        events += _events_of_admission(submission.attributes)
    return [(submission.account_id, submission.id, kind.value, detail) for kind, detail in events]


def _events_of_admission(attributes: Attributes) -> Iterator[tuple[EventKind, dict[str, Any]]]:
    """What the rules of the profile did when the message was accepted."""
    for address, rule in attributes.discarded:
        yield EventKind.RECIPIENT_DISCARDED, {"recipient": address, "rule": rule}
    for alert in attributes.alerts:
        yield EventKind.ALERTED, dict(alert)


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
        headline=Headline(row["subject"] or "", row["author"] or "", row["author_name"] or ""),
    )
