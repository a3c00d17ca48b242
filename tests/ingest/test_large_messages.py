"""Large messages: what is held of them at one time, counted by tracemalloc and not by the clock."""

import asyncio
import socket
import tracemalloc
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from posthouse.smtp.data import DataReader, Flaw
from servers.door import PLAIN, OpenDoor, Running
from servers.patience import until

MEGABYTE = 1 << 20
# What a session, its header and the piece of data that is just being read take besides.
_BESIDES = 2 * MEGABYTE
# What a session has at most that it has not looked at, and its octets on their way to a piece.
_UNREAD = MEGABYTE // 2


@pytest.fixture
def memory() -> Iterator[None]:
    """Counts what is allocated while the test runs."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


def a_message(octets: int, *, stuffed: bool = False) -> bytes:
    line = (b".." if stuffed else b"x") + b"y" * 70 + b"\r\n"
    return b"From: jo@a.example\r\n\r\n" + line * (octets // len(line))


def submit(door: Running, message: bytes) -> bytes:
    """Send *message* from a thread, without any copy of it; the reply."""
    envelope = "EHLO x", f"AUTH PLAIN {PLAIN}", "MAIL FROM:<jo@a.example>", "RCPT TO:<x@y.example>"
    with socket.create_connection((door.address.host, door.address.port), timeout=120) as client:
        reader = client.makefile("rb")
        for command in ("", *envelope, "DATA"):
            client.sendall(f"{command}\r\n".encode() if command else b"")
            while reader.readline()[3:4] == b"-":
                pass
        client.sendall(message)
        client.sendall(b".\r\n")
        return reader.readline()


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("stuffed", [False, True])
async def test_a_large_message_is_held_twice_at_most_and_once_when_it_is_committed(
    door: Running, *, stuffed: bool
) -> None:
    message = a_message(20 * MEGABYTE, stuffed=stuffed)
    door.intake.open.clear()
    await door.logged_in()  # whatever is made once is made
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()

    sending = asyncio.create_task(asyncio.to_thread(submit, door, message))
    await until(lambda: door.intake.asked == 1, within=60)
    now, peak = tracemalloc.get_traced_memory()
    door.intake.open.set()

    assert (await sending).startswith(b"250 ")
    assert peak - before <= 2 * len(message) + _BESIDES
    assert now - before <= len(message) + _BESIDES


@pytest.mark.usefixtures("memory")
async def test_many_large_messages_at_once_are_held_little_more_than_once(door: Running) -> None:
    message = a_message(MEGABYTE)
    door.intake.open.clear()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()

    with ThreadPoolExecutor(20) as clients:
        sending = [clients.submit(submit, door, message) for _ in range(20)]
        await until(lambda: door.intake.asked == 20, within=60)
        _, peak = tracemalloc.get_traced_memory()
        door.intake.open.set()
        replies = [await asyncio.wrap_future(each) for each in sending]

    assert all(reply.startswith(b"250 ") for reply in replies)
    assert peak - before <= 1.5 * 20 * MEGABYTE


@pytest.mark.usefixtures("memory")
async def test_a_flood_of_large_messages_is_held_within_the_budget(open_door: OpenDoor) -> None:
    """Those beyond it are told to come again, and none of them breaks the session of another."""
    budget, message = 32 * MEGABYTE, a_message(12 * MEGABYTE)
    door = await open_door(octets_in_flight=budget)
    door.intake.open.clear()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()

    with ThreadPoolExecutor(12) as clients:
        sending = [clients.submit(submit, door, message) for _ in range(12)]
        await until(
            lambda: sum(each.done() for each in sending) + door.intake.asked == 12, within=60
        )
        _, peak = tracemalloc.get_traced_memory()
        door.intake.open.set()
        replies = [await asyncio.wrap_future(each) for each in sending]

    assert {b"250 2.0", b"452 4.3"} == {reply[:7] for reply in replies}
    # A message that is complete is held twice for a moment: its body is made one.
    assert peak - before <= budget + len(message) + 12 * _BESIDES


# What each client of a flood sends: the first part, and what it repeats for ever after that.
FLOODS: Mapping[str, tuple[bytes, bytes]] = {
    "DATA without end": (b"DATA\r\n", b"x" * 70 + b"\r\n"),
    "DATA in one line": (b"DATA\r\n", b"x" * 72),
    "a chunk that is never complete": (b"BDAT 99999999999 LAST\r\n", b"x" * 72),
    "chunks without a last one": (b"", b"BDAT 65536\r\n" + b"x" * 65_536),
    "a refused chunk": (b"RSET\r\nBDAT 99999999999 LAST\r\n", b"x" * 72),
}


def flood(door: Running, begin: bytes, part: bytes, octets: int) -> socket.socket:
    """Send *part* again and again until it is so many octets, and stay."""
    client = socket.create_connection((door.address.host, door.address.port), timeout=120)
    commands = "EHLO x", f"AUTH PLAIN {PLAIN}", "MAIL FROM:<jo@a.example>", "RCPT TO:<x@y.example>"
    reader = client.makefile("rb")
    for command in ("", *commands):
        client.sendall(f"{command}\r\n".encode() if command else b"")
        while reader.readline()[3:4] == b"-":
            pass
    client.sendall(begin)
    for _ in range(octets // len(part)):
        client.sendall(part)
    return client


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_that_never_ends_is_held_within_the_budget(
    open_door: OpenDoor, kind: str
) -> None:
    """What a message has too much is not kept, whether it is refused in the end or given up."""
    budget, octets, clients = 8 * MEGABYTE, 6 * MEGABYTE, 10
    door = await open_door(octets_in_flight=budget, message_octets=4 * MEGABYTE)
    begin, again = FLOODS[kind]
    part = again * (MEGABYTE // len(again))
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()

    with ThreadPoolExecutor(clients) as threads:
        sending = [threads.submit(flood, door, begin, part, octets) for _ in range(clients)]
        sockets = [await asyncio.wrap_future(each) for each in sending]
    memory = door.service._context.memory
    _, peak = tracemalloc.get_traced_memory()
    for client in sockets:
        client.close()

    assert peak - before <= budget + clients * _UNREAD
    await until(lambda: memory.total == 0)


@pytest.mark.parametrize("piece", [7, 1_000, 300_000])
@pytest.mark.parametrize("stuffed", [False, True])
def test_pieces_of_any_size_make_the_same_message(piece: int, *, stuffed: bool) -> None:
    message = a_message(MEGABYTE, stuffed=stuffed)
    reader = DataReader(2 * MEGABYTE)
    data = message + b".\r\nQUIT\r\n"
    for start in range(0, len(data), piece):
        buffer = bytearray(data[start : start + piece])
        if reader.feed(buffer):
            break
    result = reader.result()
    assert isinstance(result, list)
    assert b"".join(result) == message.replace(b"\r\n..", b"\r\n.")


@pytest.mark.parametrize(
    ("first", "later", "flaw"),
    [
        (b"x" * 3_000, b"fine", Flaw.LONG_LINE),
        (b"x" * 3_000, b"bare\nline end", Flaw.BARE_LINE_END),
        (b"bare\nline end", b"x" * 3_000, Flaw.BARE_LINE_END),
        (b"bare\nline end", b"x" * MEGABYTE, Flaw.TOO_BIG),
    ],
)
def test_of_several_flaws_the_worst_counts_wherever_they_are(
    first: bytes, later: bytes, flaw: Flaw
) -> None:
    between = (b"x" * 70 + b"\r\n") * 5_000
    reader = DataReader(MEGABYTE, line_limit=998)
    for piece in (first + b"\r\n", between, later + b"\r\n", between):
        assert not reader.feed(bytearray(piece))
    assert reader.feed(bytearray(b".\r\n"))
    assert reader.result() is flaw
