"""The page to unsubscribe: GET asks, only POST does it (RFC 8058), since scanners follow links."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from posthouse.mail.subscription import Subscription, UnsubscribeForm
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.tracking.token import TokenKey, UnsubscribeToken, read
from tracking.core.language import Language, preferred_language
from tracking.core.unsubscribe_choice import UnsubscribeChoice, choice_in
from tracking.core.unsubscribe_page import (
    CONTENT_SECURITY_POLICY,
    DeadEnd,
    page_of_dead_end,
    page_of_left,
    page_of_return,
    page_that_asks,
)

log = structlog.get_logger()

UNSUBSCRIBES = Counter(
    "posthouse_unsubscribes_total",
    "Requests to unsubscribe or to take that back, by their form (one click, the page) and the"
    " result: unsubscribed, resubscribed, nothing (it was so before), or why not (wrong, gone,"
    " later, bound)",
    ["form", "result"],
)

_MOST_OCTETS = 8_192  # of a form
_MOST_SECONDS = 10.0  # to send it
_STATUS = {DeadEnd.WRONG: 404, DeadEnd.GONE: 410, DeadEnd.LATER: 503, DeadEnd.BOUND: 409}
_FIELDS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
_TRY_AGAIN = {"Retry-After": "60"}


class Subscriptions(Protocol):
    """What is asked of the store; each method raises StoreUnavailable or StoreRefused."""

    async def find(self, delivery_id: UUID) -> Subscription | None:
        """The subscription that a delivery is about; None once nothing is known of it."""

    async def unsubscribe(
        self, one: Subscription, by: UnsubscribeForm, *, scopes: Sequence[str] | None = None
    ) -> bool:
        """Put the recipient on the list, for *scopes* in place of its own; False if it was."""

    async def resubscribe(self, one: Subscription) -> bool:
        """Take back what this delivery did; False if that cannot be done any more."""


class Unsubscribing:
    """Answers under /u/TOKEN."""

    def __init__(
        self,
        subscriptions: Subscriptions,
        keys: Sequence[TokenKey],
        deadline: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        """*deadline* bounds each wait for the store, by StoreUnavailable."""
        self._subscriptions = subscriptions
        self._keys = keys
        self._deadline = deadline

    def routes(self) -> Sequence[BaseRoute]:
        """For the application."""
        return (
            Route("/u/{token}", self._show, methods=["GET"]),
            Route("/u/{token}", self._change, methods=["POST"]),
        )

    async def _show(self, request: Request) -> Response:
        language = _language(request)
        found = await self._found(request)
        if isinstance(found, DeadEnd):
            return _dead_end(found, language)
        page = page_of_left if found.is_left else page_that_asks
        return _page(200, page(found, language), language)

    async def _change(self, request: Request) -> Response:
        language = _language(request)
        choice = await _choice(request)
        found = await self._found(request)
        form = _form(choice)
        if isinstance(found, DeadEnd):
            UNSUBSCRIBES.labels(form, found).inc()
            return _answer_of(choice, _dead_end(found, language))
        if choice is None:
            return _page(400, page_that_asks(found, language), language)
        try:
            return _answer_of(choice, await self._done(found, choice, language))
        except (StoreUnavailable, StoreRefused) as error:
            log.warning("unsubscribe_failed", delivery=found.delivery_id.hex, reason=str(error))
            UNSUBSCRIBES.labels(form, DeadEnd.LATER).inc()
            return _answer_of(choice, _dead_end(DeadEnd.LATER, language))

    async def _found(self, request: Request) -> Subscription | DeadEnd:
        token = read(request.path_params["token"], self._keys)
        if not isinstance(token, UnsubscribeToken):
            return DeadEnd.WRONG
        try:
            async with self._deadline():
                found = await self._subscriptions.find(token.delivery_id)
        except (StoreUnavailable, StoreRefused) as error:
            log.warning("unsubscribe_failed", delivery=token.delivery_id.hex, reason=str(error))
            return DeadEnd.LATER
        return found or DeadEnd.GONE

    async def _done(
        self, one: Subscription, choice: UnsubscribeChoice, language: Language
    ) -> Response:
        """Do what was chosen, and show what is so now."""
        form = _form(choice)
        if choice is UnsubscribeChoice.RETURN:
            async with self._deadline():
                is_changed = await self._subscriptions.resubscribe(one)
            result = "resubscribed" if is_changed else "bound"
            _tell(one, form, result)
            if not is_changed and one.is_left:
                return _dead_end(DeadEnd.BOUND, language)
            return _page(200, page_of_return(one, language), language)
        scopes = ("",) if choice is UnsubscribeChoice.LEAVE_EVERYTHING else None
        async with self._deadline():
            is_changed = await self._subscriptions.unsubscribe(one, form, scopes=scopes)
            now = await self._subscriptions.find(one.delivery_id)
        _tell(one, form, "unsubscribed" if is_changed else "nothing")
        return _page(200, page_of_left(now or one, language), language)


def _tell(one: Subscription, form: UnsubscribeForm, result: str) -> None:
    UNSUBSCRIBES.labels(form, result).inc()
    log.info(
        "subscription_changed" if result.endswith("subscribed") else "subscription_kept",
        result=result,
        form=str(form),
        account=one.account_id.hex,
        submission=one.submission_id.hex,
        delivery=one.delivery_id.hex,
    )


def _form(choice: UnsubscribeChoice | None) -> UnsubscribeForm:
    is_program = choice is UnsubscribeChoice.ONE_CLICK
    return UnsubscribeForm.ONE_CLICK if is_program else UnsubscribeForm.PAGE


async def _choice(request: Request) -> UnsubscribeChoice | None:
    body = b""
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > _MOST_OCTETS:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return choice_in(request.headers.get("content-type", ""), body)


def _language(request: Request) -> Language:
    return preferred_language(request.headers.get("accept-language", ""))


def _page(status: int, text: str, language: Language) -> Response:
    fields = {**_FIELDS, "Content-Language": language.value}
    return Response(text, status, fields, media_type="text/html")


def _dead_end(why: DeadEnd, language: Language) -> Response:
    answer = _page(_STATUS[why], page_of_dead_end(why, language), language)
    if why is DeadEnd.LATER:
        answer.headers.update(_TRY_AGAIN)
    return answer


def _answer_of(choice: UnsubscribeChoice | None, page: Response) -> Response:
    """*page*; a program, which reads none, gets a word in its place."""
    if choice is not UnsubscribeChoice.ONE_CLICK:
        return page
    word = "Unsubscribed\n" if page.status_code == 200 else "Not unsubscribed\n"  # noqa: PLR2004
    again = _TRY_AGAIN if "Retry-After" in page.headers else {}
    return Response(word, page.status_code, {**_FIELDS, **again}, media_type="text/plain")
