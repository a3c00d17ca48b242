"""From a request and facts to deliveries: decided first, signed last."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from policy.core import dkim
from policy.core.decision_detail import detail_of
from policy.core.draft import Copy, Draft, Rejection, from_domains
from policy.core.facts import Facts, SigningIdentity, SigningUnavailable, signing_identity
from policy.core.request import Recipient, Request
from policy.core.steps import run_steps, steps_for
from policy.core.tracked_copies import body_and_edits
from policy.core.unsubscribe_fields import with_unsubscribe_fields
from posthouse.mail import return_path, signed_id
from posthouse.mail.dkim_key import SigningKey
from posthouse.mail.message import Header
from posthouse.mail.sandboxed_copy import SandboxedCopy
from posthouse.mail.submission import Delivery, Rendition, Submission
from posthouse.mail.suppression_list import SuppressedRecipient
from posthouse.tracking.link_set import LinkSet


@dataclass(frozen=True, slots=True)
class PlannedRendition:
    """A copy that is final except for its signatures."""

    id: UUID
    header: Header
    body: bytes | None  # None: as it came
    edits: bytes | None  # what makes *body* of it, where that is shorter
    keys: tuple[SigningKey, ...]  # of its signing identity, chosen by its final From


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision about a submission, without the signatures."""

    submission: Submission
    renditions: tuple[PlannedRendition, ...]  # empty, as are the deliveries, when none is left
    deliveries: tuple[Delivery, ...]  # one for each recipient of each copy
    suppressed: tuple[SuppressedRecipient, ...]
    detail: dict[str, Any]  # for the timeline
    sandboxed: tuple[SandboxedCopy, ...] = ()  # each rendition, if it is from the sandbox domain
    links: LinkSet | None = None  # where its tracked links lead


class _PlannedCopy(NamedTuple):
    rendition: PlannedRendition
    deliveries: tuple[Delivery, ...]
    identity: SigningIdentity
    sandboxed: SandboxedCopy | None


class UnsignedRendition(NamedTuple):
    """A rendition, and the data for each of its keys to sign."""

    submission_id: UUID
    planned: PlannedRendition
    fields: tuple[dkim.Unsigned, ...]


_UNALIGNED = (
    "the return path host {} is neither the sending domain {} nor below it, which the profile"
    " requires: give the domain a return path host of its own"
)

_COPIES_AT_A_STRETCH = 32
_TRACKED_AT_A_STRETCH = 2  # each has a body of its own

Decision: TypeAlias = Plan | Rejection | SigningUnavailable
Sign: TypeAlias = Callable[[Sequence[dkim.Unsigned]], Sequence[bytes]]
"""Makes a signature of each."""


def decide(request: Request, facts: Facts, now: datetime, ids: Iterator[UUID]) -> Decision:
    """Decide what is sent to whom; *ids* names the new rows."""
    pieces = decide_in_pieces(request, facts, now, ids)
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            decision: Decision = end.value
            return decision


def decide_in_pieces(
    request: Request, facts: Facts, now: datetime, ids: Iterator[UUID]
) -> Generator[None, None, Decision]:
    """As `decide`, with a pause after every millisecond of copies: a message may have a thousand.

    The signing identity of each copy follows from its From after the last step.
    """
    draft = run_steps(steps_for(request.profile), Draft.of(request), facts)
    if isinstance(draft, Rejection):
        return draft

    copies: list[_PlannedCopy] = []
    plan = partial(_planned, request=request, facts=facts, now=now, ids=ids, named={})
    for copy in draft.copies:
        if not copy.recipients and not request.submission.attributes.sandboxed:
            continue
        one = plan(copy)
        if not isinstance(one, _PlannedCopy):
            return one
        copies.append(one)
        if len(copies) % (_TRACKED_AT_A_STRETCH if copy.tracking else _COPIES_AT_A_STRETCH) == 0:
            yield
    deliveries = tuple([delivery for one in copies for delivery in one.deliveries])
    return Plan(
        submission=request.submission,
        renditions=tuple([one.rendition for one in copies]),
        deliveries=deliveries,
        suppressed=draft.suppressed,
        detail=detail_of(draft, len(deliveries), [one.identity for one in copies]),
        sandboxed=tuple([one.sandboxed for one in copies if one.sandboxed]),
        links=next((c.tracking.links for c in draft.copies if c.tracking), None),
    )


