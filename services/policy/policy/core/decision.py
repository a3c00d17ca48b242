"""From a request and facts to deliveries: decided first, signed last."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from policy.core import dkim
from policy.core.facts import Facts, SigningIdentity, SigningUnavailable, signing_identity
from policy.core.request import Request
from policy.core.steps import Copy, Draft, Rejection, from_domains, run_steps, steps_for
from posthouse.mail import return_path, signed_id
from posthouse.mail.dkim_key import SigningKey
from posthouse.mail.message import Header
from posthouse.mail.submission import Delivery, Rendition, Submission
from posthouse.mail.suppression_list import SuppressedRecipient


@dataclass(frozen=True, slots=True)
class PlannedRendition:
    """A copy that is final except for its signatures."""

    id: UUID
    header: Header
    body: bytes | None  # None: as it came
    keys: tuple[SigningKey, ...]  # of its signing identity, chosen by its final From


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision about a submission, without the signatures."""

    submission: Submission
    renditions: tuple[PlannedRendition, ...]  # empty, as are the deliveries, when none is left
    deliveries: tuple[Delivery, ...]  # one for each recipient of each copy
    suppressed: tuple[SuppressedRecipient, ...]
    detail: dict[str, Any]  # for the timeline


class UnsignedRendition(NamedTuple):
    """A rendition, and the data for each of its keys to sign."""

    submission_id: UUID
    planned: PlannedRendition
    fields: tuple[dkim.Unsigned, ...]


Decision: TypeAlias = Plan | Rejection | SigningUnavailable
Sign: TypeAlias = Callable[[Sequence[dkim.Unsigned]], Sequence[bytes]]
"""Makes a signature of each."""


def decide(request: Request, facts: Facts, now: datetime, ids: Iterator[UUID]) -> Decision:
    """Decide what is sent to whom; *ids* names the new rows.

    The signing identity of each copy follows from its From after the last step.
    """
    draft = run_steps(steps_for(request.profile), Draft.of(request), facts)
    if isinstance(draft, Rejection):
        return draft

    renditions: list[PlannedRendition] = []
    deliveries: list[Delivery] = []
    identities: list[SigningIdentity] = []
    for copy in draft.copies:
        if not copy.recipients:
            continue
        identity = signing_identity(from_domains(copy.header, request), facts)
        if isinstance(identity, SigningUnavailable):
            return identity
        identities.append(identity)
        id_, today = next(ids), now.date()
        header = _identified(copy.header, request.submission, id_, facts, today)
        renditions.append(PlannedRendition(id_, header, copy.body, identity.keys))
        host, key = identity.return_path_host, facts.relay.return_path_key
        to_host = partial(return_path.sign, host=host, key=key, today=today)
        deliveries += _deliveries(request, copy, id_, to_host, ids)
    return Plan(
        submission=request.submission,
        renditions=tuple(renditions),
        deliveries=tuple(deliveries),
        suppressed=draft.suppressed,
        detail=_detail(draft, len(deliveries), identities),
    )


def _identified(
    header: Header, submission: Submission, rendition_id: UUID, facts: Facts, today: date
) -> Header:
    key = facts.relay.signed_id_key
    field = signed_id.sign(submission.account_id, submission.id, rendition_id, key, today)
    return Header((*header.fields, field))


def _deliveries(
    request: Request,
    copy: Copy,
    rendition_id: UUID,
    return_path_of: Callable[[UUID], str],
    ids: Iterator[UUID],
) -> Iterator[Delivery]:
    submission = request.submission
    for recipient, id_ in zip(copy.recipients, ids, strict=False):
        yield Delivery(
            id=id_,
            submission_id=submission.id,
            account_id=submission.account_id,
            rendition_id=rendition_id,
            lane=submission.lane,
            recipient=recipient.address,
            # Ours only: nothing may come back for it (RFC 5321 section 4.5.5).
            return_path=return_path_of(id_) if submission.sender else "",
            kind=recipient.kind,
        )


def _detail(draft: Draft, deliveries: int, identities: Sequence[SigningIdentity]) -> dict[str, Any]:
    """The detail for the timeline; the Message-ID is that of the first copy."""
    keys = dict.fromkeys([key for identity in identities for key in identity.keys])
    detail: dict[str, Any] = {
        "profile": draft.request.profile.name,
        "deliveries": deliveries,
        "message_id": next((c.header.first("Message-ID") for c in draft.copies), None),
        "signed": [f"{key.selector}._domainkey.{key.domain}" for key in keys],
    }
    notes = dict.fromkeys([identity.note for identity in identities if identity.note])
    return {**detail, "note": "; ".join(notes)} if notes else detail


def unsigned(plan: Plan, now: datetime) -> Iterator[UnsignedRendition]:
    """The data to sign of each of its renditions; the body they share is hashed once."""
    shared: bytes | None = None
    for one in plan.renditions:
        fields: tuple[dkim.Unsigned, ...] = ()
        if one.keys and one.body is not None:
            fields = dkim.unsigned(one.header, dkim.body_hash(one.body), one.keys, now)
        elif one.keys:
            shared = shared or dkim.body_hash(plan.submission.body)
            fields = dkim.unsigned(one.header, shared, one.keys, now)
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
        )
        for submission_id, planned, fields in some
    ]
