"""What became of a message in a rehearsal, and how two of them differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from command.rehearsal import RehearsedAdmission, RehearsedPreparation, header_changes
from command.timeline_text import tracked_text
from ingest.core.refusals import Refusal
from policy.core.decision import Plan
from posthouse.mail.message import Header
from posthouse.mail.submission import RecipientKind


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client and its recipients would see."""

    result: str  # a reply, or why it is quarantined
    lane: str = ""
    recipients: Mapping[str, str] | None = (
        None  # by address: the kind of copy, or why there is none
    )
    headers: tuple[Header, ...] = ()  # of each copy
    tags: tuple[str, ...] = ()
    stream: str = ""
    signed: tuple[str, ...] = ()
    tracked: str = ""


def outcome_of(admitted: RehearsedAdmission, prepared: RehearsedPreparation | None) -> Outcome:
    """The outcome of a rehearsal."""
    if isinstance(admitted.result, Refusal):
        return Outcome(f"refused: {admitted.result.reply}")
    assert prepared is not None
    accepted, decision = admitted.result, prepared.result
    if not isinstance(decision, Plan):
        return Outcome(f"quarantined: {decision.reason}", accepted.lane.label)
    attributes = accepted.attributes
    copies = dict.fromkeys(accepted.recipients, "suppressed")
    copies |= {d.recipient: str(d.kind or RecipientKind.TO) for d in decision.deliveries}
    copies |= {address: f"discarded by {rule}" for address, rule in attributes.discarded}
    return Outcome(
        "accepted",
        accepted.lane.label,
        copies,
        tuple(one.header for one in decision.renditions),
        attributes.tags,
        attributes.stream,
        tuple(decision.detail["signed"]),
        tracked_text(decision.detail).removeprefix(", "),
    )


def differences(before: Outcome, after: Outcome) -> Iterator[str]:
    """A line for each difference."""
    for name in ("result", "lane", "tags", "stream", "signed", "tracked"):
        was, now = getattr(before, name), getattr(after, name)
        if was != now:
            yield f"{name}: {_text(was)} -> {_text(now)}"
    if before.recipients is None or after.recipients is None:
        return
    for address in dict.fromkeys((*before.recipients, *after.recipients)):
        was, now = before.recipients.get(address, "none"), after.recipients.get(address, "none")
        if was != now:
            yield f"recipient {address}: {was} -> {now}"
    if len(before.headers) != len(after.headers):
        yield f"copies: {len(before.headers)} -> {len(after.headers)}"
    for old, new in zip(before.headers, after.headers, strict=False):
        yield from header_changes(old, new)


def _text(value: object) -> str:
    return ", ".join(value) or "none" if isinstance(value, tuple) else str(value) or "none"
