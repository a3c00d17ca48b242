"""When things go wrong: the store, the client, the load, the shutdown."""

import asyncio
import base64
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest
from structlog.testing import capture_logs

from posthouse.smtp.data import DataReader
from posthouse.store import StoreFull, StoreRefused, StoreUnavailable
from servers.door import PLAIN, OpenDoor, Running, Wire
from servers.patience import on_this_machine, until

WRONG = base64.b64encode(b"\0user\0the secret?").decode()
GOOD = b"From: Jo <jo@a.example>\r\nSubject: hello\r\n\r\nBody\r\n.\r\n"
FAULT = "451 4.3.0 Internal fault, try again later"
FULL = "452 4.3.1 Insufficient storage, try again later"


@pytest.mark.parametrize(
    ("failure", "reply"),
    [
        (StoreUnavailable("away"), FAULT),
        (StoreRefused("never"), FAULT),
        (StoreFull("disk full"), FULL),
        (ConnectionResetError("not the client's"), FAULT),
        (ZeroDivisionError("a bug"), FAULT),
    ],
)
async def test_C08_no_fault_of_ours_is_ever_a_5xx(
    door: Running, client: Wire, failure: Exception, reply: str
) -> None:
    """And once the fault is gone, the same session goes on."""
    door.intake.failure = failure
    assert await client.message(GOOD) == reply
    door.intake.failure = None
    async with asyncio.timeout(on_this_machine(5)):
        while (await client.say("MAIL FROM:<jo@a.example>")) == reply:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # as a client does that was told to come back later
    await client.say("RCPT TO:<x@there.example>")
    await client.say("DATA")
    assert (await client.message_end(GOOD)).startswith("250 ")


