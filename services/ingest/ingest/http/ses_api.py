"""SendEmail of Amazon SES, version 2: programs that send by it need another base URL only."""

import re
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec

from ingest.core.admission import SessionFacts
from ingest.core.message_values import from_base64
from ingest.core.new_message import WrongValue
from ingest.core.options import Options
from ingest.core.request_json import as_kind, parsed
from ingest.core.ses_bodies import SendEmailBody, SesContent, SesSimple
from ingest.core.ses_message import (
    check_refused,
    feedback_of,
    options_of,
    placed,
    raw_message,
    simple_message,
)
from ingest.http.door import (
    HttpDoor,
    caller_of,
    checked,
    client_of,
    cost_of,
    json_octets,
    keyed,
    off_the_loop,
)
from ingest.http.http_request import HttpRequest, HttpRoute
from ingest.http.ses_errors import REQUEST_ID, NamedProblem, SesError, ses_response
from ingest.message_intake import Given
from posthouse.authentication.aws_signature import NoSignature, Signature, Target, signature_of
from posthouse.http.api_description import About
from posthouse.http.http_response import HttpResponse, json_response
from posthouse.http.problem import Kind, Problem

# All tries of a call of Amazon's libraries have the same one; the second is PHP's.
_INVOCATIONS = ("amz-sdk-invocation-id", "aws-sdk-invocation-id")
_INVOCATION_ID = re.compile(r"(?:-?[0-9A-Fa-f]){32}")

_UNLIMITED = -1.0
_ANY_RATE = 1_000_000.0  # messages a second: for this, -1 is no number


class SesSent(msgspec.Struct, frozen=True, rename="pascal"):
    """A message that is committed."""

    message_id: str


class SesQuota(msgspec.Struct, frozen=True):
    """How much may be sent; limits of users and accounts are told when they are reached."""

    Max24HourSend: float = _UNLIMITED
    MaxSendRate: float = _ANY_RATE
    SentLast24Hours: float = 0.0  # it is not counted


class SesAccount(msgspec.Struct, frozen=True, rename="pascal"):
    """What programs ask before they send, so as not to send too fast."""

    send_quota: SesQuota = SesQuota()
    sending_enabled: bool = True
    production_access_enabled: bool = True


_PROBLEM = ("application/json", SesError)
_SEND = About(
    "As SendEmail of Amazon SES, version 2.",
    ((200, "Committed.", SesSent),),
    (("application/json", SendEmailBody),),
    takes_key=True,
    problem=_PROBLEM,
    signed=True,
)
_ACCOUNT = About(
    "As GetAccount of Amazon SES, version 2, as far as programs ask for it.",
    ((200, "There are no limits but those of user and account.", SesAccount),),
    problem=_PROBLEM,
    signed=True,
)


class _Asked(NamedTuple):
    """A body that was read."""

    found: Any  # all that has to be the same when it comes again; None: see `keyed`
    body: SendEmailBody
    raw: bytes  # the message as it is; b"" where it is described


