"""Messages that come by BDAT, over a socket: as by DATA, and nothing in them is a command."""

import pytest

from posthouse.store import StoreUnavailable
from servers.door import OpenDoor, Running, Wire
from servers.patience import until

HEADER = b"From: jo@a.example\r\n\r\n"
SMUGGLED = (
    b"MAIL FROM:<jo@a.example>\r\nRCPT TO:<y@there.example>\r\nDATA\r\n"
    b"From: jo@a.example\r\n\r\nsmuggled\r\n.\r\n"
)
FULL = "452 4.3.1 Insufficient storage, try again later"


async def chunk(client: Wire, octets: bytes, last: str = "") -> str:
    """Send a chunk with its command; the reply."""
    await client.send(b"BDAT %d %s" % (len(octets), last.encode()) + b"\r\n" + octets)
    return await client.reply()


async def test_a_message_in_chunks_is_committed(door: Running, client: Wire) -> None:
    body = b"\r\n.\r\n..\r\n" + SMUGGLED
    await client.envelope()
    assert await chunk(client, HEADER + body[:3]) == f"250 2.0.0 {len(HEADER) + 3} octets received"
    assert (await chunk(client, body[3:], "LAST")).startswith("250 2.0.0 Ok: queued as ")
    (message,) = door.intake.accepted
    assert (HEADER, body) == (message.header, message.body)
    assert await client.say("NOOP") == "250 2.0.0 Ok"


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\r.\r", b"\r\n.\r\n", b"\0\r\n.\0\r\n", b"\r\n.\r\r\n"]
)
async def test_nothing_is_smuggled(door: Running, client: Wire, end: bytes) -> None:
    await client.envelope()
    content = HEADER + b"one" + end + SMUGGLED
    for octet in content[:-1]:
        await client.send(b"BDAT 1\r\n" + bytes([octet]))
    for _ in content[:-1]:
        assert await client.reply() == "250 2.0.0 1 octets received"
    assert (await chunk(client, content[-1:], "LAST")).startswith("250 ")
    (message,) = door.intake.accepted
    assert message.body.endswith(SMUGGLED)
    assert ("x@there.example",) == message.recipients


async def test_what_belongs_to_a_refused_chunk_is_no_command(door: Running, client: Wire) -> None:
    assert (await chunk(client, SMUGGLED, "LAST")).startswith("503 5.5.1 ")
    assert await client.say("MAIL FROM:<jo@a.example>") == "250 2.1.0 Ok"
    assert (await chunk(client, SMUGGLED, "LAST")).startswith("554 5.5.1 ")
    for line in (
        b"BDAT x\r\n",
        b"BDAT -1 LAST\r\n",
        b"BDAT 5 LAST\n",
        b"bdat\t5\r\n",
        b"BDAT 5 L\r\n",
    ):
        other = await door.logged_in()
        await other.envelope()
        await other.send(line + SMUGGLED)
        assert await other.reply() == "501 5.5.4 Syntax: BDAT octets [LAST]; closing"
        assert await other.is_closed()
    assert door.intake.accepted == []


async def test_chunks_beyond_size_are_taken_and_refused(open_door: OpenDoor) -> None:
    door = await open_door(message_octets=100_000)
    client = await door.logged_in()
    await client.envelope()
    assert (await chunk(client, HEADER + b"x" * 90_000)).startswith("250 ")
    assert await chunk(client, b"x" * 90_000) == "552 5.3.4 Message larger than 100000 octets"
    for _ in range(30):  # already under way
        assert (await chunk(client, b"x" * 1_000)).startswith("503 5.0.0 ")
    assert (await chunk(client, b"x", "LAST")).startswith("503 5.0.0 ")
    assert (await client.message(HEADER + b".\r\n")).startswith("250 ")


async def test_a_store_that_fails_is_told_as_after_data(door: Running, client: Wire) -> None:
    door.intake.failure = StoreUnavailable("gone")
    await client.envelope()
    assert await chunk(client, HEADER, "LAST") == "451 4.3.0 Internal fault, try again later"


async def test_chunks_count_in_the_memory_budget_and_rset_frees_it(open_door: OpenDoor) -> None:
    door = await open_door(octets_in_flight=100_000)
    memory = door.service._context.memory
    client, other = await door.logged_in(), await door.logged_in()
    await client.envelope()
    assert (await chunk(client, HEADER + b"x" * 30_000)).startswith("250 ")
    await until(lambda: memory.total > 30_000)
    assert await client.say("RSET") == "250 2.0.0 Ok"
    await until(lambda: memory.total == 0)

    await client.envelope()
    assert (await chunk(client, HEADER + b"x" * 30_000)).startswith("250 ")
    await other.envelope()
    assert (await chunk(other, HEADER + b"x" * 20_000)).startswith("250 ")
    await until(lambda: memory.total < 30_000)  # the larger one was given up
    assert await chunk(client, b"x") == FULL
    assert (await chunk(client, b"x", "LAST")).startswith("503 5.0.0 ")
    assert (await chunk(other, b"x", "LAST")).startswith("250 ")