async def test_after_a_fault_within_a_message_its_rest_is_not_read_as_commands(
    door: Running, client: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M11: 451, and the connection is closed."""

    def feed(_: DataReader, __: bytearray) -> bool:
        raise MemoryError

    await client.envelope()
    await client.say("DATA")
    with monkeypatch.context() as patched:
        patched.setattr(DataReader, "feed", feed)
        await client.send(b"half a message\r\n")
        assert await client.reply() == FAULT
    await client.send(b"RSET\r\nMAIL FROM:<jo@a.example>\r\n.\r\n")
    assert await client.is_closed()
    assert door.intake.accepted == []
    assert (await (await door.logged_in()).message(GOOD)).startswith("250 ")


@pytest.mark.usefixtures("standing_clock")
async def test_while_the_store_is_known_to_be_away_nobody_asks_it(door: Running) -> None:
    clients = [await door.logged_in() for _ in range(5)]
    door.intake.failure = StoreUnavailable("away")
    assert await clients[0].message(GOOD) == FAULT
    for client in clients:
        assert await client.say("MAIL FROM:<jo@a.example>") == FAULT
    assert door.intake.asked == 1


async def test_without_room_on_the_disk_mail_is_turned_away_before_it_is_sent(
    door: Running, client: Wire
) -> None:
    """At MAIL, and with the next one as soon as there is room."""
    door.intake.room = False
    assert await client.say("MAIL FROM:<jo@a.example>") == FULL
    door.intake.room = True
    assert (await client.message(GOOD)).startswith("250 ")


async def test_a_directory_that_fails_at_mail_is_a_fault_of_ours(
    door: Running, client: Wire
) -> None:
    door.service._context.authenticator._remembered.clear()
    door.directory.failure = StoreUnavailable("away")
    assert await client.say("MAIL FROM:<jo@a.example>") == FAULT


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"NOOP\n", "500 5.5.2 Commands end with <CR><LF>"),
        (b"NOOP\rNOOP\r\n", "500 5.5.2 Commands hold no control characters"),
        (b"NOOP \0\r\n", "500 5.5.2 Commands hold no control characters"),
        (b"HELP \x1b[2J\r\n", "500 5.5.2 Commands hold no control characters"),
        (b"NOOP\tx\r\n", "500 5.5.2 Commands hold no control characters"),
        (b"HELP \xc2\x85\r\n", "500 5.5.2 Commands hold no control characters"),
        (b"HELP \xe2\x80\xa8\r\n", "500 5.5.2 Commands hold no control characters"),
        (b"HELP \xff\r\n", "500 5.5.2 Commands are ASCII or UTF-8"),
        (b"EHLO \xff" + b"x" * 2_100 + b"\r\n", "500 5.5.2 Commands are ASCII or UTF-8"),
        (b"NOOP " + b"x" * 2_100 + b"\r\n", "500 5.5.2 Command line too long"),
        (b"NOOP " + b"x" * 500_000 + b"\r\n", "500 5.5.2 Command line too long"),
        (b"AUTH PLAIN " + b"x" * 13_000 + b"\r\n", "500 5.5.2 Command line too long"),
    ],
)
async def test_lines_that_are_no_commands(door: Running, line: bytes, reply: str) -> None:
    client = await door.connect()
    await client.send(line)
    assert await client.reply() == reply
    assert await client.say("NOOP") == "250 2.0.0 Ok"


async def test_an_overlong_answer_to_auth(door: Running) -> None:
    client = await door.connect()
    await client.say("EHLO x")
    await client.say("AUTH PLAIN")
    await client.send(b"x" * 200_000 + b"\r\n")
    assert await client.reply() == "500 5.5.2 Command line too long"


async def test_twenty_protocol_errors_end_the_connection(door: Running) -> None:
    client = await door.connect()
    for _ in range(19):
        assert (await client.say("WHAT")).startswith("500 ")
    assert (await client.say("WHAT")).startswith("500 ")
    assert await client.reply() == "421 4.7.0 Too many errors"
    assert await client.is_closed()


async def test_a_hundred_commands_for_nothing_end_the_connection(door: Running) -> None:
    client = await door.connect()
    await client.send(b"NOOP\r\n" * 101)
    assert {await client.reply() for _ in range(101)} == {"250 2.0.0 Ok"}
    assert await client.reply() == "421 4.7.0 Too many commands without a message"
    assert await client.is_closed()


async def test_messages_pay_for_idle_commands(client: Wire) -> None:
    for _ in range(60):
        assert await client.say("RSET") == "250 2.0.0 Ok"
        assert await client.say("NOOP") == "250 2.0.0 Ok"
        if _ % 20 == 0:
            assert (await client.message(GOOD)).startswith("250 ")


Leap: TypeAlias = Callable[[float], None]
LIMIT = 300.0  # seconds that a client has for the next line


async def trickle(client: Wire, leap: Leap) -> None:
    """An octet each ten seconds; raises ConnectionError when the other side has closed."""
    for _ in range(100):
        await client.send(b"x")
        leap(10)
        await asyncio.sleep(0.01)


async def flood(client: Wire) -> None:
    async with asyncio.timeout(on_this_machine(10)):
        while True:
            await client.send(b"EHLO x\r\n" * 10_000)


async def test_a_silent_client_is_told_and_dropped(open_door: OpenDoor, leap: Leap) -> None:
    door = await open_door(command_seconds=LIMIT)
    client = await door.connect()
    leap(LIMIT)
    assert await client.reply() == "421 4.4.2 Timeout: no command for 300 seconds"
    assert await client.is_closed()


async def test_a_client_that_trickles_a_command_gets_no_more_time(
    open_door: OpenDoor, leap: Leap
) -> None:
    door = await open_door(command_seconds=LIMIT)
    client = await door.connect()
    with pytest.raises(ConnectionError):
        await trickle(client, leap)
    await until(lambda: not door.service._context.connections.open)


async def test_commands_renew_the_time_of_a_client(open_door: OpenDoor, leap: Leap) -> None:
    door = await open_door(command_seconds=LIMIT)
    client = await door.connect()
    for _ in range(5):
        leap(LIMIT * 2 / 3)
        assert await client.say("NOOP") == "250 2.0.0 Ok"


async def test_data_that_comes_quickly_enough_may_take_longer(
    open_door: OpenDoor, leap: Leap
) -> None:
    door = await open_door(command_seconds=LIMIT)
    client = await door.logged_in()
    await client.envelope()
    await client.say("DATA")
    await client.send(b"From: jo@a.example\r\n\r\n")

    def holds(octets: int) -> bool:
        return door.service._context.memory.total >= octets

    for sent in range(1, 9):
        leap(LIMIT * 2 / 3)
        await client.send((b"x" * 998 + b"\r\n") * 300)
        await until(partial(holds, sent * 300_000))
    assert (await client.message_end(b".\r\n")).startswith("250 ")


async def test_data_that_trickles_is_broken_off(open_door: OpenDoor, leap: Leap) -> None:
    door = await open_door(command_seconds=LIMIT)
    client = await door.logged_in()
    await client.envelope()
    await client.say("DATA")
    with pytest.raises(ConnectionError):
        await trickle(client, leap)
    await until(lambda: not door.service._context.connections.open)
    assert door.intake.accepted == []
    assert door.service._context.memory.total == 0


async def test_a_client_that_reads_no_replies_is_not_served_for_ever(open_door: OpenDoor) -> None:
    door = await open_door(command_seconds=0.5, idle_commands=10**9)
    client = await door.connect()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    with pytest.raises((ConnectionError, TimeoutError)):
        await flood(client)
    await until(lambda: not door.service._context.connections.open)


# Connects so often; says how often it was greeted and how often not, and stays until told to end.
_CROWD = """
import socket, sys
clients = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(50)]
greeted = 0
for client in clients:
    client.settimeout(100)
    try:
        greeted += client.recv(100).startswith(b"220 ")
    except OSError:
        pass
