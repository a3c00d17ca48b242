"""What the wire takes out of the stream, however it arrives; all else reaches the library."""

import asyncio
from collections import Counter
from functools import partial

import pytest
from aiormq import spec
from aiormq.abc import FrameType
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat
from yarl import URL

from posthouse.broker.hint_wire import HintWire, _WithoutHints

OK = frame.marshal(spec.Queue.DeclareOk("amq.gen-1", 0, 1), 1)
BEAT = frame.marshal(Heartbeat(), 0)


def message(tag: str, *bodies: bytes) -> bytes:
    """A message as RabbitMQ delivers it."""
    frames: list[FrameType | ContentBody | ContentHeader] = [
        spec.Basic.Deliver(tag, 7, exchange="posthouse-hints", routing_key="submissions.3"),
        ContentHeader(body_size=sum(map(len, bodies))),
        *(ContentBody(body) for body in bodies),
    ]
    return b"".join(frame.marshal(one, 1) for one in frames)


STREAM = OK + message("a") + BEAT + message("b", b"\xce\x01x", b"") + message("a") + OK


async def passed_on(pieces: list[bytes]) -> tuple[bytes, Counter[str]]:
    """What is left for the library of *pieces* that arrive one by one, and which tags were told."""
    told: Counter[str] = Counter()
    reader = _WithoutHints({tag.encode(): partial(told.update, [tag]) for tag in "ab"})
    for piece in pieces:
        reader.feed_data(piece)
    reader.feed_eof()
    left = await reader.read()
    await asyncio.sleep(0)
    return left, told


@pytest.mark.parametrize("octets", [1, 2, 7, 8, 13, 64, len(STREAM)])
async def test_messages_are_taken_out_wherever_the_stream_is_cut(octets: int) -> None:
    pieces = [STREAM[at : at + octets] for at in range(0, len(STREAM), octets)]
    assert (OK + BEAT + OK, Counter(a=2, b=1)) == await passed_on(pieces)


async def test_a_message_for_nobody_is_taken_out_too() -> None:
    assert (OK, Counter()) == await passed_on([message("c", b"x") + OK])


async def test_what_is_no_frame_reaches_the_library_at_once() -> None:
    """A server that speaks another version answers with its own, and closes."""
    assert (b"AMQP\x00\x01\x00\x00", Counter()) == await passed_on([b"AMQP\x00\x01\x00\x00"])


def test_before_it_is_connected_it_writes_nothing() -> None:
    assert not HintWire({}).write(OK)


async def test_with_a_server_that_reads_nothing_it_refuses_after_a_while() -> None:
    """Rather than keep in memory what is announced meanwhile."""
    ends: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(
        lambda _, end: ends.append(end), "127.0.0.1", 0
    ) as server:
        port = server.sockets[0].getsockname()[1]
        wire = HintWire({})
        address = URL(f"amqp://127.0.0.1:{port}")
        _, writer = await wire.create(address, ssl_context_provider=None)
        written = 0
        while wire.write(OK * 1000):
            written += 1
            assert written < 10_000
        assert written > 0
        writer.transport.abort()
        assert not wire.write(OK)
        for end in ends:
            end.transport.abort()
