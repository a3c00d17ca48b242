"""What a wire of HTTP and the session over it know of each other."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from ingest.http.wire import HttpWire

Spawn: TypeAlias = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


class WireLimits(NamedTuple):
    """How much a client may send, and how slowly."""

    head_octets: int = 65_536  # of a request: its line and its fields
    head_seconds: float = 30.0  # for all of it
    idle_seconds: float = 60.0  # between two requests
    handshake_seconds: float = 30.0  # for TLS
    body_seconds: float = 30.0  # for a body, beside the time that its octets take at
    octets_per_second: int = 1_000  # at least
    requests: int = 1_000  # on one connection


class HttpClientGone(Exception):
    """The client closed the connection, or it broke."""


class Served(Protocol):
    """What is served over a wire."""

    def begin(self, wire: "HttpWire") -> Coroutine[None, None, None] | None:
        """Serve it until client or server leave; None: it was turned away."""

    def leave(self) -> None:
        """The connection is gone."""
