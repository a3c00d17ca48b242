"""HTTP whose clients cannot take memory or wait for ever before they have said what they want."""

import asyncio
from collections import Counter
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from posthouse.authentication.client_networks import client_address, is_within, network_of

MOST_HEAD_OCTETS = 65_536
HEAD_SECONDS = 30.0
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class ClientConnections:
    """Counts the connections of each client, of which it may have so many at a time."""

    def __init__(self, most: int, *, exempt: tuple[str, ...] = ()) -> None:
        """*exempt*: networks, as of proxies, behind which there are many clients."""
        self._most = most
        self._exempt = exempt
        self._open: Counter[str] = Counter()

    def enter(self, peer: str) -> str | None:
        """What `leave` wants of a connection from *peer*; None if it has one too many.

        "" where nothing is counted, and `leave` need not be called.
        """
        client = client_address(peer)
        if is_within(client, self._exempt):
            return ""
        client = network_of(client)
        if self._open[client] >= self._most:
            return None
        self._open[client] += 1
        return client

    def leave(self, client: str) -> None:
        """A connection has ended for which `enter` said *client*."""
        self._open[client] -= 1
        if self._open[client] <= 0:
            del self._open[client]


class BoundedHttp(HttpToolsProtocol):
    """Ends a connection whose request line and fields hold more than 64 KiB, or take too long.

    The library itself has neither limit. Both begin with the connection and with each request.
    """

    def __init__(
        self,
        *arguments: Any,
        head_seconds: float = HEAD_SECONDS,
        connections: ClientConnections | None = None,
        **named: Any,
    ) -> None:
        """*head_seconds*: for a request line and fields, from the first octet of them.

        A client that has too many *connections* gets no further one.
        """
        super().__init__(*arguments, **named)
        self._connections = connections
        self._client: str | None = None
        self._head_seconds = head_seconds
        self._head_octets: int | None = None  # None: no head has begun
        self._head_ends: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        peer = transport.get_extra_info("peername")
        if self._connections is not None and peer:
            self._client = self._connections.enter(peer[0])
            if self._client is None:
                cast("asyncio.Transport", transport).abort()
        super().connection_made(cast("asyncio.Transport", transport))
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for."""
        self._stop_waiting()
        if self._connections is not None and self._client:
            self._connections.leave(self._client)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless it is too much."""
        super().data_received(data)
        if self._head_octets is not None:
            self._head_octets += len(data)
            if self._head_octets > MOST_HEAD_OCTETS and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._head_octets = 0
        if self._head_ends is None:
            self._wait_for_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head_octets = None
        self._stop_waiting()
        super().on_headers_complete()

    def _wait_for_head(self) -> None:
        self._head_ends = self.loop.call_later(self._head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_ends is not None:
            self._head_ends.cancel()
            self._head_ends = None
