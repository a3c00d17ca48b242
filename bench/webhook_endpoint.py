"""An endpoint of a customer, for the bench: counts events; answers in 20 ms, late or never."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

_ANSWER_SECONDS = 0.02
_SLOW_SECONDS = 9.5  # the relay waits for ten
_EVENT = b'"sequence":'  # each event has it once


class WebhookEndpoint:
    """Listens on 127.0.0.1, in the process of the bench, which is counted for no system."""

    def __init__(self) -> None:
        self.events = 0
        self._port = 0
        self._ending = asyncio.Event()

    @property
    def url(self) -> str:
        """It answers here."""
        return f"http://127.0.0.1:{self._port}/"

    @property
    def slow_url(self) -> str:
        """It answers here after nine and a half seconds."""
        return f"{self.url}slow"

    @property
    def dead_url(self) -> str:
        """Nothing comes back from here."""
        return f"{self.url}never"

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.path == "/never":
            await self._ending.wait()
            return web.Response(status=503)
        await asyncio.sleep(_SLOW_SECONDS if request.path == "/slow" else _ANSWER_SECONDS)
        self.events += body.count(_EVENT)
        return web.Response(status=204)

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator["WebhookEndpoint"]:
        """One that listens until the end."""
        one = cls()
        application = web.Application(client_max_size=1 << 26)
        application.router.add_route("*", "/{rest:.*}", one._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            one._port = runner.addresses[0][1]
            yield one
        finally:
            one._ending.set()
            await runner.cleanup()
