"""Liveness, readiness and metrics over HTTP, on a port of their own."""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Mapping
from importlib import metadata
from types import TracebackType
from typing import Self

import msgspec
from prometheus_client import REGISTRY, CollectorRegistry, Info, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from posthouse.running.http_server import HttpServer
from posthouse.running.tcp import Endpoint

# A "_created" series beside every counter and histogram would be a quarter of all series.
disable_created_metrics()  # type: ignore[no-untyped-call]

BUILD = Info("posthouse_build", "Version of this program and of the Python it runs on")
BUILD.info({"version": metadata.version("posthouse-common"), "python": platform.python_version()})

# A probe gives up after a second or more; a check that takes longer has failed.
_CHECK_SECONDS = 2.0

Check = Callable[[], Awaitable[object]]
"""Does real work and returns; or raises, and the exception's text says what is wrong."""


class Health:
    """Serves /healthz/live, /healthz/ready and /metrics while entered as a context.

    *checks* are run side by side at each question whether we are ready; each has two seconds.
    *registry* gives the metrics to show: this process's own, unless it keeps others.
    """

    def __init__(
        self,
        listen: Endpoint,
        checks: Mapping[str, Check],
        registry: Callable[[], Awaitable[CollectorRegistry]] | None = None,
    ) -> None:
        self._checks = dict(checks)
        self._registry = registry
        self._draining = False
        self._address = listen
        self._server = HttpServer("health", self._application(), listen)

    @property
    def address(self) -> Endpoint:
        """The address it listens on, with the port chosen for port 0."""
        return self._address

    def drain(self) -> None:
        """Not ready from now on: no new work should come."""
        self._draining = True

    async def __aenter__(self) -> Self:
        self._address = await self._server.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._server.__aexit__(kind, error, traceback)

    def _application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/healthz/live", self._live),
                Route("/healthz/ready", self._ready),
                Route("/metrics", self._metrics),
            ]
        )

    async def _live(self, _: Request) -> Response:
        return _json(200, {"status": "live"})

    async def _ready(self, _: Request) -> Response:
        findings = await self.findings()
        status = "ready" if all(found == "ok" for found in findings.values()) else "not ready"
        return _json(200 if status == "ready" else 503, {"status": status, "checks": findings})

    async def _metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        registry = REGISTRY if self._registry is None else await self._registry()
        return Response(encode(registry), media_type=None, headers={"content-type": content_type})

    async def findings(self) -> dict[str, str]:
        """The result of each check: "ok", or what is wrong."""
        found = await asyncio.gather(*(_finding(check) for check in self._checks.values()))
        draining = "draining" if self._draining else "ok"
        return {**dict(zip(self._checks, found, strict=True)), "taking_work": draining}


async def _finding(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except TimeoutError:
        return f"no answer within {_CHECK_SECONDS:g} seconds"
    # A check that fails in an unforeseen way has failed too.
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    return "ok"


def _json(status: int, body: object) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
