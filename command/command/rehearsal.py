"""A message run through admission and preparation as they are: no socket, and no trace.

Deciding is pure (0003, 0027), so what is said here is what would happen.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import count
from typing import NamedTuple, TypeAlias
from uuid import UUID

from ingest.core.admission import Admission, Incoming, SessionFacts, first_decision
from ingest.core.domains_of_others import domains_to_ask
from ingest.core.message_head import head_and_body
from ingest.core.missing_author import with_author
from ingest.core.refusals import Refusal, line_too_long, too_big
from ingest.core.resubmission import known_again
from ingest.core.rules import Client, submission
from ingest.core.sender_rules import check_sender
from policy.core.decision import Decision, decide
from policy.core.draft import Draft, Rejection
from policy.core.facts import Facts
from policy.core.request import Request
from policy.core.steps import steps_for
from posthouse.mail.address import Address
from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.message import Header
from posthouse.mail.reply import escaped
from posthouse.mail.submission import Attributes, Submission


class Letter(NamedTuple):
    """A message with its envelope, as a client would give it."""

    content: bytes  # with CRLF line ends; of the body only the length of its lines decides
    sender: str  # "" for the null reverse-path
    recipients: tuple[str, ...]
    octets: int  # of the whole message
    dsn: DsnRequest | None = None
    smtputf8: bool = False  # its client asked for it

    @property
    def is_whole(self) -> bool:
        """Whether its body is there, too."""
        return len(self.content) == self.octets


class Verdict(NamedTuple):
    """What a rule or a step did."""

    name: str
    promise: str  # what it is for
    changes: tuple[str, ...]  # what it decided; none where it had nothing to say


@dataclass(frozen=True, slots=True)
class RehearsedAdmission:
    """What ingest would do."""

    verdicts: tuple[Verdict, ...]
    result: Submission | Refusal


@dataclass(frozen=True, slots=True)
class RehearsedPreparation:
    """What policy would do."""

    verdicts: tuple[Verdict, ...]
    result: Decision


Read: TypeAlias = tuple[Incoming, bytes]
"""A message as rules see it, and its body."""


def read_letter(letter: Letter, facts: SessionFacts, arrived_at: datetime) -> Read | Refusal:
    """The letter as rules see it; a refusal where the session would not come to them."""
    sender = Address.parse(letter.sender) if letter.sender else None
    if refusal := check_sender(sender, facts):
        return refusal
    if letter.octets > facts.max_message_octets:
        return too_big(facts.max_message_octets)
    longest = facts.line_limit
    if longest is not None and max(map(len, letter.content.split(b"\r\n"))) > longest:
        return line_too_long(longest)
    found = head_and_body([letter.content], facts.max_header_octets)
    if isinstance(found, Refusal):
        return found
    head, body = found
    head, notes = with_author(head, letter.sender, letter.recipients, facts)
    message = Incoming(
        head,
        letter.sender,
        letter.recipients,
        facts,
        arrived_at=arrived_at.timestamp(),
        notes=notes,
        dsn=letter.dsn,
        smtputf8=letter.smtputf8,
    )
    return message, body


def domains_of(read: Read) -> frozenset[str]:
    """The domains that another account may have verified: to be asked before it is admitted."""
    message, _ = read
    return domains_to_ask(message.head, message.sender, message.session)


def rehearse_admission(
    read: Read,
    id_: UUID,
    owned_elsewhere: Collection[str] = (),
    window: timedelta | None = None,
) -> RehearsedAdmission:
    """What each rule of the profile says, in order, up to the first refusal; *id_* names it.

    *window*: for how long a message counts as submitted again; None: its body is not known.
    """
    message, body = read
    message = message._replace(owned_elsewhere=owned_elsewhere)
    decided, verdicts = first_decision(message), list[Verdict]()
    for rule in message.session.rules:
        result = rule(message, decided)
        if isinstance(result, Refusal):
            verdicts.append(_verdict(rule, [f"refused: {result.reply}"]))
            return RehearsedAdmission(tuple(verdicts), result)
        verdicts.append(_verdict(rule, _decisions(decided, result)))
        decided = result
    if window is not None:
        decided = known_again(message, body, decided, window)
    client = Client("192.0.2.1", "client.example", "")
    accepted = submission(message, decided, body, client, id_)
    return RehearsedAdmission(tuple(verdicts), accepted)


def rehearse_preparation(request: Request, facts: Facts, now: datetime) -> RehearsedPreparation:
    """What each step of the profile does, in order, and what is decided in the end."""
    draft, verdicts = Draft.of(request), list[Verdict]()
    for step in steps_for(request.profile):
        result = step(draft, facts)
        if isinstance(result, Rejection):
            verdicts.append(_verdict(step, [f"rejected: {result.reason}"]))
            return RehearsedPreparation(tuple(verdicts), result)
        verdicts.append(_verdict(step, _edits(draft, result)))
        draft = result
    # The same names each time, so that two rehearsals of one message can be compared.
    names = (UUID(int=request.submission.id.int + n) for n in count(1))
    return RehearsedPreparation(tuple(verdicts), decide(request, facts, now, names))


def header_changes(before: Header, after: Header) -> Iterator[str]:
    """Each field that is gone, with "-" in front, and each that is new, with "+"."""
    old, new = list(before.fields), list(after.fields)
    for field in before.fields:
        if field in new:
            new.remove(field)
            old.remove(field)
    yield from (f"- {_shown(field.raw)}" for field in old)
    yield from (f"+ {_shown(field.raw)}" for field in new)


def _verdict(decider: object, changes: Sequence[str] | Iterator[str]) -> Verdict:
    name = getattr(decider, "__name__", None) or type(decider).__name__
    promise = (decider.__doc__ or "").partition("\n")[0]
    return Verdict(name, promise, tuple(changes))


def _decisions(before: Admission, after: Admission) -> Iterator[str]:
    if after is before:
        return
    for name in ("account_id", "lane", "recipients", "terms"):
        was, now = getattr(before, name), getattr(after, name)
        if was != now:
            yield f"{name.removesuffix('_id')}: {_in_words(was)} -> {_in_words(now)}"
    for each in fields(Attributes):
        was, now = getattr(before.attributes, each.name), getattr(after.attributes, each.name)
        if was != now:
            yield f"{each.name}: {_in_words(now)}"


def _in_words(value: object) -> str:
    match value:
        case tuple():
            return ", ".join(_in_words(each) for each in value) or "none"
        case dict():
            return ", ".join(f"{key}={_in_words(each)}" for key, each in value.items()) or "none"
        case _:
            return escaped(str(getattr(value, "label", value)))


def _edits(before: Draft, after: Draft) -> Iterator[str]:
    if after is before:
        return
    if len(after.copies) != len(before.copies):
        yield f"copies: {len(before.copies)} -> {len(after.copies)}"
    for number, copy in enumerate(after.copies):
        old = before.copies[min(number, len(before.copies) - 1)]
        yield from header_changes(old.header, copy.header)
        if copy.tracking and copy.tracking is not old.tracking:
            to = ", ".join([each.address for each in copy.recipients])
            body = copy.tracking.body
            pixel = " and a pixel" if body.has_pixel else ""
            yield f"links for {escaped(to)}: {len(body.targets)}{pixel}"
        if copy.is_unsubscribable and not old.is_unsubscribable:
            yield f"says how to unsubscribe: {escaped(copy.recipients[0].address)}"
        gone = [r.address for r in old.recipients if r not in copy.recipients]
        if gone and len(after.copies) == len(before.copies):
            yield f"left out: {', '.join(gone)}"
    if after.untracked != before.untracked:
        yield f"untracked: {escaped(after.untracked)}"
    if after.without_unsubscribe:
        yield f"no List-Unsubscribe: {after.without_unsubscribe}"


def _shown(raw: bytes) -> str:
    return escaped(raw.decode("utf-8", "replace").replace("\r\n", " ").rstrip())
