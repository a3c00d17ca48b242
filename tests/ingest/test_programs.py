"""What programs do that no RFC told them to, each seen in the wild, over real sockets."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from servers.door import PLAIN, OpenDoor, Running, Wire
from servers.patience import on_this_machine

GOOD = b"From: Jo <jo@a.example>\r\nSubject: hello\r\n\r\nBody\r\n.\r\n"


def replies_counted(verb: str, code_class: str) -> float:
    labels = {"verb": verb, "code_class": code_class}
    return REGISTRY.get_sample_value("posthouse_smtp_commands_total", labels) or 0.0


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b"my_pc", "my_pc"),
        (b"192.0.2.7", "192.0.2.7"),
        (b"my laptop", "my laptop"),
        ("müller-pc".encode(), "müller-pc"),
        ("müller-pc".encode("latin-1"), "m?ller-pc"),
        ("Мой-ПК".encode("cp1251"), "???-??"),
        (b"pc\0\x1b[2J\rx", "pc??[2J?x"),
        ("pc\u200b\u2028".encode(), "pc??"),
    ],
)
@pytest.mark.parametrize("verb", [b"EHLO", b"ehlo"])
async def test_ehlo_names_come_in_any_octets(
    door: Running, verb: bytes, name: bytes, kept: str
) -> None:
    client = await door.connect()
    await client.send(verb + b" " + name + b"\r\n")
    assert (await client.reply()).startswith("250-mx.posthouse.example")
    assert (await client.say(f"AUTH PLAIN {PLAIN}")).startswith("235 ")
    assert (await client.message(GOOD)).startswith("250 ")
    assert kept == door.intake.accepted[0].helo


async def test_helo_names_come_in_any_octets(door: Running) -> None:
    client = await door.connect()
    await client.send(b"HELO m\xfcller-pc\r\n")
    assert await client.reply() == "250 mx.posthouse.example"


async def test_auth_behind_helo_is_told_to_say_ehlo(door: Running) -> None:
    client = await door.connect()
    await client.say("HELO old-printer")
    told = "503 5.5.1 AUTH is an extension: say EHLO in place of HELO first"
    assert told == await client.say(f"AUTH PLAIN {PLAIN}")
    await client.log_in()


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (
            "MAIL FROM:Shop <shop@a.example>",
            (
                "501 5.1.3 'Shop <shop@a.example>' has a name before the address: "
                "give MAIL FROM:<shop@a.example>"
            ),
        ),
        (
            'MAIL FROM:"The Shop" <shop@a.example> SIZE=100',
            (
                "501 5.1.3 '\"The Shop\" <shop@a.example> SIZE=100' has a name before the "
                "address: give MAIL FROM:<shop@a.example>"
            ),
        ),
        (
            "MAIL FROM: Our Shöp<shop@a.example>",
            (
                "501 5.1.3 'Our Sh\\xf6p<shop@a.example>' has a name before the address: "
                "give MAIL FROM:<shop@a.example>"
            ),
        ),
        ("MAIL FROM:shop@a.example AUTH=<>", "250 2.1.0 Ok"),
        ("MAIL FROM:shop@a.example X=<y>", "555 5.5.4 MAIL parameter 'X' not recognized"),
    ],
)
async def test_a_name_before_the_address_is_what_is_wrong(
    client: Wire, line: str, reply: str
) -> None:
    assert reply == await client.say(line)


async def test_a_name_before_a_recipient_is_what_is_wrong(client: Wire) -> None:
    await client.say("MAIL FROM:<jo@a.example>")
    assert (await client.say("RCPT TO:Ann <ann@there.example>")) == (
        "501 5.1.3 'Ann <ann@there.example>' has a name before the address: "
        "give RCPT TO:<ann@there.example>"
    )


@pytest.mark.parametrize(
    ("given", "seen", "what"),
    [
        ("<zoe@c.example\u200b>", "<zoe@c.example\\u200b>", "U+200B (ZERO WIDTH SPACE)"),
        ("<\ufeffzoe@c.example>", "<\\ufeffzoe@c.example>", "U+FEFF (ZERO WIDTH NO-BREAK SPACE)"),
        ("<zoe@c.example>\u00a0", "<zoe@c.example>\\xa0", "U+00A0 (NO-BREAK SPACE)"),
        ("<\u202azoe@c.example\u202c>", "<\\u202azoe@c.example\\u202c>", None),
    ],
)
async def test_a_pasted_blank_without_width_is_named_and_spoils_nothing(
    door: Running, client: Wire, given: str, seen: str, what: str | None
) -> None:
    what = what or "U+202A (LEFT-TO-RIGHT EMBEDDING)"
    await client.envelope("jo@a.example", "ann@there.example")
    for _ in range(25):  # twenty errors of protocol would end the connection
        reply = await client.say(f"RCPT TO:{given}")
        told = f"'{seen}' is not a mail address: it holds the invisible character {what}"
        assert reply == f"501 5.1.3 {told}"
    assert (await client.say("DATA")).startswith("354 ")
    assert (await client.message_end(GOOD)).startswith("250 ")
    assert door.intake.accepted[0].recipients == ("ann@there.example",)


async def test_a_pasted_blank_in_from_is_named(client: Wire) -> None:
    reply = await client.message("From: jo@a.example\u200b\r\n\r\n.\r\n".encode())
    assert reply.startswith("550 5.6.0 The From header cannot be read: 'jo@a.example\\u200b' ")
    assert "the invisible character U+200B (ZERO WIDTH SPACE)" in reply


async def test_control_characters_in_an_address_are_an_error_of_protocol(client: Wire) -> None:
    await client.say("MAIL FROM:<jo@a.example>")
    assert (await client.say("RCPT TO:<a\x00\u200b@c.example>")).startswith("500 5.5.2 ")


@pytest.mark.parametrize("local", ["foo..bar.", "abc..def", "abc.", '"foo..bar."'])
async def test_dots_in_a_row_are_taken_and_quoted(door: Running, client: Wire, local: str) -> None:
    await client.envelope("jo@a.example", f"{local}@carrier.example")
    assert (await client.say("DATA")).startswith("354 ")
    assert (await client.message_end(GOOD)).startswith("250 ")
    plain = local.strip('"')
    assert door.intake.accepted[0].recipients == (f'"{plain}"@carrier.example',)


@pytest.mark.parametrize("end", [",", ";", ", ", ";,", " ;\t"])
async def test_a_separator_behind_from_is_passed_over(
    door: Running, client: Wire, end: str
) -> None:
    reply = await client.message(f"From: Shop <jo@a.example>{end}\r\n\r\nx\r\n.\r\n".encode())
    assert reply.startswith("250 ")
    assert door.intake.accepted[0].header == f"From: Shop <jo@a.example>{end}\r\n\r\n".encode()


@pytest.mark.parametrize(
    "line", [b"From jo@a.example Mon Nov 30 10:00:00 2026", b">From x", b">>From \xff\xfe"]
)
async def test_a_header_that_begins_with_an_mbox_line_is_read_behind_it(
    door: Running, client: Wire, line: bytes
) -> None:
    assert (await client.message(line + b"\r\n" + GOOD)).startswith("250 ")
    kept = door.intake.accepted[0]
    assert kept.header == b"From: Jo <jo@a.example>\r\nSubject: hello\r\n\r\n"
    assert kept.body == b"Body\r\n"


async def test_an_obsolete_from_field_is_no_mbox_line(door: Running, client: Wire) -> None:
    assert (await client.message(b"From : jo@a.example\r\n\r\nx\r\n.\r\n")).startswith("250 ")
    assert door.intake.accepted[0].header == b"From : jo@a.example\r\n\r\n"


async def test_one_mbox_line_is_left_out_and_no_second(client: Wire) -> None:
    lines = b"From x\r\n" * 10_000
    assert (await client.message(lines + GOOD)) == "550 5.6.0 The message has no From header"


async def sent_in_one(door: Running, octets: bytes) -> str:
    """What a client reads that sends all it has to say at once, and reads then."""
    client = await door.logged_in()
    client.writer.write(octets)
    async with asyncio.timeout(on_this_machine(5)):
        with contextlib.suppress(ConnectionError):
            await client.writer.drain()
        return (await client.reader.read()).decode()


async def test_a_client_that_pipelined_quit_behind_its_errors_reads_the_last_reply(
    open_door: OpenDoor,
) -> None:
    """A reset would throw our replies away before they are read."""
    door = await open_door("none", protocol_errors=3)
    wrong = b"NONSENSE\r\n" * 3
    for _ in range(20):
        read = await sent_in_one(door, wrong + b"QUIT\r\n" + b"x" * 3_000_000)
        assert read.endswith("421 4.7.0 Too many errors\r\n")


async def goes_on(client: Wire) -> None:
    async with asyncio.timeout(on_this_machine(10)):
        while True:
            await client.send(b"NOOP\r\n" * 1000)
            await asyncio.sleep(0)


async def test_a_client_that_goes_on_is_left_after_a_while(
    open_door: OpenDoor, leap: Callable[[float], None]
) -> None:
    door = await open_door("none", protocol_errors=1)
    client = await door.connect()
    await client.say("NONSENSE")
    assert (await client.reply()).startswith("421 ")
    assert await client.reader.read() == b""  # all that is said
    leap(3.0)
    with pytest.raises(ConnectionError):
        await goes_on(client)


async def test_quit_behind_data_is_answered_after_the_refusal(door: Running) -> None:
    client = await door.logged_in()
    await client.envelope()
    await client.say("DATA")
    await client.send(b"Subject: no author\r\n\r\n.\r\nQUIT\r\n")
    assert await client.reply() == "550 5.6.0 The message has no From header"
    assert await client.reply() == "221 2.0.0 Goodbye"
    assert await client.is_closed()


async def test_quit_over_tls_behind_errors_reads_the_last_reply(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    door = await open_door("implicit", protocol_errors=3)
    client = await door.connect(tls=client_tls)
    await client.send(b"NONSENSE\r\n" * 3 + b"QUIT\r\n" * 1000)
    assert [(await client.reply())[:3] for _ in range(4)] == ["500", "500", "500", "421"]


async def test_quit_is_never_an_error(door: Running) -> None:
    before = replies_counted("QUIT", "5xx"), replies_counted("AUTH", "5xx")
    said = replies_counted("QUIT", "2xx")
    for before_it in ((), ("EHLO x", "AUTH PLAIN"), ("EHLO x", "AUTH LOGIN", "dXNlcg==")):
        for quit_ in ("QUIT", "quit", "QUIT now"):
            client = await door.connect()
            for line in before_it:
                await client.say(line)
            if before_it and quit_ == "QUIT now":
                continue  # it could be the answer to a challenge
            assert await client.say(quit_) == "221 2.0.0 Goodbye"
            assert await client.is_closed()
    assert before == (replies_counted("QUIT", "5xx"), replies_counted("AUTH", "5xx"))
    assert replies_counted("QUIT", "2xx") == said + 7
