"""Doors that are open while a test runs."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import trustme
import uvloop

from ingest.http.served import WireLimits
from posthouse.running.certificate import Certificate
from servers.door import QUICK, OpenDoor, Running, Wire, running_door, write_certificate
from servers.http_door import HttpWireClient, OpenHttpDoor, RunningHttp, running_http_door


class LeapingLoop(asyncio.SelectorEventLoop):
    """Its clock goes on by itself, and jumps ahead or stands still when told."""

    ahead = 0.0  # seconds
    stands_at: float | None = None

    def time(self) -> float:
        """Monotonic seconds."""
        return super().time() + self.ahead if self.stands_at is None else self.stands_at


@pytest.fixture
async def leap() -> Callable[[float], None]:
    """Let so many seconds pass at once: a busy machine makes no difference then."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, LeapingLoop)

    def leap_(seconds: float) -> None:
        loop.ahead += seconds

    return leap_


@pytest.fixture
async def standing_clock(leap: Callable[[float], None]) -> AsyncIterator[None]:
    """No time passes meanwhile, however long things take on this machine."""
    del leap
    loop = asyncio.get_running_loop()
    assert isinstance(loop, LeapingLoop)
    loop.stands_at = loop.time()
    yield
    loop.stands_at = None


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that programs run on; where TLS is spoken, which each loop does itself, both.

    Tests of time limits have a loop whose clock can be moved.
    """
    if "leap" in getattr(item, "fixturenames", ()):
        return {"asyncio": LeapingLoop}
    if "tls" in item.name:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def open_door(certificate: Certificate) -> AsyncIterator[OpenDoor]:
    """Open doors with the given listeners (modes of TLS) and limits; they close with the test."""
    async with AsyncExitStack() as stack:

        async def open_(*modes: str, **limits: Any) -> Running:
            return await stack.enter_async_context(
                running_door(modes or ("none",), certificate, replace(QUICK, **limits))
            )

        yield open_


@pytest.fixture
async def door(open_door: OpenDoor) -> Running:
    """A door with one listener in clear."""
    return await open_door()


@pytest.fixture
async def client(door: Running) -> Wire:
    """A client that is logged in at the door."""
    return await door.logged_in()


@pytest.fixture
async def open_http(certificate: Certificate) -> AsyncIterator[OpenHttpDoor]:
    """Open HTTP doors with the given listeners and limits; they close with the test."""
    async with AsyncExitStack() as stack:

        async def open_(
            *modes: str,
            wire: WireLimits = WireLimits(),  # noqa: B008 -- a tuple
            **limits: Any,
        ) -> RunningHttp:
            given = replace(QUICK, **limits)
            door = running_http_door(modes or ("http",), certificate, given, wire)
            return await stack.enter_async_context(door)

        yield open_


@pytest.fixture
async def http_door(open_http: OpenHttpDoor) -> RunningHttp:
    """An HTTP door with one listener in clear."""
    return await open_http()


@pytest.fixture
async def http(http_door: RunningHttp) -> HttpWireClient:
    """A client of it."""
    return await http_door.connect()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return write_certificate(authority, tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
