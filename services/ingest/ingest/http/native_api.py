"""Our own API: messages as JSON or as they are, one or many (RULES C07)."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog

from ingest.core.admission import SessionFacts
from ingest.core.message_body import MessageBody, new_message, options_of
from ingest.core.options import NO_OPTIONS
from ingest.core.raw_envelope import RECIPIENTS, SENDER, raw_envelope
from ingest.core.request_json import as_kind, parsed
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
from ingest.http.http_request import HttpRequest, HttpRoute, only
from ingest.http.message_status import status_of
from ingest.http.native_bodies import (
    BATCH,
    CANCEL,
    CREATE,
    JSON,
    MOST_IN_BATCH,
    RAW,
    SHOW,
    BatchBody,
    BatchResult,
    BatchResults,
    CancelledBody,
    TakenBody,
)
from ingest.message_intake import Given
from posthouse.http.http_response import HttpResponse, json_response
from posthouse.http.problem import AGAIN, Kind, Problem, fault, problem_response
from posthouse.store import StoreUnavailable
from posthouse.store.timeline import Timeline

log = structlog.get_logger()

_ID = re.compile(r"[0-9a-f]{32}")


class Timelines(Protocol):
    """Tells what became of messages."""

    async def of_submission(self, submission_id: UUID) -> Timeline | None:
        """All that is known about it; raises StoreUnavailable."""


class Cancelling(Protocol):
    """Cancels messages that are scheduled."""

    async def cancel(self, submission_id: UUID, actor: str) -> bool:
        """Never send it; False when it is not scheduled, or its time has come.

        Raises StoreUnavailable.
        """


class NativeApi:
    """Handlers of our own API."""

    def __init__(self, door: HttpDoor, timelines: Timelines, schedule: Cancelling) -> None:
        self._door = door
        self._timelines = timelines
        self._schedule = schedule

    def routes(self) -> tuple[HttpRoute, ...]:
        """Where they are found."""
        return (
            HttpRoute("POST", "/v1/messages", self.create, problem_response, CREATE),
            HttpRoute("POST", "/v1/messages/batch", self.create_batch, problem_response, BATCH),
            HttpRoute("GET", "/v1/messages/{id}", self.show, problem_response, SHOW),
            HttpRoute("POST", "/v1/messages/{id}/cancel", self.cancel, problem_response, CANCEL),
        )

    async def create(self, request: HttpRequest) -> HttpResponse:
        """Take one message."""
        media_type = only(request, JSON, RAW)
        facts = await self._door.open_to(request)
        if media_type == RAW:
            octets = await request.body(facts.max_message_octets)
            work = partial(self._as_it_is, request, facts, octets)
        else:
            octets = await request.body(json_octets(facts.max_message_octets))
            work = partial(self._of_json, request, octets)
        told = (request.field(RECIPIENTS.lower()) or "").encode()
        given = await off_the_loop(cost_of(octets) + cost_of(told), work)
        del octets, work
        taken = await self._door.submit(given, facts)
        answer = TakenBody(taken.id, taken.is_repeated)
        return json_response(202, answer, ("location", f"/v1/messages/{taken.id}"))

    async def create_batch(self, request: HttpRequest) -> HttpResponse:
        """Take each of up to a thousand messages by itself."""
        only(request, JSON)
        facts = await self._door.open_to(request)
        keyed(NO_OPTIONS, request, more=f"/{MOST_IN_BATCH}")  # the longest one is a key
        octets = await request.body(json_octets(facts.max_message_octets))
        cost = cost_of(octets)
        batch = await off_the_loop(cost, partial(_batch, octets))
        del octets
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, found in enumerate(batch.messages):
                tasks.append(
                    group.create_task(self._one_of_many(request, facts, number, found, cost))
                )
                await asyncio.sleep(0)  # others have their turn between two of them
        return json_response(200, BatchResults([task.result() for task in tasks]))

    async def _one_of_many(
        self, request: HttpRequest, facts: SessionFacts, number: int, found: Any, cost: int
    ) -> BatchResult:
        """*cost*: of the batch, since all of it may be this one's."""
        work = partial(self._described, request, found, f"/messages/{number}", f"/{number}")
        try:
            given = await off_the_loop(cost, work)
            taken = await self._door.submit(given, facts)
        except Problem as problem:
            return BatchResult(**msgspec.structs.asdict(problem.body))
        except Exception:  # others, which may be committed, must not be given up with it
            log.exception("internal_fault", client=request.client)
            return BatchResult(**msgspec.structs.asdict(fault().body))
        return BatchResult(202, taken.id, taken.is_repeated)

    async def show(self, request: HttpRequest) -> HttpResponse:
        """Tell what became of a message."""
        return json_response(200, status_of(await self._own(request)))

    async def cancel(self, request: HttpRequest) -> HttpResponse:
        """See to it that a message that is scheduled is never sent."""
        found = await self._own(request)
        id_, actor = found.submission["id"], f"HTTP: {request.credential}"
        with _store_may_fail():
            if not await self._schedule.cancel(id_, actor):
                detail = "It is not scheduled, or its time has come"
                raise Problem(409, Kind.CONFLICT, detail)
        return json_response(200, CancelledBody(id_.hex))

    async def _own(self, request: HttpRequest) -> Timeline:
        """The message that the path names, if it is the caller's or its account's; raises Problem.

        What a user submits for a child of its account is the child's.
        """
        facts = await self._door.callers.facts(request)
        text = request.parts["id"]
        found = None
        if _ID.fullmatch(text):
            with _store_may_fail():
                found = await self._timelines.of_submission(UUID(text))
        if found is None or (
            facts.account_id != found.submission["account_id"]
            and facts.credential_id != found.submission["credential_id"]
        ):
            raise Problem(404, Kind.NOT_FOUND, f"This account has no message {text[:80]!a}")
        return found

    # What is given.

    def _of_json(self, request: HttpRequest, octets: bytes) -> Given:
        return self._described(request, checked(partial(parsed, octets)))

    def _described(
        self, request: HttpRequest, found: Any, pointer: str = "", of_key: str = ""
    ) -> Given:
        def given() -> Given:
            body = as_kind(found, MessageBody)
            options = keyed(options_of(body), request, found, of_key)
            return self._door.described(request, new_message(body), options)

        return checked(given, pointer)

    def _as_it_is(self, request: HttpRequest, facts: SessionFacts, content: bytes) -> Given:
        pieces, cleaned = self._door.cleaned(request, facts, content)
        told = _told(request, SENDER), _told(request, RECIPIENTS)
        envelope = checked(lambda: raw_envelope(pieces, facts.max_header_octets, *told))
        checked(lambda: self._door.check_number(envelope.recipients))
        return Given(
            pieces,
            envelope.sender,
            envelope.recipients,
            envelope.needs_utf8,
            client_of(request),
            options=keyed(NO_OPTIONS, request),
            cleaned=cleaned,
            began=request.began,
            caller=caller_of(request),
        )


def _told(request: HttpRequest, name: str) -> str | None:
    """The field *name* of the request, which is in UTF-8; raises Problem."""
    value = request.field(name.lower())
    try:
        return value and value.encode("latin-1").decode()
    except UnicodeDecodeError as error:
        raise Problem(422, Kind.INVALID, f"{name}: {value!a:.80} seen, UTF-8 is allowed") from error


@contextmanager
def _store_may_fail() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as error:
        detail = "The store does not answer, try again later"
        raise Problem(503, Kind.UNAVAILABLE, detail, fields=AGAIN) from error


def _batch(octets: bytes) -> BatchBody:
    return checked(lambda: as_kind(parsed(octets), BatchBody))
