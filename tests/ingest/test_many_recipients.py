"""Five thousand recipients: the limit is told, those within it are kept, the work is linear."""

import sys
from types import FrameType
from typing import Any

import pytest

from posthouse.smtp.commands import Mail
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import AuthRequest, ServerConfig
from servers.door import PLAIN, Running, Wire

MANY, LIMIT = 5_000, 1_000
MESSAGE = b"From: jo@a.example\r\nTo: all:;\r\n\r\nhello\r\n.\r\n"


def recipients(first: int, beyond: int) -> bytes:
    """The commands that name them."""
    return b"".join(b"RCPT TO:<user%d@there.example>\r\n" % n for n in range(first, beyond))


async def test_those_beyond_the_limit_come_in_the_next_transactions(
    door: Running, client: Wire
) -> None:
    """RFC 5321 section 4.5.3.1.10: 452, and the client sends to the rest of them later."""
    first = 0
    while first < MANY:
        await client.send(b"MAIL FROM:<jo@a.example>\r\n" + recipients(first, MANY) + b"DATA\r\n")
        assert await client.reply() == "250 2.1.0 Ok"
        replies = [await client.reply() for _ in range(first, MANY)]
        assert ["250 2.1.5 Ok"] * LIMIT == replies[:LIMIT]
        assert {"452 4.5.3 Too many recipients"} >= set(replies[LIMIT:])
        assert (await client.reply()).startswith("354 ")
        assert (await client.message_end(MESSAGE)).startswith("250 ")
        first += LIMIT
    kept = [one.recipients for one in door.intake.accepted]
    assert [LIMIT] * 5 == [len(each) for each in kept]
    assert [f"user{n}@there.example" for n in range(MANY)] == [r for each in kept for r in each]


def steps(count: int, most: int) -> int:
    """How many steps of the interpreter it takes to read so many, the first *most* to be taken."""
    server = SmtpServer(ServerConfig("mx.example", 1_000, max_recipients=most), lambda *_: None)
    server.receive(f"EHLO x\r\nAUTH PLAIN {PLAIN}\r\n".encode())
    assert isinstance(server.next_event(), AuthRequest)
    server.log_in(1_000)
    server.receive(b"MAIL FROM:<jo@a.example>\r\n")
    mail = server.next_event()
    assert isinstance(mail, Mail)
    server.accept_sender(mail)
    server.receive(recipients(0, count))
    counted = 0

    def count_step(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal counted
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        counted += event == "opcode"
        return count_step

    before = sys.gettrace()
    sys.settrace(count_step)
    try:
        assert server.next_event() is None
    finally:
        sys.settrace(before)
    assert server.take_output().count(b"\r\n250 2.1.5 Ok") == min(count, most)
    return counted


@pytest.mark.parametrize("most", [100, 10_000])
def test_reading_them_is_linear_in_their_number(most: int) -> None:
    """Clock and machine make no difference to what is counted."""
    assert steps(1_000, most) <= 2.5 * steps(500, most)
