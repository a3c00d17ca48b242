"""What a large message costs in memory on its way out, on both event loops (see conftest)."""

import asyncio
import socket
import ssl
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import trustme

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.envelope import Envelope
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.core.sent import Sent
from dispatcher.router import MxResolver
from posthouse.mail.outcome import Delivered

HEADER = b"Subject: large\r\n\r\n"
SIZE = 8 * 2**20
PLAIN = b"0123456789abcd\r\n" * (SIZE // 16)
DOTTED = b"." + PLAIN.replace(b"\r\n0", b"\r\n.")[1:]


@pytest.fixture(scope="module")
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.example").configure_cert(context)
    return context


class Sink(threading.Thread):
    """Takes one connection and counts its octets, always into the same memory."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__(daemon=True)
        self._context = context
        self._buffer = memoryview(bytearray(2**16))
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.taken = 0  # octets after 354

    def run(self) -> None:
        """Speak SMTP to one client, until the final dot."""
        connected, _ = self.listening.accept()
        connected.sendall(b"220 mx.example\r\n")
        if self._context:
            self._ask(connected, b"250-mx.example\r\n250 STARTTLS\r\n")
            self._ask(connected, b"220 go\r\n")
            connected = self._context.wrap_socket(connected, server_side=True)
        with connected:
            self._ask(connected, b"250-mx.example\r\n250 PIPELINING\r\n")
            self._ask(connected, b"250 ok\r\n250 ok\r\n354 go\r\n")
            tail = b""
            while not tail.endswith(b"\r\n.\r\n"):
                count = connected.recv_into(self._buffer)
                if not count:
                    return
                self.taken += count
                tail = (tail + bytes(self._buffer[max(0, count - 5) : count]))[-5:]
            connected.sendall(b"250 2.0.0 queued\r\n")
            self._ask(connected, b"221 2.0.0 bye\r\n")

    def _ask(self, connected: socket.socket, reply: bytes) -> None:
        connected.recv_into(self._buffer)
        connected.sendall(reply)


@contextmanager
def traced() -> Iterator[list[int]]:
    """Gives a list that in the end holds how much more memory was taken at the worst."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()


async def send(port: int, body: bytes) -> Sent:
    route = Route((("127.0.0.1",),), port, "test", TlsPolicy.OPPORTUNISTIC, static=True)
    sender = ConnectionPool("relay.example", MxResolver(["127.0.0.1:9"]), RefusedHosts(frozenset()))
    try:
        return await sender.send(route, Envelope("", ("x@mx.example",), HEADER, body))
    finally:
        await sender.close()


@pytest.mark.parametrize("body", [PLAIN, DOTTED], ids=["plain", "dotted"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["clear", "tls"])
async def test_a_large_message_is_never_copied_whole(
    server_context: ssl.SSLContext, body: bytes, *, encrypted: bool
) -> None:
    """Beside the message itself only pieces are in memory, however many of its lines have dots."""
    sink = Sink(server_context if encrypted else None)
    sink.start()
    with closing(sink.listening), traced() as peak:
        sent = await send(sink.listening.getsockname()[1], body)
    await asyncio.to_thread(sink.join)

    stuffed = body.count(b"\r\n.") + body.startswith(b".")
    assert isinstance(sent.outcomes[0], Delivered)
    assert encrypted is bool(sent.tls)
    assert len(HEADER) + len(body) + stuffed + 3 == sink.taken
    assert peak[0] < SIZE / 2
