"""The conversation: greeting, order of commands, envelope, and what a message becomes."""

import asyncio
import smtplib
from dataclasses import replace
from email.message import EmailMessage
from uuid import UUID

import aiosmtplib
import pytest

from posthouse.mail.lane import Lane
from servers.door import LOGIN, PLAIN, SECRET, OpenDoor, Running, Wire

GOOD = b"From: Jo <jo@a.example>\r\nSubject: hello\r\n\r\nBody\r\n.\r\n"


def a_mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Jo Doe <jo@a.example>"
    mail["To"] = "x@there.example, y@there.example"
    mail["Subject"] = "hello"
    mail.set_content("Good day\n.\n..dots\n")
    return mail


async def test_a_message_is_accepted_under_the_id_that_the_reply_names(
    door: Running, client: Wire
) -> None:
    reply = await client.message(GOOD)

    (submission,) = door.intake.accepted
    assert reply == f"250 2.0.0 Ok: queued as {submission.id.hex}"
    assert submission.account_id == LOGIN.account_id
    assert submission.credential_id == LOGIN.credential_id
    assert submission.profile == "native"
    assert submission.lane is Lane.NORMAL
    assert submission.sender == "jo@a.example"
    assert submission.recipients == ("x@there.example",)
    assert submission.client == "127.0.0.1"
    assert submission.helo == "client.example"
    assert submission.tls == ""
    assert not submission.smtputf8
    assert submission.header == b"From: Jo <jo@a.example>\r\nSubject: hello\r\n\r\n"
    assert submission.body == b"Body\r\n"


async def test_a_message_from_the_domain_of_a_child_is_the_childs(door: Running) -> None:
    child = UUID(int=9)
    door.directory.logins["user"] = replace(
        LOGIN, domains_of_children={child: frozenset(("child.example",))}
    )
    client = await door.logged_in()
    for domain in ("child.example", "a.example"):
        await client.envelope(f"jo@{domain}")
        assert (await client.say("DATA")).startswith("354 ")
        reply = await client.message_end(f"From: jo@{domain}\r\n\r\n.\r\n".encode())
        assert reply.startswith("250 ")
    assert [child, LOGIN.account_id] == [mail.account_id for mail in door.intake.accepted]
    assert {LOGIN.credential_id} == {mail.credential_id for mail in door.intake.accepted}


async def test_no_reply_to_data_before_the_message_is_committed(
    door: Running, client: Wire
) -> None:
    door.intake.open.clear()
    await client.envelope()
    await client.say("DATA")
    await client.send(GOOD)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.reader.readexactly(1)
    door.intake.open.set()
    assert (await client.reply()).startswith("250 ")


async def test_smtplib_sends(door: Running) -> None:
    def send() -> dict[str, tuple[int, bytes]]:
        with smtplib.SMTP(door.address.host, door.address.port, timeout=60) as smtp:
            smtp.login("user", SECRET)
            return smtp.send_message(a_mail())

    assert await asyncio.to_thread(send) == {}
    (submission,) = door.intake.accepted
    assert submission.recipients == ("x@there.example", "y@there.example")
    assert submission.body == b"Good day\r\n.\r\n..dots\r\n"


async def test_aiosmtplib_sends_several_messages_over_one_connection(door: Running) -> None:
    async with aiosmtplib.SMTP(
        hostname=door.address.host, port=door.address.port, start_tls=False
    ) as smtp:
        await smtp.login("user", SECRET)
        for _ in range(3):
            _, text = await smtp.send_message(a_mail())
            assert text.startswith("2.0.0 Ok: queued as ")
    assert len(door.intake.accepted) == 3


async def test_ehlo_offers_what_we_can(door: Running) -> None:
    client = await door.connect()
    assert (await client.say("EHLO [127.0.0.1]")).split("\n") == [
        "250-mx.posthouse.example",
        "250-PIPELINING",
        "250-CHUNKING",
        "250-LIMITS RCPTMAX=1000",
        "250-SIZE 26214400",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-ENHANCEDSTATUSCODES",
        "250-DSN",
        "250 AUTH PLAIN LOGIN SCRAM-SHA-256",
    ]


