"""A request as what answers it sees it: who calls, about which accounts, and with which words."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from console.key_callers import KeyCaller
from posthouse.http.api_description import About
from posthouse.http.http_response import HttpResponse
from posthouse.http.problem import Kind, Problem
from posthouse.mail.permission import Permission

T = TypeVar("T")

_MOST_OCTETS = 1_048_576  # of a body
_BODY_SECONDS = 30.0
_SHOWN = 80  # characters of a wrong value that are quoted back
_ID_DIGITS = 32


class Call(NamedTuple):
    """One request of a caller that has the permission."""

    caller: KeyCaller
    request: Request
    words: Mapping[str, str]  # of the query; those that the route knows
    lists: Mapping[str, Sequence[str]]  # likewise those that may be given several times
    accounts: Mapping[str, UUID]  # by name, those that it is about

    @property
    def account(self) -> tuple[str, UUID]:
        """The one account that it is about, where there can be one only: named, or its own."""
        if len(self.accounts) == 1:
            return next(iter(self.accounts.items()))
        own = self.caller.account_id
        return next((name, id_) for name, id_ in self.accounts.items() if id_ == own)

    def id(self, name: str, noun: str) -> UUID:
        """The id that stands in the path; raises Problem: what is none names nothing."""
        text = self.request.path_params[name]
        try:
            if len(text) == _ID_DIGITS:
                return UUID(text)
        except ValueError:
            pass
        raise self.nothing(name, noun)

    def nothing(self, name: str, noun: str) -> Problem:
        """The accounts have no *noun* of what the path names, or it is another account's."""
        seen = self.request.path_params[name][:_SHOWN]
        return Problem(404, Kind.NOT_FOUND, f"This account has no {noun} {seen!a}")

    def number(self, name: str, default: int, most: int) -> int:
        """A number from 1 to *most* in the query; raises Problem."""
        text = self.words.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= most:
            raise invalid(f"{name}: {text[:_SHOWN]!a} seen, 1 to {most} is allowed")
        return int(text)

    def wants(self, media_type: str) -> bool:
        """Whether the answer is to be that and not JSON: what Accept names first."""
        accepted = self.request.headers.get("accept", "").split(",")
        for one in accepted:
            found = one.partition(";")[0].strip().lower()
            if found in (media_type, "application/json", "*/*"):
                return found == media_type
        return False

    async def body(self, kind: type[T]) -> T:
        """The body, which is JSON of that kind; raises Problem."""
        media_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            seen = media_type[:_SHOWN] or "no Content-Type"
            raise Problem(
                415, Kind.BAD_REQUEST, f"{seen!a} seen, application/json is allowed",
                fields=(("accept-post", "application/json"),),
            )  # fmt: skip
        try:
            return msgspec.json.decode(await self._octets(), type=kind)
        except msgspec.ValidationError as error:
            raise Problem(422, Kind.INVALID, str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem(400, Kind.BAD_REQUEST, f"The body is not JSON: {error}") from None

    async def _octets(self) -> bytes:
        found = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for piece in self.request.stream():
                    found += piece
                    if len(found) > _MOST_OCTETS:
                        detail = f"The body has more than {_MOST_OCTETS} octets, the limit"
                        raise Problem(413, Kind.TOO_LARGE, detail)
        except (TimeoutError, ClientDisconnect):
            detail = f"The body did not come within {_BODY_SECONDS:g} seconds"
            raise Problem(408, Kind.BAD_REQUEST, detail) from None
        return bytes(found)


Answer: TypeAlias = HttpResponse | Response
Answering: TypeAlias = Callable[[Call], Awaitable[Answer]]


class ConsoleRoute(NamedTuple):
    """What answers a method at a path."""

    method: str
    path: str  # parts in braces stand for anything but a slash
    needed: Permission | None  # None: whoever calls has an account
    answer: Answering
    about: About


def invalid(detail: str) -> Problem:
    """A word of the query cannot be what it is."""
    return Problem(422, Kind.INVALID, detail)


@contextmanager
def reading(*errors: type[Exception]) -> Iterator[None]:
    """What cannot be read of the request raises one of *errors*; its text is told as a Problem."""
    try:
        yield
    except errors as error:
        raise invalid(str(error)) from error


def as_json(value: Any) -> HttpResponse:
    """It was carried out."""
    return HttpResponse(200, msgspec.json.encode(value))


def as_csv(text: str) -> HttpResponse:
    """The same for spreadsheets."""
    return HttpResponse(200, text.encode(), "text/csv; charset=utf-8")
