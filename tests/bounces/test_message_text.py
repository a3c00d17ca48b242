"""What is kept of messages while they come in: a start of each, and a limit for all."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiosmtpd.smtp import SMTP

from bounces.message_text import MOST_OCTETS_KEPT, OCTETS_FOR_EACH, NoRoom, TextMemory
from servers.patience import on_this_machine

END = b"\r\n.\r\n"
MIB = 1 << 20


def sending(*pieces: bytes) -> SMTP:
    """A connection whose client has sent *pieces*."""
    stream = asyncio.StreamReader(limit=1 << 16)
    for piece in pieces:
        stream.feed_data(piece)
    return cast("SMTP", SimpleNamespace(_reader=stream))


async def text_of(memory: TextMemory, *pieces: bytes) -> tuple[bytes, int]:
    async with memory.read_text(sending(*pieces)) as text:
        return text.start, text.octets


async def test_a_message_is_kept_up_to_a_mebibyte_and_counted_to_its_end() -> None:
    memory = TextMemory()
    assert (b"a\r\n.b\r\n", 11) == await text_of(memory, b"a\r\n..b", END)
    assert (b"", 3) == await text_of(memory, b".\r\n")
    lines = b"0123456789abcd.\r\n" * 200_000
    start, octets = await text_of(memory, lines, b"x", END)
    assert start == lines[:MOST_OCTETS_KEPT]
    assert octets == len(lines) + 1 + len(END)
    exact = b"e" * (MOST_OCTETS_KEPT - 2) + b"\r\n"
    assert (exact, len(exact) + 3) == await text_of(memory, exact[:-2], END)


async def test_long_messages_share_a_limit_and_give_back_what_they_held() -> None:
    memory = TextMemory(left=2 * MIB)
    async with memory.read_text(sending(b"a" * MIB, END)) as first:
        assert memory.left <= MIB
        with pytest.raises(NoRoom):
            await text_of(memory, b"b" * 2 * MIB, END)
        assert (MIB, MIB + 5) == (len(first.start), first.octets)
    assert memory.left == 2 * MIB
    assert 2 * MIB + len(END) == (await text_of(memory, b"c" * 2 * MIB, END))[1]


async def test_a_short_message_needs_nothing_of_it() -> None:
    memory = TextMemory(left=0)
    short = b"s" * (OCTETS_FOR_EACH - 100)
    assert (short + b"\r\n", len(short) + 5) == await text_of(memory, short, END)
    with pytest.raises(NoRoom):
        await text_of(memory, b"l" * OCTETS_FOR_EACH, END)


async def test_one_for_which_there_is_no_room_is_read_to_its_end() -> None:
    """The next command of its client comes behind it."""
    memory = TextMemory(left=0)
    connection = sending(b"l" * MIB, END, b"NOOP\r\n")
    with pytest.raises(NoRoom):
        await asyncio.wait_for(_read(memory, connection), on_this_machine(5))
    stream: Any = connection._reader
    assert await stream.readline() == b"NOOP\r\n"


async def test_a_client_that_leaves_gives_back_what_it_held() -> None:
    memory = TextMemory(left=2 * MIB)
    connection = sending(b"a" * MIB + b".\r\n")
    reading = asyncio.create_task(_read(memory, connection))
    await asyncio.sleep(0.01)
    assert memory.left < 2 * MIB
    reading.cancel()
    await asyncio.wait([reading])
    assert memory.left == 2 * MIB


async def _read(memory: TextMemory, connection: SMTP) -> None:
    async with memory.read_text(connection):
        pass
