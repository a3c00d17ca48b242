"""Deliveries: claimed, parked and settled by the dispatcher."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.address_failure import AddressFailure
from posthouse.mail.body_edits import with_packed
from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery, RecipientKind
from posthouse.store.bounce_limits import failure_rows
from posthouse.store.direct_handoff import DirectHandoff
from posthouse.store.group_commit import GroupCommit
from posthouse.store.postgres import Postgres

# Claims bring messages up to this size whole. The text of a larger one is read when it is sent, so
# that memory, waiting or on the wire, is limited by the number of deliveries alone.
LARGE_OCTETS = 128 << 10
# A claim of lane 1 or 2 keeps lower lanes waiting this long at most.
PREEMPTION_WINDOW = timedelta(seconds=1)

# A result waits this long for others, or until there are enough: the message has arrived already.
# Results of lanes 1 and 2 are written at once, because lower lanes wait for them.
_LINGER_SECONDS = 0.02
_ENOUGH = 50


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that is leased to this worker."""

    delivery: Delivery
    claim: int  # fences the result
    tries: int  # attempts that had a result, before this one
    abandoned: int  # claims in a row before this one that had no result: maybe sent already
    expired: bool  # past its expiry time
    received_at: datetime
    expires_at: datetime
    size: int  # octets of the message
    header: bytes = b""  # with the body: what to send; empty when it is older than its retention
    body: bytes = b""
    dsn: DsnRequest | None = None  # what the sender asked about reports on any recipient

    @property
    def is_large(self) -> bool:
        """Whether it came without header and body: `read_message` gives them."""
        return self.size > LARGE_OCTETS