class SesApi:
    """Handlers of what programs for Amazon SES call."""

    def __init__(self, door: HttpDoor) -> None:
        self._door = door

    def routes(self) -> tuple[HttpRoute, ...]:
        """Where they are found."""
        send, account = "/v2/email/outbound-emails", "/v2/email/account"
        return (
            HttpRoute("POST", send, self.send_email, ses_response, _SEND),
            HttpRoute("GET", account, self.get_account, ses_response, _ACCOUNT),
            # Whatever else is called is answered in the same form.
            HttpRoute("GET", "/v2/email/{operation}", _unknown, ses_response),
            HttpRoute("GET", "/v2/email/{operation}/{name}", _unknown, ses_response),
        )

    async def send_email(self, request: HttpRequest) -> HttpResponse:
        """Take one message."""
        limit = json_octets(self._door.context.limits.message_octets)
        facts, octets = await self._opened(request, limit)
        cost = cost_of(octets)
        asked = await off_the_loop(cost, partial(checked, partial(_asked, octets)))
        del octets
        work = partial(self._given, request, facts, asked)
        given = await off_the_loop(cost + cost_of(asked.raw), partial(checked, work))
        del asked, work
        _check_stream(given.options, facts)
        taken = await self._door.submit(given, facts)
        return _answer(SesSent(taken.id))

    async def get_account(self, request: HttpRequest) -> HttpResponse:
        """Say that the caller may send."""
        await self._opened(request, limit=0)
        return _answer(SesAccount())

    async def _opened(self, request: HttpRequest, limit: int) -> tuple[SessionFacts, bytes]:
        """What the one may do who signed *request*, and its body of so many octets at most.

        A request that tells the SHA-256 of its body proves its caller before the body is read.
        Others do not: until then their bodies count as those of nobody (`HttpRequest.belongs_to`),
        unless their user was here from there. Raises Problem.
        """
        door, head = self._door, request.head
        target = Target(head.method, head.path, head.query, head.fields)
        signature = _signature(target)
        octets = b""
        if not signature.payload:
            if door.context.authenticator.knows(signature.username, request.client):
                request.belongs_to(signature.username)
            octets = await request.body(limit)
        payload = signature.payload or await _digest(octets)
        facts = await door.open_to(request, signature.proof(target, payload))
        if signature.payload:
            octets = await request.body(limit)
            if payload != await _digest(octets):
                text = "The body has another SHA-256 than X-Amz-Content-Sha256 says"
                raise NamedProblem("InvalidSignatureException", 403, text)
        return facts, octets

    def _given(self, request: HttpRequest, facts: SessionFacts, asked: _Asked) -> Given:
        body = asked.body
        if body.content.simple is not None:
            return self._described(request, asked, body.content.simple)
        pieces, cleaned = self._door.cleaned(request, facts, asked.raw)
        said = raw_message(body, pieces, facts.max_header_octets)
        self._door.check_number(said.recipients, "/Destination")
        return Given(
            [said.missing + piece for piece in pieces[:1]] + pieces[1:],
            said.sender,
            said.recipients,
            said.needs_utf8,
            client_of(request),
            options=keyed(said.options, request, default=_invocation(request)),
            cleaned=cleaned,
            began=request.began,
            caller=caller_of(request),
        )

    def _described(self, request: HttpRequest, asked: _Asked, simple: SesSimple) -> Given:
        body = asked.body
        options = keyed(options_of(body), request, asked.found, default=_invocation(request))
        message, feedback = simple_message(body, simple), feedback_of(body)
        try:
            given = self._door.described(request, message, options)
        except WrongValue as error:
            raise placed(error) from error
        if feedback is None:
            return given
        sender = feedback.address.portable
        return given._replace(sender=sender, smtputf8=given.smtputf8 or not sender.isascii())


async def _unknown(request: HttpRequest) -> HttpResponse:
    path = request.head.path
    raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, Kind.BAD_REQUEST, f"No operation at {path!a:.80}")


def _asked(octets: bytes) -> _Asked:
    found = parsed(octets)
    body = as_kind(found, SendEmailBody)
    check_refused(body)
    raw = body.content.raw
    if raw is None:
        return _Asked(found, body, b"")
    content = from_base64(raw.data, "/Content/Raw/Data")
    # It is in memory once from here on.
    return _Asked(None, msgspec.structs.replace(body, content=SesContent()), content)


def _signature(target: Target) -> Signature:
    try:
        return signature_of(target, datetime.now(UTC))
    except NoSignature as error:
        raise NamedProblem(error.name, 403, str(error)) from error


async def _digest(octets: bytes) -> str:
    digest = await off_the_loop(len(octets), partial(sha256, octets))
    return digest.hexdigest()


def _check_stream(options: Options, facts: SessionFacts) -> None:
    name = options.stream
    if name and name not in facts.streams and name.lower() not in facts.streams:
        text = f"Configuration set {name[:80]!a} seen: it is no stream of this account"
        raise NamedProblem("NotFoundException", 404, text)


def _invocation(request: HttpRequest) -> str | None:
    for found in map(request.field, _INVOCATIONS):
        if found and _INVOCATION_ID.fullmatch(found):
            return f"aws-sdk:{found}"
    return None


def _answer(value: Any) -> HttpResponse:
    return json_response(200, value, (REQUEST_ID, str(uuid4())))
