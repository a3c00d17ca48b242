"""Checks of the demo's claims against the records of the sink and the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dkim

from demo.application import Accepted
from posthouse.mail.lane import Lane

# With fewer bulk messages waiting, going before most of them shows nothing.
_LEAST_WAITING = 10
_SIGNED = "DKIM signatures verify with the public keys"
_ALGORITHMS = ("rsa-sha256", "ed25519-sha256")


@dataclass(frozen=True, slots=True)
class Check:
    """A claim, whether it holds, and what was seen."""

    claim: str
    holds: bool
    seen: str


def signatures(message: bytes, published: Mapping[str, str]) -> Check:
    """Both DKIM signatures of *message* verify with the *published* records, by name."""

    def txt(name: bytes, timeout: int = 0) -> bytes | None:
        del timeout
        record = published.get(name.decode().rstrip("."))
        return None if record is None else record.encode()

    found: list[str] = []
    for index in range(len(_ALGORITHMS)):
        verifier = dkim.DKIM(message)
        try:
            valid = verifier.verify(idx=index, dnsfunc=txt)
        except (dkim.DKIMException, IndexError) as error:
            return Check(_SIGNED, holds=False, seen=str(error))
        if valid:
            found.append(verifier.signature_fields[b"a"].decode())
    return Check(
        _SIGNED,
        holds=sorted(found) == sorted(_ALGORITHMS),
        seen=" and ".join(found) or "no valid signature",
    )


def overtaking(
    bulk: Sequence[Accepted], urgent: Sequence[Accepted], started: Mapping[str, float]
) -> Check:
    """Messages of high lanes went before most of the bulk that waited when they were accepted.

    Not before all of it: bulk goes on until policy has prepared the message, and a busy machine
    takes its time for that. *started*: by recipient, when its transaction began at the sink.
    """
    claim = "The high lanes overtook the bulk lane"
    wanted = [m for m in urgent if m.parcel.lane <= Lane.HIGH]
    missing = [m for m in (*bulk, *wanted) if m.parcel.recipients[0] not in started]
    if missing:
        return Check(claim, holds=False, seen=f"{len(missing)} messages never came")
    bulk_starts = [started[m.parcel.recipients[0]] for m in bulk]
    holds, least, slowest = True, 1.0, 0.0
    for message in wanted:
        start = started[message.parcel.recipients[0]]
        waiting = sum(at > message.at for at in bulk_starts)
        overtaken = sum(at > max(start, message.at) for at in bulk_starts)
        holds &= waiting >= _LEAST_WAITING and 2 * overtaken >= waiting
        least = min(least, overtaken / max(waiting, 1))
        slowest = max(slowest, start - message.at)
    return Check(
        claim,
        holds=holds,
        seen=(
            f"each of {len(wanted)} went before at least {least:.0%} of the bulk messages that "
            f"waited when it was accepted, the slowest {slowest * 1000:.0f} ms after its 250"
        ),
    )


def kinds(timeline: Mapping[str, Any], kind: str) -> frozenset[str]:
    """The recipients for whom *timeline* has an event of *kind*."""
    recipients = {d["id"]: d["recipient"] for d in timeline["deliveries"]}
    return frozenset(
        recipients.get(event["delivery_id"]) or (event["detail"] or {}).get("recipient", "")
        for event in timeline["events"]
        if event["kind"] == kind
    )


def is_finished(timeline: Mapping[str, Any]) -> bool:
    """Whether policy has decided and no delivery waits any more."""
    decided = any(event["kind"] in ("prepared", "quarantined") for event in timeline["events"])
    return decided and all(d["due_at"] is None for d in timeline["deliveries"])


def same_recipients(claim: str, expected: frozenset[str], seen: frozenset[str]) -> Check:
    """*claim* holds for exactly the *expected* recipients."""
    return Check(claim, holds=expected == seen, seen=", ".join(sorted(seen)) or "none")
