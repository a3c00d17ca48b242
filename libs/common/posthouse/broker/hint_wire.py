"""The wire to RabbitMQ: hints pass by the library, all else goes through it.

aiormq makes a task, six turns of the event loop and a dozen objects of each message that comes in,
and a task writes each that goes out: some 0.2 ms of CPU and of waiting on either side, for a
message that says only which queue it was in. Here the frames of a delivery (AMQP 0-9-1, section
2.3.5) are taken out of the stream as they arrive, and one that goes out is handed to the socket.
"""

import asyncio
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, SupportsIndex

from aiormq import TransportFactory
from yarl import URL

Heard = Callable[[], None]

# A frame: type, channel, size, then that many octets and an end mark.
_START = struct.Struct(">BHI")
_AROUND = _START.size + 1
_METHOD, _CONTENT_HEADER, _CONTENT_BODY, _HEARTBEAT = 1, 2, 3, 8
_FRAMES = {_METHOD, _CONTENT_HEADER, _CONTENT_BODY, _HEARTBEAT}
_BASIC_DELIVER = bytes((0, 60, 0, 60))  # class and method; the consumer's tag follows
# What waits to be written, in octets: with more, RabbitMQ reads nothing from us.
_MOST_WAITING = 1 << 16


class HintWire(TransportFactory):
    """Connects for aiormq; calls what belongs to the consumer's tag for each message to it."""

    def __init__(self, heard: Mapping[bytes, Heard]) -> None:
        """*heard* is read at each message, so consumers may be added to it."""
        self._heard = heard
        self._transport: asyncio.Transport | None = None

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See TransportFactory. As `asyncio.open_connection` does it, with a reader of ours."""
        security = kwargs.pop("ssl_context_provider")
        context = await security.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = _WithoutHints(self._heard)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.create_connection(
            lambda: protocol, url.host or "", url.port or 0, ssl=context, **kwargs
        )
        self._transport = transport
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def write(self, frames: bytes) -> bool:
        """Hand whole *frames* to the socket; False if it would have to keep too much of them."""
        transport = self._transport
        if (
            transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size() > _MOST_WAITING
        ):
            return False
        transport.write(frames)
        return True


class _WithoutHints(asyncio.StreamReader):
    """Reads what is not part of a message to a consumer."""

    def __init__(self, heard: Mapping[bytes, Heard]) -> None:
        super().__init__()
        self._heard = heard
        self._begun = b""  # a frame of which the rest is still to come

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """See StreamReader."""
        arrived = self._begun + bytes(data)
        others: list[bytes] = []
        at = 0
        while len(arrived) >= at + _START.size:
            kind, _, size = _START.unpack_from(arrived, at)
            if kind not in _FRAMES:  # no frame at all: the library says what is wrong
                size = len(arrived)
            end = at + _AROUND + size
            if kind in _FRAMES and len(arrived) < end:
                break
            if not self._is_hint(kind, arrived[at + _START.size : end]):
                others.append(arrived[at:end])
            at = end
        self._begun = arrived[at:]
        if others:
            super().feed_data(b"".join(others))

    def _is_hint(self, kind: int, payload: bytes) -> bool:
        """Whether a frame is part of a message; who waits for it is told with the first."""
        if kind == _METHOD and payload.startswith(_BASIC_DELIVER):
            tag = payload[5 : 5 + payload[4]]
            if (heard := self._heard.get(tag)) is not None:
                # Apart from here: its mistakes would end the connection.
                asyncio.get_running_loop().call_soon(heard)
            return True
        return kind in (_CONTENT_HEADER, _CONTENT_BODY)
