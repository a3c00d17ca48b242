"""What becomes of a complete message, whichever way it came in: it is admitted, and kept."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, assert_never

import structlog

from ingest.accepted_trace import trace_accepted
from ingest.core import refusals
from ingest.core.admission import Admission, Incoming, SessionFacts, admit
from ingest.core.domains_of_others import domains_to_ask
from ingest.core.message_head import has_slow_header, head_and_body
from ingest.core.missing_author import with_author
from ingest.core.options import NO_OPTIONS, Options
from ingest.core.refusals import Refusal
from ingest.core.resubmission import known_again
from ingest.core.rules import Client, submission
from ingest.intake_notes import IntakeNotes
from ingest.session_context import SessionContext
from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.submission import Submission
from posthouse.mail.terms import (
    Acceptance,
    AcceptedBefore,
    Committed,
    KeyTaken,
    Resubmission,
    SandboxUsedUp,
)
from posthouse.store import StoreFull, StoreUnavailable

log = structlog.get_logger()

# A message up to this size is read on the event loop, in half a millisecond.
_READ_AT_ONCE = 524_288


class Given(NamedTuple):
    """A complete message, with its envelope."""

    content: list[bytes]  # in pieces; emptied as soon as the message is admitted
    sender: str
    recipients: tuple[str, ...]  # each once
    smtputf8: bool
    client: Client
    dsn: DsnRequest | None = None  # the parameters of RFC 3461
    options: Options = NO_OPTIONS
    cleaned: tuple[str, ...] = ()  # what had to be, see `posthouse.mail.line_ends`
    began: float = 0.0  # when it began to come in, as `time.perf_counter` reads
    caller: str = ""  # the `traceparent` of its request


class Admitted(NamedTuple):
    """A message that the rules of its profile let in."""

    message: Submission
    given: Given  # without its content


class Taken(NamedTuple):
    """A message that is committed."""

    id: str  # what its client hears
    is_repeated: bool = False  # it was committed before, under the same key


class MessageIntake:
    """Admits and keeps the messages of one listener, and tells of each in metrics and the log."""

    def __init__(self, context: SessionContext, listener: str) -> None:
        """*listener*: its label in metrics."""
        self._context = context
        self.notes = IntakeNotes(context, listener)

    async def take(self, given: Given, facts: SessionFacts) -> Taken | Refusal:
        """Commit a message by the rules of *facts*; a refusal has been told of already."""
        admitted = await self.admit(given, facts)
        if isinstance(admitted, Refusal):
            return admitted
        kept = await self.keep((admitted,), facts)
        return kept if isinstance(kept, Refusal) else kept[0]

    async def admit(self, given: Given, facts: SessionFacts) -> Admitted | Refusal:
        """*given*, if the rules of *facts* let it in; a refusal has been told of already."""
        client = given.client.address
        try:
            found = await self._admitted(given, facts)
        except StoreUnavailable as error:
            return self.notes.failure(refusals.FAULT, error, client)
        given.content.clear()  # while it is committed, a message is in memory once
        if isinstance(found, Refusal):
            return self.notes.refusal(found, facts, client)
        return Admitted(found, given)

    async def _admitted(self, given: Given, facts: SessionFacts) -> Submission | Refusal:
        thread = self._context.header_thread if has_slow_header(given.content) else None
        account = facts.account_id
        found = await thread.run(account, _read, given, facts) if thread else _read(given, facts)
        if isinstance(found, Refusal):
            return found
        incoming, domains, body = found
        if domains:
            others = await self._context.domain_owners.owned_elsewhere(facts.account_id, domains)
            incoming = incoming._replace(owned_elsewhere=others)
        decided = await thread.run(account, admit, incoming) if thread else admit(incoming)
        if isinstance(decided, Refusal):
            return decided
        if facts.resubmission is not Resubmission.OFF:
            decided = await self._known_again(incoming, body, decided)
        id_ = self._context.new_id()
        return submission(incoming, decided, body, given.client, id_)

    async def _known_again(self, message: Incoming, body: bytes, decided: Admission) -> Admission:
        arguments = (message, body, decided, self._context.operator.resubmission_window)
        if len(body) <= _READ_AT_ONCE:
            return known_again(*arguments)
        return await asyncio.to_thread(known_again, *arguments)

    async def keep(
        self, admitted: Sequence[Admitted], facts: SessionFacts
    ) -> Sequence[Taken] | Refusal:
        """Commit them, all or none; a refusal has been told of already."""
        messages: Sequence[Submission] = [one.message for one in admitted]
        client = messages[0].client
        try:
            if facts.is_limited:
                counted = await self._context.rates.count(messages, facts)
                if isinstance(counted, Refusal):
                    return self.notes.refusal(counted, facts, client)
                messages = counted
            if len(messages) == 1:
                acceptances: Sequence[Acceptance] = (
                    await self._context.intake.accept(messages[0]),
                )
            else:
                acceptances = await self._context.intake.accept_together(messages)
        except StoreFull as error:
            return self.notes.failure(refusals.FULL, error, client)
        except StoreUnavailable as error:
            return self.notes.failure(refusals.FAULT, error, client)
        self._context.store_backoff.succeeded()
        taken = []
        for (_, given), message, acceptance in zip(admitted, messages, acceptances, strict=True):
            outcome = self._outcome(message, acceptance, facts, given)
            if isinstance(outcome, Refusal):  # then it is that of all
                return outcome
            taken.append(outcome)
        return taken

    def _outcome(
        self,
        message: Submission,
        acceptance: Acceptance,
        facts: SessionFacts,
        given: Given,
    ) -> Taken | Refusal:
        match acceptance:
            case Committed(first=first):
                self.notes.accepted(message, facts, given.cleaned)
                if (traces := self._context.traces) is not None and traces.takes(message.id):
                    trace_accepted(traces, message, given.began, given.caller)
                if first is not None:
                    self.notes.repeated(message, first, facts)
                return Taken(message.id.hex)
            case AcceptedBefore(first):
                self.notes.repeated(message, first, facts)
                return Taken(first.hex, is_repeated=True)
            case KeyTaken(first):
                return self.notes.refusal(refusals.key_taken(first), facts, message.client)
            case SandboxUsedUp(limit):
                return self.notes.refusal(refusals.sandbox_used_up(limit), facts, message.client)
            case _:
                assert_never(acceptance)


_Read: TypeAlias = tuple[Incoming, frozenset[str], bytes]
"""A message, domains of it that may be those of others, and its body."""


def _read(given: Given, facts: SessionFacts) -> _Read | Refusal:
    found = head_and_body(given.content, facts.max_header_octets)
    if isinstance(found, Refusal):
        return found
    head, body = found
    head, notes = with_author(head, given.sender, given.recipients, facts)
    if given.cleaned:
        notes = (f"line ends were cleaned: {', '.join(given.cleaned)}", *notes)
    incoming = Incoming(
        head,
        given.sender,
        given.recipients,
        facts,
        arrived_at=time.time(),
        dsn=given.dsn,
        options=given.options,
        smtputf8=given.smtputf8,
        notes=notes,
    )
    return incoming, domains_to_ask(head, given.sender, facts), body