@dataclass(frozen=True, slots=True)
class Claims:
    """The result of a claim."""

    deliveries: tuple[ClaimedDelivery, ...]
    due: tuple[Lane, ...]  # the lanes that had something due when it was made
    # Nothing came, only because this lane's transactions are young: ask again soon.
    preempted_by: Lane | None
    more: bool  # something may still be due that this claim did not bring

    @property
    def lowest_lane_served(self) -> bool:
        """The lowest lane that had something due got some of it, or none had."""
        return not self.due or any(c.delivery.lane is self.due[-1] for c in self.deliveries)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Where and how it was tried, and what the other side said."""

    started_at: datetime
    outcome: str
    scope: str | None
    site: str
    host: str
    tls: str
    code: int
    enhanced: str | None
    reply: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """The result of a claim; final when *wait* is None.

    *wait* is added to the database's time: clocks of dispatchers decide nothing.
    """

    claimed: ClaimedDelivery
    kind: EventKind
    wait: timedelta | None  # until the next try
    attempt: Attempt | None  # None: it ended without being tried
    detail: dict[str, Any] = field(default_factory=dict)
    failure: AddressFailure | None = None  # what was said against the recipient's address

    def bare(self) -> "Settlement":
        """The same result without the texts of the other side."""
        return replace(self, attempt=None, detail={}, failure=None)


class DeliveryStore:
    """The statements of the dispatcher."""

    def __init__(
        self,
        database: Postgres,
        background: Postgres,
        *,
        prepared: DirectHandoff[ClaimedDelivery] | None = None,
        lease: timedelta = timedelta(seconds=20),
        window: timedelta = PREEMPTION_WINDOW,
    ) -> None:
        """*prepared*: the handoff from policy, if that is in this process."""
        self._database = database
        self._background = background
        self.lease = lease
        self._window = window
        self.prepared = prepared or DirectHandoff()
        self._settling = GroupCommit(
            self._settle, most_items=200, linger_seconds=_LINGER_SECONDS, enough=_ENOUGH
        )

    async def claim(
        self,
        limit: int,
        *,
        lowest: Lane = Lane.BULK,
        preemptible: bool = True,
        lapsed: bool = True,
        suspects: Lane | None = Lane.BULK,
    ) -> Claims:
        """Up to *limit* deliveries of the highest lane that has any due, oldest first.

        Beside them at most one that was abandoned twice in a row, if its lane is not below
        *suspects*; with *lapsed* False none whose lease ran out. Large messages come without text.

        Nothing when that lane is below *lowest*, nor, when *preemptible*, while a higher lane's
        transactions are young.
        The claim is on disk when this returns, so that a crash after it can be seen.
        """
        window = self._window if preemptible else timedelta()
        asked = self.prepared.claim_begins()
        rows = await self._database.fetch(
            "claim_deliveries",
            *(limit, self.lease, window, lowest, LARGE_OCTETS, suspects or 0, lapsed),
        )
        claims = _claims(rows)
        self.prepared.claim_ends(asked, more=claims.more)
        return claims

    async def claim_parked(self, waits_for: str, limit: int) -> tuple[ClaimedDelivery, ...]:
        """Up to *limit* deliveries that are parked for *waits_for*, highest lane first.

        None of a lane below one that has anything due elsewhere. Large messages come without text.
        """
        rows = await self._database.fetch(
            "claim_parked_deliveries", waits_for, limit, self.lease, LARGE_OCTETS
        )
        return _claimed(rows)

    async def read_message(self, claimed: ClaimedDelivery) -> ClaimedDelivery:
        """The same with header and body; without them if they are past their retention."""
        # Not on the connections that claims and results wait for.
        rows = await self._background.fetch("read_message", claimed.delivery.rendition_id)
        if not rows:
            return claimed
        body = with_packed(rows[0]["body"], rows[0]["edits"])
        return replace(claimed, header=rows[0]["header"], body=body)

    async def park(self, parked: Sequence[tuple[ClaimedDelivery, str]]) -> None:
        """Put each back until the limit named with it has room; they pause no lane meanwhile."""
        rows = [(c.delivery.id, c.claim, waits_for) for c, waits_for in parked]
        await self._background.run("park_deliveries", rows)

    async def parked_sites(self) -> list[str]:
        """The limits that deliveries are parked for."""
        return [row["site"] for row in await self._database.fetch("parked_sites")]

    async def settle(self, settlement: Settlement) -> bool:
        """Return when the result is committed.

        False: its claim was lost, or had its result before; then it changed nothing.
        """
        # Lower lanes wait for the results of the two highest.
        urgent = settlement.claimed.delivery.lane <= Lane.HIGH
        return await self._settling.add(settlement, urgent=urgent)

    async def _settle(self, batch: Sequence[Settlement]) -> list[bool]:
        # Of two results for one delivery the older claim was lost, or it is the same result again.
        latest: dict[UUID, Settlement] = {}
        for s in batch:
            known = latest.get(s.claimed.delivery.id)
            if known is None or known.claimed.claim < s.claimed.claim:
                latest[s.claimed.delivery.id] = s
        failures = await failure_rows(
            self._database.fetch,
            [(s.claimed.delivery, s.failure) for s in latest.values() if s.failure],
        )
        rows = [_row(s, failures.get(id_)) for id_, s in latest.items()]
        settled = await self._database.fetch("settle_deliveries", rows)
        kept = {(row["id"], latest[row["id"]].claimed.claim) for row in settled}
        return [(s.claimed.delivery.id, s.claimed.claim) in kept for s in batch]

    async def renew(self, claimed: Sequence[ClaimedDelivery]) -> set[UUID]:
        """Extend the leases; returns the ids that are still ours."""
        rows = [(c.delivery.id, c.claim) for c in claimed]
        renewed = await self._background.fetch("renew_deliveries", rows, self.lease)
        return {row["id"] for row in renewed}

    async def quarantine(self, claimed: ClaimedDelivery, reason: str) -> None:
        """Put it into quarantine for the *reason*; nothing if the claim was lost."""
        await self._database.run(
            "quarantine_claimed_delivery", claimed.delivery.id, claimed.claim, reason
        )

    async def return_leases(self, claimed: Sequence[ClaimedDelivery]) -> None:
        """Return claims untried; they are due at once."""
        rows = [(c.delivery.id, c.claim) for c in claimed]
        await self._database.run("return_leases", rows)


def delivery_in(row: Any) -> Delivery:
    """The delivery whose columns *row* has."""
    return Delivery(
        id=row["id"],
        submission_id=row["submission_id"],
        account_id=row["account_id"],
        rendition_id=row["rendition_id"],
        lane=Lane(row["lane"]),
        recipient=row["recipient"],
        return_path=row["return_path"],
        kind=RecipientKind(row["kind"]),
        site=row["site"],
    )


def _claims(rows: Sequence[Any]) -> Claims:
    """The claims in *rows*: each has the lanes that are due; one row without a delivery if none."""
    preempted_by = rows[0]["preempted_by"]
    return Claims(
        _claimed([row for row in rows if row["id"] is not None]),
        due=tuple(Lane(lane) for lane in rows[0]["due_lanes"] or ()),
        preempted_by=None if preempted_by is None else Lane(preempted_by),
        more=bool(rows[0]["more"]),
    )


def _claimed(rows: Sequence[Any]) -> tuple[ClaimedDelivery, ...]:
    messages = {row["rendition_id"]: _message(row) for row in rows if row["first"]}
    return tuple(
        ClaimedDelivery(
            delivery_in(row),
            row["claim"],
            row["tries"],
            row["abandoned"],
            row["expired"],
            row["received_at"],
            row["expires_at"],
            row["size"],
            *messages[row["rendition_id"]],
        )
        for row in rows
    )


def _message(row: Any) -> tuple[bytes, bytes, DsnRequest | None]:
    body = with_packed(row["body"] or b"", row["edits"])
    return row["header"] or b"", body, DsnRequest.from_json(row["dsn"])


def _row(s: Settlement, failure: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """A result_row_2."""
    d, a = s.claimed.delivery, s.attempt
    tried = (
        (a.started_at, a.outcome, a.scope, a.site, a.host, a.tls, a.code, a.enhanced, a.reply)
        if a
        else (None,) * 9
    )
    normal = normal_form(d.recipient) if s.kind is EventKind.DELIVERED else None
    return (
        d.id, s.claimed.claim, s.wait, d.account_id, d.submission_id, s.kind, s.detail, normal,
        failure, a is not None, *tried,
    )  # fmt: skip
