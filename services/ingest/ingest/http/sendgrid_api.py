"""SendGrid's POST /v3/mail/send: a change of the base URL is enough (docs/integrations)."""

import asyncio
import time
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec

from ingest.core.admission import SessionFacts
from ingest.core.new_message import WrongValue
from ingest.core.options import NO_OPTIONS, Options
from ingest.core.request_json import parsed
from ingest.core.sendgrid_body import MailSendBody
from ingest.core.sendgrid_mail import MailSend
from ingest.http.door import (
    ADDRESS_OCTETS,
    HttpDoor,
    checked,
    cost_of,
    json_octets,
    keyed,
    off_the_loop,
)
from ingest.http.http_request import HttpRequest, HttpRoute, only
from ingest.http.intake_problems import no_room
from ingest.message_intake import Admitted, Given
from posthouse.http.api_description import About
from posthouse.http.http_response import HttpResponse
from posthouse.http.problem import Kind, Problem

_JSON: Final = "application/json"
_SUBUSER = "On-Behalf-Of"


class SendGridError(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    message: str
    field: str | None  # in the request, with a dot between its names and numbers
    help: str | None  # where this kind of error is explained


class SendGridErrors(msgspec.Struct, frozen=True):
    """Why a request was not carried out."""

    errors: list[SendGridError]


_SEND = About(
    "Send messages as SendGrid's API does: one for each personalization, all or none.",
    (
        (202, "All are accepted; `X-Message-Id` is the id of the first.", None),
        (200, "They would be accepted: mail_settings.sandbox_mode is on.", None),
    ),
    ((_JSON, MailSendBody),),
    takes_key=True,
    problem=(_JSON, SendGridErrors),
)


class SendGridApi:
    """Its handlers."""

    def __init__(self, door: HttpDoor) -> None:
        self._door = door

    def routes(self) -> tuple[HttpRoute, ...]:
        """Where they are found."""
        return (HttpRoute("POST", "/v3/mail/send", self.send, error_response, _SEND),)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Take the messages of all personalizations, or none of them."""
        _check_fields(request)
        facts = await self._door.open_to(request)
        octets = await request.body(json_octets(facts.max_message_octets))
        read = partial(_read, request, octets, facts.max_message_octets)
        mail, key = await off_the_loop(cost_of(octets), partial(checked, read))
        of_request = size = 2 * len(octets)
        del octets, read
        admitted: list[Admitted] = []
        for number in range(mail.count):
            if number:
                await asyncio.sleep(0)  # others have their turn between two of them
            described = partial(self._described, request, mail, number, key)
            given = await off_the_loop(mail.cost(number, ADDRESS_OCTETS), described)
            admitted.append(await self._admitted(given, facts, mail, number))
            size += admitted[-1].message.size
            if number or size > 2 * of_request:  # one that is no larger is counted already
                self._make_room(request, size, number)
        if mail.is_rehearsal:
            return _empty(200)
        taken = await self._door.keep(admitted, facts)
        return _empty(202, ("X-Message-Id", taken[0].id))

    def _described(self, request: HttpRequest, mail: MailSend, number: int, key: Options) -> Given:
        options = checked(partial(mail.options, number))
        if key.key:
            text = f"{key.key}/{number}" if number else key.key
            options = replace(options, key=text, digest=key.digest)
        message = checked(partial(mail.message, number))
        try:
            return self._door.described(request, message, options)
        except WrongValue as error:
            pointer = mail.located(number, error.pointer)
            raise Problem(400, Kind.INVALID, str(error), pointer=pointer) from error

    async def _admitted(
        self, given: Given, facts: SessionFacts, mail: MailSend, number: int
    ) -> Admitted:
        try:
            return await self._door.admit(given, facts)
        except Problem as problem:
            if problem.status == 403:  # noqa: PLR2004 -- the sender is not the account's
                problem.pointer = mail.located(number, "/from")
            elif mail.count > 1:
                problem.pointer = f"/personalizations/{number}"
            raise

    def _make_room(self, request: HttpRequest, size: int, number: int) -> None:
        """Count what is in memory behind that personalization; raises Problem if it is too much."""
        context = self._door.context
        limit = context.limits.octets_in_flight // 2
        if size > limit:
            detail = (
                f"{size} octets seen up to here, with the messages made for each personalization;"
                f" at most {limit} are allowed: send several requests"
            )
            pointer = f"/personalizations/{number}"
            raise Problem(413, Kind.TOO_LARGE, detail, pointer=pointer)
        request.count(size)
        if context.memory.is_full:
            raise no_room()


def _check_fields(request: HttpRequest) -> None:
    """Raise Problem for what the header of *request* asks for and nothing here carries out."""
    only(request, _JSON)
    if request.field(_SUBUSER.lower()):
        detail = f"{_SUBUSER} is not supported: call with a key of that account"
        raise Problem(400, Kind.BAD_REQUEST, detail)
    if coding := request.field("content-encoding"):
        detail = f"Content-Encoding {coding[:80]!a} seen, none is allowed"
        raise Problem(415, Kind.BAD_REQUEST, detail)


def _read(request: HttpRequest, octets: bytes, most_octets: int) -> tuple[MailSend, Options]:
    """What is asked for, and the idempotency key of the first message; may run in a thread."""
    found = parsed(octets)
    mail = MailSend(found, most_octets)
    if mail.count > 1:
        keyed(NO_OPTIONS, request, more=f"/{mail.count}")  # the longest one is a key
    return mail, keyed(NO_OPTIONS, request, found)


def _empty(status: int, *fields: tuple[str, str]) -> HttpResponse:
    return HttpResponse(status, b"", "text/plain; charset=utf-8", fields)


def error_response(problem: Problem) -> HttpResponse:
    """The answer that tells *problem* as SendGrid tells errors."""
    # What is wrong with the request is 400 there, wherever it stands.
    status = 400 if problem.status == 422 else problem.status  # noqa: PLR2004 -- as ours
    field = ".".join(
        part.replace("~1", "/").replace("~0", "~")
        for part in (problem.pointer or "").split("/")[1:]
    )
    error = SendGridError(problem.detail, field or None, problem.body.type)
    fields = problem.fields
    if problem.status == 429:  # noqa: PLR2004 -- too many
        seconds = int(dict(fields).get("retry-after", 0))
        reset = ("X-RateLimit-Reset", str(int(time.time()) + seconds))
        fields = (*fields, ("X-RateLimit-Remaining", "0"), reset)
    return HttpResponse(status, msgspec.json.encode(SendGridErrors([error])), _JSON, fields)
