"""What every API over HTTP shares: who calls, whether there is room, what becomes of a message."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from ingest.core import refusals
from ingest.core.admission import SessionFacts
from ingest.core.mime_maker import Making, made
from ingest.core.new_message import NewMessage, WrongValue
from ingest.core.options import Options
from ingest.core.own_headers import Unreadable, idempotency_key
from ingest.core.refusals import Refusal
from ingest.core.rules import Client, refusal_for
from ingest.core.sender_rules import check_sender
from ingest.http.callers import Callers
from ingest.http.http_request import HttpRequest
from ingest.http.intake_problems import no_room, of_refusal, of_wrong_value
from ingest.listeners import Listener
from ingest.message_intake import Admitted, Given, MessageIntake, Taken
from ingest.session_context import SessionContext
from posthouse.authentication.proofs import LoginProof
from posthouse.http.problem import AGAIN, Kind, Problem
from posthouse.mail.address import Address
from posthouse.profiles.choices import LineEndings
from posthouse.smtp.data import ChunkReader, Flaw

T = TypeVar("T")

_KEY = "Idempotency-Key"
_AT_ONCE = 131_072  # octets of a message
_JSON_OCTETS = 1_048_576  # of a body, beside those of the message in base64
# What costs as much as so many octets of text is read and made in a thread; an address as many.
_LARGE_OCTETS, ADDRESS_OCTETS = 65_536, 2_048


class HttpDoor:
    """The way in for messages of one HTTP listener."""

    def __init__(self, context: SessionContext, listener: Listener) -> None:
        self.context = context
        self.callers = Callers(context, listener.name)
        self._intake = MessageIntake(context, listener.name)
        self._cleans = listener.line_endings is LineEndings.CLEAN

    async def open_to(self, request: HttpRequest, proof: LoginProof | None = None) -> SessionFacts:
        """What the caller of *request* may do, if a message could be taken; raises Problem.

        *proof*: of who calls; None: what Authorization says is known to all APIs.
        """
        context = self.context
        if reply := context.store_backoff.reply(context.clock()):
            raise Problem(503, Kind.UNAVAILABLE, reply.text, code=reply.enhanced, fields=AGAIN)
        if proof is None:
            facts = await self.callers.facts(request)
        else:
            facts = await self.callers.proven(request, proof)
        if refusal := context.rates.refusal(facts):
            raise of_refusal(self._intake.notes.refusal(refusal, facts, request.client))
        if context.memory.is_full or not context.intake.has_room():
            self._intake.notes.refusal(refusals.NO_ROOM, facts, request.client)
            raise no_room()
        return facts

    def described(self, request: HttpRequest, message: NewMessage, options: Options) -> Given:
        """What is submitted of *message*; may run in a thread. Raises WrongValue."""
        self.check_number(message.recipients, "/to")
        token = self.context.new_id().hex
        sender = message.author.address
        making = Making(
            message_id=f"<{token}@{sender.ascii_domain}>",
            date=datetime.fromtimestamp(time.time(), UTC),
            token=self.context.new_id().hex,
        )
        return Given(
            [made(message, making)],
            sender.portable,
            message.recipients,
            message.needs_utf8,
            client_of(request),
            options=options,
            began=request.began,
            caller=caller_of(request),
        )

    def check_number(self, recipients: Sequence[str], pointer: str = "") -> None:
        """Raise WrongValue if a message has more than RCPT takes."""
        seen, limit = len(recipients), self.context.limits.recipients
        if seen > limit:
            raise WrongValue(pointer, f"{seen} recipients seen, at most {limit} are allowed")

    def cleaned(
        self, request: HttpRequest, facts: SessionFacts, content: bytes
    ) -> tuple[list[bytes], tuple[str, ...]]:
        """The pieces of a message that came whole, and what had to be cleaned; raises Problem.

        It may run in a thread.
        """
        cleans = self._cleans and facts.cleans_lines
        reader = ChunkReader(facts.max_message_octets, facts.line_limit, cleans=cleans)
        for at in range(0, len(content), _AT_ONCE):
            reader.feed(bytearray(content[at : at + _AT_ONCE]), _AT_ONCE)
        reader.finish()
        pieces = reader.result()
        if isinstance(pieces, Flaw):
            refusal = refusal_for(pieces, facts.max_message_octets)
            raise of_refusal(self._intake.notes.refusal(refusal, facts, request.client))
        return pieces, reader.cleaned

    async def submit(self, given: Given, facts: SessionFacts) -> Taken:
        """Commit a message, as by SMTP; raises Problem."""
        (taken,) = await self.keep((await self.admit(given, facts),), facts)
        return taken

    async def admit(self, given: Given, facts: SessionFacts) -> Admitted:
        """What is kept of a message, if the rules let it in; raises Problem."""
        admitted = self._refusal(given, facts) or await self._intake.admit(given, facts)
        if isinstance(admitted, Refusal):
            raise of_refusal(admitted)
        return admitted

    async def keep(self, admitted: Sequence[Admitted], facts: SessionFacts) -> Sequence[Taken]:
        """Commit messages, all or none; raises Problem."""
        taken = await self._intake.keep(admitted, facts)
        if isinstance(taken, Refusal):
            raise of_refusal(taken)
        return taken

    def _refusal(self, given: Given, facts: SessionFacts) -> Refusal | None:
        """What SMTP says to MAIL, RCPT and the final dot."""
        refusal = check_sender(Address.parse(given.sender) if given.sender else None, facts)
        if refusal is None and sum(map(len, given.content)) > facts.max_message_octets:
            refusal = refusals.too_big(facts.max_message_octets)
        if refusal is None:
            return None
        return self._intake.notes.refusal(refusal, facts, given.client.address)


def client_of(request: HttpRequest) -> Client:
    """What our Received field says about a client; it gives no name of its own."""
    return Client(request.client, "", request.tls)


def caller_of(request: HttpRequest) -> str:
    """The span of its client that *request* belongs to, as W3C writes it; "" without one."""
    return request.field("traceparent") or ""


def keyed(
    options: Options,
    request: HttpRequest,
    found: Any = None,
    more: str = "",
    default: str | None = None,
) -> Options:
    """*options* with the idempotency key of *request*, and *more* behind it; raises Problem.

    *found*: what has to be the same when it comes again; None: envelope and header. *default*: the
    key where the request names none.
    """
    key = request.field(_KEY.lower())
    if key is None:
        key = default
    if key is None:
        return options
    digest = b""
    if found is not None:
        same = msgspec.json.encode(found, order="sorted")
        digest = blake2b(same, digest_size=16).digest()
    try:
        idempotency_key(key and key + more, digest)
    except Unreadable as error:
        raise Problem(400, Kind.BAD_REQUEST, f"{_KEY}: {key[:80]!a} seen, {error}") from error
    return replace(options, key=key + more, digest=digest)


async def off_the_loop(cost: int, work: Callable[[], T]) -> T:
    """What *work* gives; in a thread where it costs much: see `cost_of`."""
    return await asyncio.to_thread(work) if cost > _LARGE_OCTETS else work()


def cost_of(octets: bytes) -> int:
    """How many octets of text cost as much as these to read."""
    return len(octets) + ADDRESS_OCTETS * octets.count(b"@")


def json_octets(message_octets: int) -> int:
    """How many octets of JSON may describe a message of so many."""
    return message_octets * 4 // 3 + _JSON_OCTETS


def checked(work: Callable[[], T], pointer: str = "") -> T:
    """What *work* gives; a wrong value is a problem of what stands at *pointer*."""
    try:
        return work()
    except WrongValue as error:
        raise of_wrong_value(error, pointer) from error
