"""The two hot paths: `/o/TOKEN` for a pixel, `/c/TOKEN` for a link.

A function of ASGI by itself, in front of all other pages: a mailing asks for nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter
from starlette.types import ASGIApp, Receive, Scope, Send

from posthouse.mail.events import EventKind
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.tracking.redirect import location
from posthouse.tracking.token import ClickToken, OpenToken, TokenKey, read
from posthouse.tracking.visit import Visit, agent_text
from tracking.pages import COMMON_HEADERS, NOT_FOUND, NOT_NOW, PAGE_HEADERS
from tracking.request_client import RequestClient

ANSWERS = Counter(
    "posthouse_tracking_answers_total",
    "Requests for pixels and links, by answer.",
    ["kind", "answer"],
)

PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
_PREFETCHES = {b"sec-purpose": b"prefetch", b"purpose": b"prefetch", b"x-moz": b"prefetch",
               b"x-purpose": b"preview"}  # fmt: skip
_OPEN, _CLICK = "/o/", "/c/"

log = structlog.get_logger()


class Targets(Protocol):
    """Where links lead; `tracking.link_targets.LinkTargets` is one."""

    async def target(self, link_set: bytes, number: int) -> str | None:
        """The target; None where there is none. Raises StoreUnavailable."""


class _Answer(NamedTuple):
    """The two messages of ASGI, and what is counted."""

    start: dict[str, Any]  # not changed by who sends it
    body: dict[str, Any]
    counted: Any


def _answer(of: str, status: int, headers: Mapping[str, str], body: bytes) -> _Answer:
    fields = {**headers, "Content-Length": str(len(body))}
    lines = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    return _Answer(
        {"type": "http.response.start", "status": status, "headers": lines},
        {"type": "http.response.body", "body": body},
        ANSWERS.labels(of, str(status)),
    )


_IMAGE = {**COMMON_HEADERS, "Content-Type": "image/gif",
          "Cross-Origin-Resource-Policy": "cross-origin"}  # fmt: skip
_METHODS = {**PAGE_HEADERS, "Allow": "GET, HEAD"}
_OPENED = _answer("open", 200, _IMAGE, PIXEL)
# An image that is broken would be shown to a person as such.
_NOT_OPENED = _answer("open", 404, _IMAGE, PIXEL)
_NO_LINK = _answer("click", 404, PAGE_HEADERS, NOT_FOUND)
_LATER = _answer("click", 503, {**PAGE_HEADERS, "Retry-After": "60"}, NOT_NOW)
_REFUSED = {
    _OPEN: _answer("open", 405, _METHODS, b""),
    _CLICK: _answer("click", 405, _METHODS, b""),
}
_LEADS = _answer("click", 302, COMMON_HEADERS, b"")


class TrackedPaths:
    """Answers opens and clicks, notes them, and leaves all else to another application."""

    def __init__(
        self,
        keys: Sequence[TokenKey],
        targets: Targets,
        client: RequestClient,
        note: Callable[[Visit], None],
        others: ASGIApp,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], UUID],
    ) -> None:
        """*note* is given each visit whose token is ours; it must not wait."""
        self._keys = keys
        self._targets = targets
        self._client = client
        self._note = note
        self._others = others
        self._clock = clock
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        path: str = scope["path"] if scope["type"] == "http" else ""
        begin = path[: len(_OPEN)]
        if begin not in _REFUSED:
            await self._others(scope, receive, send)
            return
        if scope["method"] not in ("GET", "HEAD"):
            answer = _REFUSED[begin]
        elif begin == _OPEN:
            answer = self._opened(scope, path[len(_OPEN) :])
        else:
            answer = await self._clicked(scope, path[len(_CLICK) :])
        answer.counted.inc()
        await send(answer.start)
        await send(answer.body)

    def _opened(self, scope: Scope, letters: str) -> _Answer:
        token = read(letters, self._keys)
        if not isinstance(token, OpenToken):
            return _NOT_OPENED
        self._note(self._visit(scope, EventKind.OPENED, token.delivery_id))
        return _OPENED

    async def _clicked(self, scope: Scope, letters: str) -> _Answer:
        token = read(letters, self._keys)
        if not isinstance(token, ClickToken):
            return _NO_LINK
        try:
            target = await self._targets.target(token.link_set, token.number)
        except (StoreUnavailable, StoreRefused) as error:
            log.warning("target_not_known", reason=str(error))
            return _LATER
        if target is None or (leads := location(target)) is None:
            return _NO_LINK
        visit = self._visit(scope, EventKind.CLICKED, token.delivery_id)
        self._note(visit._replace(link=token.number, target=target))
        headers = [*_LEADS.start["headers"], (b"location", leads)]
        return _LEADS._replace(start={**_LEADS.start, "headers": headers})

    def _visit(self, scope: Scope, kind: EventKind, delivery_id: UUID) -> Visit:
        agent, prefetch = b"", False
        for name, value in scope["headers"]:
            if name == b"user-agent":
                agent = value
            elif name in _PREFETCHES:
                prefetch |= _PREFETCHES[name] in value.lower()
        return Visit(
            self._new_id(),
            kind,
            delivery_id,
            self._clock(),
            self._client.of(scope),
            agent_text(agent),
            is_head=scope["method"] == "HEAD",
            is_prefetch=prefetch,
        )