async def test_helo_is_answered_but_leads_nowhere(door: Running) -> None:
    client = await door.connect()
    assert await client.say("HELO vm") == "250 mx.posthouse.example"
    assert (await client.say(f"AUTH PLAIN {PLAIN}")).startswith("503 5.5.1 AUTH is an extension")
    assert await client.say("MAIL FROM:<jo@a.example>") == "530 5.7.0 Authentication required"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("MAIL FROM:<jo@a.example>", "503 5.5.1 Send EHLO first"),
        ("AUTH LOGIN", "503 5.5.1 Send EHLO first"),
        ("EHLO", "501 5.5.4 Say your name: EHLO host.example"),
        ("HELO", "501 5.5.4 Say your name: EHLO host.example"),
        ("NOOP whatever", "250 2.0.0 Ok"),
        ("rset", "250 2.0.0 Ok"),
        ("RSET now", "501 5.5.4 This command takes no argument"),
        ("QUIT now", "221 2.0.0 Goodbye"),
        ("STARTTLS", "502 5.5.1 STARTTLS is not offered here"),
        ("STARTTLS now", "501 5.5.4 This command takes no argument"),
        ("HELP", "214 2.0.0 RFC 5321, RFC 6409"),
        ("EXPN list", "502 5.5.1 Command not implemented"),
        ("BDAT 0 LAST", "503 5.5.1 Send EHLO first"),
        ("", "500 5.5.1 Command not recognized"),
        ("QUIT", "221 2.0.0 Goodbye"),
    ],
)
async def test_before_ehlo(door: Running, line: str, reply: str) -> None:
    client = await door.connect()
    assert await client.say(line) == reply


@pytest.mark.parametrize("line", ["MAIL FROM:<jo@a.example>", "RCPT TO:<x@a.example>", "DATA"])
async def test_nothing_without_login(door: Running, line: str) -> None:
    client = await door.connect()
    await client.say("EHLO x")
    assert await client.say(line) == "530 5.7.0 Authentication required"


async def test_commands_out_of_order(client: Wire) -> None:
    assert await client.say("RCPT TO:<x@there.example>") == "503 5.5.1 Send MAIL first"
    assert await client.say("DATA") == "503 5.5.1 Send MAIL first"
    await client.say("MAIL FROM:<jo@a.example>")
    assert await client.say("MAIL FROM:<jo@a.example>") == "503 5.5.1 Sender already given"
    assert await client.say("DATA") == "554 5.5.1 No valid recipients"
    await client.say("RCPT TO:<x@there.example>")
    assert await client.say("DATA now") == "501 5.5.4 This command takes no argument"
    assert (await client.say("VRFY x")).startswith("252 2.5.0 ")
    assert (await client.say("DATA")).startswith("354 ")
    assert (await client.message_end(GOOD)).startswith("250 ")


