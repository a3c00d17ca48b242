"""A request as what answers it sees it, and the answer."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

from ingest.backpressure import MemoryBudget
from ingest.http.intake_problems import body_too_big, no_room
from ingest.http.request_parser import RequestHead
from ingest.http.wire import HttpWire
from posthouse.http.api_description import About
from posthouse.http.http_response import HttpResponse
from posthouse.http.problem import Kind, Problem

# From this size on a body is counted in the memory budget, as by SMTP.
_COUNTED_OCTETS = 16_384


class HttpRequest:
    """One request; its body is read when it is asked for, and counted while it is in memory."""

    def __init__(self, head: RequestHead, wire: HttpWire, memory: MemoryBudget) -> None:
        self.head = head
        self.began = time.perf_counter()
        self.client = ""  # its address, as far as it is known
        self.tls = ""  # version and cipher, or what a proxy says of it; "" in clear
        self.parts: Mapping[str, str] = {}  # of the path, by the names that its route gives them
        self.credential = ""  # the user name of the one who calls; see `belongs_to`
        self._wire = wire
        self._memory = memory
        self._pieces: list[bytes] = []  # of the body, while it is received
        self._given_up = False
        self._counted = 0  # octets, in the memory budget

    def field(self, name: str) -> str | None:
        """The value of a header field; its *name* is in lower case."""
        return self.head.fields.get(name)

    @property
    def media_type(self) -> str:
        """Of the body, in lower case and without parameters."""
        return (self.field("content-type") or "").partition(";")[0].strip().lower()

    async def body(self, limit: int) -> bytes:
        """All of the body; raises Problem if it has more than *limit* octets, or finds no room."""
        if (self.head.octets or 0) > limit:
            raise body_too_big(limit)
        if self.field("expect"):
            self._wire.encourage()
        pieces, octets = self._pieces, 0
        while piece := await self._wire.read():
            pieces.append(piece)
            octets += len(piece)
            if octets > limit:
                raise body_too_big(limit)
            if octets > _COUNTED_OCTETS:
                self._counted = octets
                self._memory.keep(self, octets)
            if self._given_up:
                raise no_room()
        if self._given_up:  # while only the end was missing
            raise no_room()
        if self._counted:
            self.count(2 * octets)  # what is made of it is there beside it for a while
        self._pieces = []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def count(self, octets: int) -> None:
        """So many are in memory now, and stay until it is answered."""
        self._counted = octets
        self._memory.complete(self, octets)

    def belongs_to(self, username: str) -> None:
        """Count it as this user's from now on; until then it is one of those of nobody known.

        They share what a single user may have: bodies of strangers leave room for others.
        """
        counted = self._counted
        self.release()
        self.credential = username
        if counted:
            self.count(counted)

    def give_up_message(self) -> None:
        """As the memory budget asks: see `Receiving`."""
        self._given_up = True
        self._pieces.clear()  # now, and not when more comes

    def release(self) -> None:
        """Nothing of it is in memory any more."""
        if self._counted:
            self._counted = 0
            self._memory.release(self)


Handler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]


class HttpRoute(NamedTuple):
    """Where a handler is found."""

    method: str
    path: str  # parts in braces stand for anything but a slash
    handle: Handler
    problem: Callable[[Problem], HttpResponse]  # how its errors are written
    about: About | None = None  # None: it is not described


def only(request: HttpRequest, *media_types: str) -> str:
    """The media type of the body, which has to be one of these; raises Problem."""
    if request.media_type in media_types:
        return request.media_type
    seen = request.media_type[:80] or "no Content-Type"
    detail = f"{seen!a} seen, {' or '.join(media_types)} is allowed"
    raise Problem(415, Kind.BAD_REQUEST, detail, fields=(("accept-post", ", ".join(media_types)),))