def _planned(
    copy: Copy,
    request: Request,
    facts: Facts,
    *,
    now: datetime,
    ids: Iterator[UUID],
    named: dict[str, UUID],  # the deliveries of tracked copies so far, by recipient
) -> "_PlannedCopy | Rejection | SigningUnavailable":
    is_sandboxed = request.submission.attributes.sandboxed
    candidates = () if is_sandboxed else from_domains(copy.header, request)  # it is our own
    identity = signing_identity(candidates, facts)
    if isinstance(identity, SigningUnavailable):
        return identity
    is_strict = request.profile.bounces.aligned_return_path and not is_sandboxed
    if is_strict and not identity.is_aligned:
        return Rejection(_UNALIGNED.format(identity.return_path_host, identity.domain))
    id_, today = next(ids), now.date()
    to_host = _return_paths(identity, facts, today)
    to = _confirmed(copy, facts) if is_sandboxed else copy.recipients
    deliveries = tuple(_deliveries(request, to, id_, to_host, ids))
    header = _offering(copy, deliveries, identity, facts)
    header = _identified(header, request.submission, id_, facts, today)
    body = body_and_edits(copy, deliveries, named, request.submission.body)
    return _PlannedCopy(
        PlannedRendition(id_, header, *body, identity.keys),
        deliveries,
        identity,
        _sandboxed(id_, copy.recipients, to) if is_sandboxed else None,
    )


def _return_paths(identity: SigningIdentity, facts: Facts, today: date) -> Callable[[UUID], str]:
    host, key = identity.return_path_host, facts.relay.return_path_key
    return partial(return_path.sign, host=host, key=key, today=today)


def _confirmed(copy: Copy, facts: Facts) -> tuple[Recipient, ...]:
    return tuple([one for one in copy.recipients if one.address in facts.confirmed])


def _offering(
    copy: Copy, deliveries: Sequence[Delivery], identity: SigningIdentity, facts: Facts
) -> Header:
    if not copy.is_unsubscribable:
        return copy.header
    domain, host = identity.domain, identity.return_path_host
    return with_unsubscribe_fields(copy.header, deliveries[0], facts, domain=domain, host=host)


def _sandboxed(
    id_: UUID, all_of_them: Sequence[Recipient], confirmed: Sequence[Recipient]
) -> SandboxedCopy:
    named = tuple(recipient.address for recipient in all_of_them)
    return SandboxedCopy(id_, named, tuple(recipient.address for recipient in confirmed))


def _identified(
    header: Header, submission: Submission, rendition_id: UUID, facts: Facts, today: date
) -> Header:
    key = facts.relay.signed_id_key
    field = signed_id.sign(submission.account_id, submission.id, rendition_id, key, today)
    return Header((*header.fields, field))


def _deliveries(
    request: Request,
    recipients: Sequence[Recipient],
    rendition_id: UUID,
    return_path_of: Callable[[UUID], str],
    ids: Iterator[UUID],
) -> Iterator[Delivery]:
    submission = request.submission
    for recipient, id_ in zip(recipients, ids, strict=False):
        yield Delivery(
            id=id_,
            submission_id=submission.id,
            account_id=submission.account_id,
            rendition_id=rendition_id,
            lane=submission.lane,
            recipient=recipient.address,
            # Nothing may come back for what is from nobody (RFC 5321 section 4.5.5).
            return_path=return_path_of(id_) if submission.sender else "",
            kind=recipient.kind,
        )


def unsigned(plan: Plan, now: datetime) -> Iterator[UnsignedRendition]:
    """The data to sign of each of its renditions; a body that they share is hashed once."""
    return (one for one in unsigned_in_pieces(plan, now) if one is not None)


def unsigned_in_pieces(plan: Plan, now: datetime) -> Iterator[UnsignedRendition | None]:
    """As `unsigned`, with None wherever there may be a pause: a body may have 25 MB."""
    body: bytes | None = None
    hashed = b""
    for one in plan.renditions:
        fields: tuple[dkim.Unsigned, ...] = ()
        if one.keys:
            own = plan.submission.body if one.body is None else one.body
            if own is not body:
                body = own
                if len(own) <= dkim.PIECE_OCTETS:
                    hashed = dkim.body_hash(own)
                else:
                    hashed = yield from dkim.body_hash_in_pieces(own)
            fields = dkim.unsigned(one.header, hashed, one.keys, now)
        yield UnsignedRendition(plan.submission.id, one, fields)


def sign(some: Sequence[UnsignedRendition], make: Sign) -> list[Rendition]:
    """The messages as recipients get them, all signed together by *make*."""
    signatures = iter(make([field for one in some for field in one.fields]))
    return [
        Rendition(
            planned.id,
            submission_id,
            bytes(dkim.signed(planned.header, [(field, next(signatures)) for field in fields])),
            planned.body,
            planned.edits,
        )
        for submission_id, planned, fields in some
    ]