async def test_rset_and_ehlo_forget_the_envelope_but_not_the_login(client: Wire) -> None:
    for command in ("RSET", "EHLO again"):
        await client.envelope()
        assert (await client.say(command)).startswith("250")
        assert await client.say("DATA") == "503 5.5.1 Send MAIL first"
    await client.envelope()


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("MAIL FROM:<jo@a.example> RET=HDRS ENVID=x AUTH=<> BODY=8BITMIME SIZE=100", "250"),
        ("mail from: <jo@A.EXAMPLE>", "250"),
        ("MAIL FROM:jo@a.example", "250"),
        ("MAIL FROM:<jö@a.example> SMTPUTF8", "250"),
        ("MAIL FROM:<jö@a.example>", "553 5.6.7 "),
        ("MAIL FROM:<>", "250 2.1.0 Ok"),
        ("MAIL FROM:<jo@a..example>", "501 5.1.3 'jo@a..example' is not a mail address: "),
        ("MAIL FROM:<jo@a.example", "501 5.5.4 Syntax"),
        ("MAIL jo@a.example", "501 5.5.4 Syntax"),
        ("MAIL", "501 5.5.4 Syntax"),
        ("MAIL FROM:<jo@a.example> SIZE=26214401", "552 5.3.4 Message larger than 26214400"),
        ("MAIL FROM:<jo@a.example> SIZE=many", "501 5.5.4 Bad value for MAIL parameter SIZE"),
        ("MAIL FROM:<jo@a.example> XYZ=1", "555 5.5.4 MAIL parameter 'XYZ' not recognized"),
        (
            "MAIL FROM:<jo@x.example>",
            (
                "550 5.7.1 Sender domain x.example is not one of this account's verified domains: "
                "a.example, b.example"
            ),
        ),
        ("MAIL FROM:<jo@sub.a.example>", "550 5.7.1 Sender domain sub.a.example is not one of"),
    ],
)
async def test_senders(client: Wire, line: str, reply: str) -> None:
    assert (await client.say(line)).startswith(reply)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("RCPT TO:<x@nowhere.invalid> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@y.example", "250"),
        ("RCPT TO:<x@[192.0.2.1]>", "250"),
        ('RCPT TO:<"a b"@there.example>', "250"),
        ("RCPT TO:<nobody>", "501 5.1.3 'nobody' is not a mail address: it has no @"),
        ("RCPT TO:<>", "501 5.1.3 '' is not a mail address: it has no @"),
        ("RCPT TO:<@a.example:x@there.example>", "501 5.1.3 "),
        ("RCPT TO:<x@there.example> XYZ", "555 5.5.4 RCPT parameter 'XYZ' not recognized"),
        ("RCPT TO:<ö@there.example>", "553 5.6.7 "),
        ("RCPT x@there.example", "501 5.5.4 Syntax"),
    ],
)
async def test_recipients(client: Wire, line: str, reply: str) -> None:
    await client.say("MAIL FROM:<jo@a.example>")
    assert (await client.say(line)).startswith(reply)


async def test_a_refused_recipient_does_not_spoil_the_others(door: Running, client: Wire) -> None:
    await client.say("MAIL FROM:<jo@a.example>")
    await client.say("RCPT TO:<x@there.example>")
    assert (await client.say("RCPT TO:<nobody>")).startswith("501 ")
    await client.say("RCPT TO:<X@There.Example>")
    await client.say("RCPT TO:<x@THERE.example>")  # the first once more
    await client.say("DATA")
    assert (await client.message_end(GOOD)).startswith("250 ")
    assert door.intake.accepted[0].recipients == ("x@there.example", "X@there.example")


async def test_recipients_beyond_the_limit_are_to_be_sent_next_time(open_door: OpenDoor) -> None:
    door = await open_door(recipients=3)
    client = await door.logged_in()
    await client.envelope("jo@a.example", *(f"{i}@there.example" for i in range(3)))
    assert await client.say("RCPT TO:<3@there.example>") == "452 4.5.3 Too many recipients"
    await client.say("DATA")
    assert (await client.message_end(GOOD)).startswith("250 ")


