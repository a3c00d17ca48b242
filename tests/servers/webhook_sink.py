"""An endpoint of a customer: remembers what it is sent, and answers as it is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from servers.patience import until


@dataclass(frozen=True)
class Received:
    """A request."""

    path: str
    fields: dict[str, str]
    body: bytes
    status: int  # that it was answered with

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it tells, in the relay's own form."""
        told: list[dict[str, Any]] = json.loads(self.body)["data"]
        return told


@dataclass
class WebhookSink:
    """Listens on 127.0.0.1."""

    port: int = 0
    requests: list[Received] = field(default_factory=list)
    # The status of each request by its number and path; None: never answer.
    answer: Callable[[int, str], int | None] = lambda _number, _path: 200
    answer_fields: dict[str, str] = field(default_factory=dict)
    answer_body: bytes = b""
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook") -> str:
        """Of an endpoint here."""
        return f"http://127.0.0.1:{self.port}{path}"

    def taken(self, path: str = "/hook") -> list[Received]:
        """The requests to *path* that were answered with success."""
        return [r for r in self.requests if r.status // 100 == 2 and r.path == path]

    def events(self, path: str = "/hook") -> list[dict[str, Any]]:
        """The events that were taken, in the order of their arrival."""
        return [event for request in self.taken(path) for event in request.events]

    async def has(self, count: int, path: str = "/hook") -> None:
        """Wait until so many events were taken."""
        await until(lambda: len(self.events(path)) >= count)

    async def was_asked(self, count: int) -> None:
        """Wait until there were so many requests."""
        await until(lambda: len(self.requests) >= count)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = self.answer(len(self.requests), request.path)
        fields = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(Received(request.path, fields, body, status or 0))
        if status is None:
            await self.ending.wait()
        return web.Response(status=status or 503, headers=self.answer_fields, body=self.answer_body)


@asynccontextmanager
async def webhook_sink() -> AsyncIterator[WebhookSink]:
    sink = WebhookSink()
    application = web.Application(client_max_size=1 << 26)
    application.router.add_route("*", "/{rest:.*}", sink._take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sink.port = runner.addresses[0][1]
    try:
        yield sink
    finally:
        sink.ending.set()
        await runner.cleanup()
