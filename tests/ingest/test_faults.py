"""When things go wrong: the store, the client, the load, the shutdown."""

import asyncio
import base64
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import pytest
from structlog.testing import capture_logs

from ingest.backpressure import ConnectionLimiter
from ingest.listeners import Listener, TlsMode
from ingest.service import IngestService
from ingest.session_context import SessionContext
from posthouse.running.health import CannotListen
from posthouse.running.tcp import Endpoint
from posthouse.smtp.data import DataReader
from posthouse.store import StoreFull, StoreRefused, StoreUnavailable
from servers.door import PLAIN, OpenDoor, Running, Wire
from servers.patience import until

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
async def test_C08_no_fault_of_ours_is_ever_a_5xx(  # noqa: N802
    door: Running, client: Wire, failure: Exception, reply: str
) -> None:
    """And once the fault is gone, the same session goes on."""
    door.intake.failure = failure
    assert await client.message(GOOD) == reply
    door.intake.failure = None
    async with asyncio.timeout(5):
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
    assert not door.service._context.connections.open
    assert (await (await door.logged_in()).message(GOOD)).startswith("250 ")


async def test_while_the_store_is_known_to_be_away_nobody_waits_for_it(
    door: Running,
) -> None:
    clients = [await door.logged_in() for _ in range(5)]
    door.intake.failure = StoreUnavailable("away")
    assert await clients[0].message(GOOD) == FAULT
    started = time.monotonic()
    for client in clients:
        assert await client.say("MAIL FROM:<jo@a.example>") == FAULT
    assert time.monotonic() - started < 0.9
    assert door.intake.asked == 1


async def test_without_room_on_the_disk_mail_is_turned_away_before_it_is_sent(
    door: Running, client: Wire
) -> None:
    """At MAIL, and with the next one as soon as there is room."""
    door.room = False
    assert await client.say("MAIL FROM:<jo@a.example>") == FULL
    door.room = True
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
        (b"EHLO \x1b[2J\r\n", "500 5.5.2 Commands hold no control characters"),
        (b"NOOP\tx\r\n", "500 5.5.2 Commands hold no control characters"),
        (b"EHLO \xc2\x85\r\n", "500 5.5.2 Commands hold no control characters"),
        (b"EHLO \xe2\x80\xa8\r\n", "500 5.5.2 Commands hold no control characters"),
        (b"EHLO \xff\r\n", "500 5.5.2 Commands are ASCII or UTF-8"),
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


@pytest.mark.parametrize(
    "limits",
    [{"connections": 2}, {"connections_per_address": 2}],
    ids=lambda limits: next(iter(limits)),
)
async def test_connections_beyond_the_limit_are_turned_away(
    open_door: OpenDoor, limits: dict[str, int]
) -> None:
    door = await open_door(**limits)
    first, second = await door.connect(), await door.connect()
    third = await door.connect(greeting=False)
    assert await third.reply() == "421 4.7.0 Too many connections, try again later"
    assert await third.is_closed()
    assert await first.say("QUIT") == "221 2.0.0 Goodbye"
    assert await first.is_closed()
    assert await second.say("NOOP") == "250 2.0.0 Ok"
    await asyncio.sleep(0.05)
    assert await (await door.connect()).say("NOOP") == "250 2.0.0 Ok"


Leap: TypeAlias = Callable[[float], None]
LIMIT = 300.0  # seconds that a client has for the next line


async def trickle(client: Wire, leap: Leap) -> None:
    """An octet each ten seconds; raises ConnectionError when the other side has closed."""
    for _ in range(100):
        await client.send(b"x")
        leap(10)
        await asyncio.sleep(0.01)


async def flood(client: Wire) -> None:
    async with asyncio.timeout(10):
        while True:
            await client.send(b"EHLO x\r\n" * 10_000)


async def test_a_silent_client_is_told_and_dropped(open_door: OpenDoor, leap: Leap) -> None:
    door = await open_door(command_seconds=LIMIT)
    client = await door.connect()
    leap(LIMIT)
    assert await client.reply() == "421 4.4.2 Timeout"
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
    async with asyncio.timeout(5):
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


# Listeners.


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("127.0.0.1:2587/starttls_required", ("127.0.0.1", 2587, TlsMode.STARTTLS_REQUIRED)),
        ("[::1]:0/implicit", ("::1", 0, TlsMode.IMPLICIT)),
        ("0.0.0.0:25/none", ("0.0.0.0", 25, TlsMode.NONE)),  # noqa: S104
    ],
)
def test_X01_a_listener_is_read(text: str, listener: tuple[str, int, TlsMode]) -> None:  # noqa: N802
    host, port, mode = listener
    assert Listener(Endpoint(host, port), mode) == Listener.parse(text)
    assert str(Listener.parse(text)) == text


@pytest.mark.parametrize("text", ["", "127.0.0.1:25", "127.0.0.1:25/tls", "25/none", ":25/none"])
def test_a_listener_that_cannot_be_read_is_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=repr(text.partition("/")[0])[:-1]):
        Listener.parse(text)


def service(*listeners: str) -> IngestService:
    return IngestService(
        [Listener.parse(text) for text in listeners],
        SessionContext.new(
            hostname="mx",
            intake=None,  # type: ignore[arg-type]
            directory=None,  # type: ignore[arg-type]
            pepper=b"",
            tls=None,
            new_id=None,  # type: ignore[arg-type]
            clock=time.monotonic,
        ),
    )


def test_a_listener_with_tls_needs_a_certificate() -> None:
    with pytest.raises(CannotListen, match="0/implicit needs a TLS certificate"):
        service("127.0.0.1:0/none", "127.0.0.1:0/implicit")


def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            CannotListen, match=rf"127\.0\.0\.1:{port}/none: Address already in use"
        ):
            service(f"127.0.0.1:{port}/none").bind()


async def test_a_client_over_ipv6() -> None:
    ipv6 = service("[::1]:0/none")
    ipv6.bind()
    stopping = asyncio.Event()
    task = asyncio.create_task(ipv6.run(stopping))
    reader, writer = await asyncio.open_connection("::1", ipv6.addresses[0].port)
    assert (await reader.readline()).startswith(b"220 mx ")
    stopping.set()
    await task
    writer.close()


async def test_a_session_that_was_not_admitted_cannot_leave() -> None:
    class Nobody:
        def stop(self) -> None: ...

        def abort(self) -> None: ...

    connections = ConnectionLimiter(total=0, per_address=1)
    nobody = Nobody()
    assert not connections.admit(nobody, "192.0.2.1")
    connections.leave(nobody, "192.0.2.1")
    assert not connections.open


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