@pytest.mark.parametrize(
    ("header", "reply"),
    [
        (b"Subject: x", "550 5.6.0 The message has no From header"),
        (b"From: jo@a.example\r\nFROM: al@a.example", "550 5.6.0 The message has more than one"),
        (b"From: nobody", "550 5.6.0 The From header cannot be read: 'nobody' is not a mail"),
        (b"From: x@x.example", "550 5.7.1 From domain x.example is not one of this account's"),
        (b"From : x@x.example", "550 5.7.1 From domain x.example is not one of this account's"),
        (b"From: jo@a.example, x@x.example", "550 5.7.1 From domain x.example is not one of"),
        (b"From: jo@a.example\r\n" + b"Received: x\r\n" * 51, "554 5.4.6 "),
        (b"From: jo@a.example\r\nX: " + b"x" * 70_000, "552 5.3.4 Header of more than 65536"),
        (b"From: jo@a.example" + b"\r\nX: 123456789" * 7_000, "552 5.3.4 Header of "),
    ],
)
async def test_messages_refused_for_their_header(client: Wire, header: bytes, reply: str) -> None:
    """The conversation goes on afterwards."""
    assert (await client.message(header + b"\r\n\r\nbody\r\n.\r\n")).startswith(reply)
    assert (await client.message(GOOD)).startswith("250 ")


@pytest.mark.parametrize(
    ("header", "highest", "lane"),
    [
        (b"X-Other: x", Lane.VERY_HIGH, Lane.NORMAL),
        (b"X-Priority: 1 (Highest)", Lane.VERY_HIGH, Lane.VERY_HIGH),
        (b"X-Priority: 1", Lane.HIGH, Lane.HIGH),
        (b"X-Priority: 5", Lane.VERY_HIGH, Lane.NORMAL),
        (b"Importance: High", Lane.VERY_HIGH, Lane.HIGH),
        (b"X-Priority: 3\r\nImportance: High", Lane.VERY_HIGH, Lane.NORMAL),
        (b"X-Priority: 2\r\nX-Priority: 1", Lane.VERY_HIGH, Lane.HIGH),
    ],
)
async def test_U08_lane_of_a_message(
    door: Running, header: bytes, highest: Lane, lane: Lane
) -> None:
    door.directory.logins["user"] = replace(LOGIN, highest_lane=highest)
    client = await door.logged_in()
    assert (await client.message(header + b"\r\n" + GOOD)).startswith("250 ")
    assert door.intake.accepted[0].lane is lane


async def test_pipelined_commands_are_answered_in_order(door: Running, client: Wire) -> None:
    await client.send(
        b"MAIL FROM:<jo@a.example>\r\nRCPT TO:<x@there.example>\r\n"
        b"RCPT TO:<nobody>\r\nRCPT TO:<y@there.example>\r\nDATA\r\n"
    )
    assert [(await client.reply())[:3] for _ in range(5)] == ["250", "250", "501", "250", "354"]
    await client.send(GOOD + b"MAIL FROM:<jo@x.example>\r\nNOOP\r\nQUIT\r\n")
    assert [(await client.reply())[:3] for _ in range(4)] == ["250", "550", "250", "221"]
    assert await client.is_closed()
    assert len(door.intake.accepted) == 1


async def test_every_cut_of_a_conversation_gives_the_same(door: Running, client: Wire) -> None:
    """Octet by octet, a dialog means what it means in one piece."""
    dialog = b"MAIL FROM:<jo@a.example>\r\nRCPT TO:<x@there.example>\r\nDATA\r\n" + GOOD
    for octet in dialog:
        await client.send(bytes([octet]))
        await asyncio.sleep(0)
    assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "354", "250"]
    assert door.intake.accepted[0].body == b"Body\r\n"


async def test_a_client_that_closes_its_side_early_still_gets_its_replies(
    door: Running, client: Wire
) -> None:
    dialog = b"MAIL FROM:<jo@a.example>\r\nRCPT TO:<x@there.example>\r\nDATA\r\n"
    await client.send(dialog + GOOD)
    client.writer.write_eof()
    assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "354", "250"]
    assert await client.is_closed()
    assert len(door.intake.accepted) == 1


async def test_a_client_that_leaves_in_data_has_sent_nothing(door: Running, client: Wire) -> None:
    await client.envelope()
    await client.say("DATA")
    await client.send(GOOD[:-3])
    client.writer.close()
    assert (await (await door.logged_in()).message(GOOD)).startswith("250 ")
    assert len(door.intake.accepted) == 1
