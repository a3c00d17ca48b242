"""From a submission and facts to deliveries: decided first, signed later and elsewhere."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias
from uuid import UUID

from policy.core import dkim
from policy.core.identity import Identity, Speaker, Unusable, speaker
from policy.core.steps import STEPS, Draft, Facts, Refusal, take
from posthouse.mail import return_path
from posthouse.mail.dkim_key import SigningKey
from posthouse.mail.message import Header
from posthouse.mail.submission import Delivery, Rendition, Submission
from posthouse.profiles import resolve


@dataclass(frozen=True, slots=True)
class Relay:
    """What is true of every message of this installation."""

    hostname: str
    identity: Identity  # the relay's own domain, for messages of domains without keys
    return_path_key: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """A submission with everything that was looked up for it."""

    submission: Submission
    header: Header
    domains: tuple[str, ...]  # it may speak for, first choice first: `identity.candidates`
    identities: Mapping[str, Identity | Unusable]  # those of them that the account owns
    suppressed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a submission, but for the signatures."""

    submission: Submission
    rendition_id: UUID
    header: Header
    keys: tuple[SigningKey, ...]
    deliveries: tuple[Delivery, ...]  # one per recipient; empty when all are suppressed
    suppressed: tuple[str, ...]
    detail: dict[str, Any]  # for the timeline


Decision: TypeAlias = Plan | Refusal | Unusable
Sign: TypeAlias = Callable[[Sequence[dkim.Unsigned]], Sequence[bytes]]
"""Makes a signature of each."""


def plan(job: Job, relay: Relay, now: datetime, ids: Iterator[UUID]) -> Decision:
    """Decide what to send to whom; *ids* gives the new rows their names.

    Raises UnknownProfile when this program is older than the message's profile.
    """
    submission = job.submission
    spoken = speaker(job.domains, job.identities, relay.identity)
    if isinstance(spoken, Unusable):
        return spoken
    facts = Facts(
        submission=submission,
        received_at=_received_at(submission.id),
        hostname=relay.hostname,
        domain=spoken.domain,
        suppressed=job.suppressed,
    )
    steps = STEPS[resolve(submission.profile).name]
    draft = take(steps, Draft(job.header, submission.recipients), facts)
    if isinstance(draft, Refusal):
        return draft

    rendition_id = next(ids)
    host, key, today = spoken.return_path_host, relay.return_path_key, now.date()
    return Plan(
        submission=submission,
        rendition_id=rendition_id,
        header=draft.header,
        keys=spoken.keys,
        deliveries=tuple(
            Delivery(
                id=id_,
                submission_id=submission.id,
                account_id=submission.account_id,
                rendition_id=rendition_id,
                lane=submission.lane,
                recipient=recipient,
                return_path=return_path.sign(id_, host, key, today),
            )
            for recipient, id_ in zip(draft.recipients, ids, strict=False)
        ),
        suppressed=draft.suppressed,
        detail=_detail(submission, draft, spoken),
    )


def _received_at(submission_id: UUID) -> datetime:
    """The second the submission came: a UUIDv7 begins with milliseconds since 1970 (RFC 9562)."""
    return _second((submission_id.int >> 80) // 1000)


@lru_cache(maxsize=64)  # one object for all that comes within a second: its texts are kept by it
def _second(since_1970: int) -> datetime:
    return datetime.fromtimestamp(since_1970, UTC)


def _detail(submission: Submission, draft: Draft, spoken: Speaker) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "profile": submission.profile,
        "deliveries": len(draft.recipients),
        "message_id": draft.header.first("Message-ID"),
        "signed": [f"{key.selector}._domainkey.{key.domain}" for key in spoken.keys],
    }
    return detail if spoken.note is None else {**detail, "note": spoken.note}


def renditions(plans: Sequence[Plan], now: datetime, sign: Sign) -> list[Rendition]:
    """The messages as recipients get them, all signed together."""
    unsigned = [dkim.unsigned(p.header, p.submission.body, p.keys, now) for p in plans]
    made = iter(sign([field for fields in unsigned for field in fields]))
    return [
        Rendition(
            plan.rendition_id,
            plan.submission.id,
            bytes(dkim.signed(plan.header, [(field, next(made)) for field in fields])),
        )
        for plan, fields in zip(plans, unsigned, strict=True)
    ]