print(greeted, len(clients) - greeted, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def open_files() -> Iterator[Callable[[int], None]]:
    """Let this process open so many files beside those it has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def only(more: int) -> None:
        has = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (has + more, before[1]))

    yield only
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_without_open_files_left_it_goes_on_with_the_clients_it_has(
    door: Running, open_files: Callable[[int], None]
) -> None:
    client = await door.logged_in()
    command = [sys.executable, "-c", _CROWD, str(door.address.port)]
    # Not one of the loop's processes: to watch it the loop would need files.
    with subprocess.Popen(  # noqa: ASYNC220
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as crowd:
        open_files(10)
        assert crowd.stdout is not None
        greeted, closed = map(int, (await asyncio.to_thread(crowd.stdout.readline)).split())
        assert 0 < greeted < 50
        assert greeted + closed == 50
        assert (await client.message(GOOD)).startswith("250 ")
    await until(lambda: len(door.service._context.connections.open) == 1)
    await door.logged_in()


# Stopping.


async def test_stopping_says_goodbye_to_idle_clients(door: Running) -> None:
    clients = [await door.connect(), await door.logged_in()]
    await clients[1].envelope()
    door.stopping.set()
    for client in clients:
        assert await client.reply() == "421 4.3.2 Service shutting down"
        assert await client.is_closed()
    await door.task
    with pytest.raises(ConnectionError):
        await door.connect()


async def test_stopping_finishes_data_in_flight(door: Running) -> None:
    receiving, committing = await door.logged_in(), await door.logged_in()
    door.intake.open.clear()
    for client in (receiving, committing):
        await client.envelope()
        await client.say("DATA")
    await committing.send(GOOD)
    await receiving.send(GOOD[:20])
    await asyncio.sleep(0.05)
    door.stopping.set()
    await asyncio.sleep(0.05)
    assert not door.task.done()
    await receiving.send(GOOD[20:])
    door.intake.open.set()
    for client in (receiving, committing):
        assert (await client.reply()).startswith("250 2.0.0 Ok: queued as ")
        assert await client.reply() == "421 4.3.2 Service shutting down"
    async with asyncio.timeout(on_this_machine(5)):
        await door.task
    assert len(door.intake.accepted) == 2


async def test_cancelled_it_breaks_off_what_is_left(door: Running) -> None:
    client = await door.logged_in()
    await client.envelope()
    await client.say("DATA")
    door.stopping.set()
    await asyncio.sleep(0.05)
    door.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await door.task
    assert await client.is_closed()
    door.task = asyncio.create_task(asyncio.sleep(0))


# What is logged.


async def test_no_secret_and_no_body_reaches_the_log(door: Running) -> None:
    with capture_logs() as lines:
        client = await door.logged_in()
        await client.message(GOOD.replace(b"Body", b"private words"))
        await client.message(b"Subject: private words\r\n\r\nprivate words\r\n.\r\n")
        await client.say("QUIT")
        stranger = await door.connect()
        await stranger.say("EHLO x")
        await stranger.say("AUTH PLAIN " + WRONG)
    events = [line["event"] for line in lines]
    assert events == ["accepted", "rejected", "auth_failed"]
    assert lines[0]["submission"] == door.intake.accepted[0].id.hex
    assert lines[0]["lane"] == "normal"
    assert lines[0]["size"] == len(GOOD) - 3 + len("private words") - len("Body")
    assert lines[1]["reason"] == "author"
    for secret in ("private words", PLAIN, WRONG, "the secret"):
        assert secret not in str(lines)
