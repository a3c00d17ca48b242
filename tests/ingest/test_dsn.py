"""Parameters of DSN (RFC 3461) at the door: offered, read strictly, kept with the message."""

from email.message import EmailMessage

import aiosmtplib

from posthouse.mail.dsn_request import DsnRequest, Notify, RecipientRequest, Return
from servers.door import SECRET, Running, Wire

END = b"From: Jo <jo@a.example>\r\n\r\n.\r\n"


async def test_what_mail_and_rcpt_ask_for_is_kept_with_the_message(
    door: Running, client: Wire
) -> None:
    for line in (
        "MAIL FROM:<jo@a.example> RET=HDRS ENVID=QQ+2B31",
        "RCPT TO:<x@there.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;X+40there.example",
        "RCPT TO:<y@there.example> NOTIFY=NEVER",
        "RCPT TO:<z@there.example>",
    ):
        assert (await client.say(line)).startswith("250 ")
    assert (await client.say("DATA")).startswith("354 ")
    assert (await client.message_end(END)).startswith("250 ")
    (submission,) = door.intake.accepted
    assert submission.attributes.dsn == DsnRequest(
        Return.HDRS,
        "QQ+31",
        {
            "x@there.example": RecipientRequest(
                (Notify.SUCCESS, Notify.DELAY), "rfc822;X@there.example"
            ),
            "y@there.example": RecipientRequest(()),
        },
    )


async def test_the_parameters_of_one_message_are_not_those_of_the_next(
    door: Running, client: Wire
) -> None:
    """Neither after RSET, nor on the same connection."""
    assert (await client.say("MAIL FROM:<jo@a.example> ENVID=one")).startswith("250 ")
    assert (await client.say("RCPT TO:<x@there.example> NOTIFY=NEVER")).startswith("250 ")
    assert (await client.say("RSET")).startswith("250 ")
    assert (await client.message(END)).startswith("250 ")
    assert (await client.message(END)).startswith("250 ")
    assert [None, None] == [one.attributes.dsn for one in door.intake.accepted]


async def test_a_refused_parameter_refuses_its_command_only(door: Running, client: Wire) -> None:
    assert (await client.say("MAIL FROM:<jo@a.example>")).startswith("250 ")
    assert (await client.say("RCPT TO:<x@there.example> NOTIFY=NO")).startswith("501 5.5.4 ")
    assert (await client.say("RCPT TO:<y@there.example>")).startswith("250 ")
    assert (await client.say("DATA")).startswith("354 ")
    assert (await client.message_end(END)).startswith("250 ")
    (submission,) = door.intake.accepted
    assert (("y@there.example",), None) == (submission.recipients, submission.attributes.dsn)


async def test_the_parameters_of_all_recipients_of_a_message_are_bounded(client: Wire) -> None:
    """They are read again for each recipient: with long ones there may be fewer."""
    original = f"rfc822;{'x' * 493}"
    lines = b"".join(
        b"RCPT TO:<u%d@there.example> ORCPT=%s\r\n" % (n, original.encode()) for n in range(300)
    )
    assert (await client.say("MAIL FROM:<jo@a.example>")).startswith("250 ")
    await client.send(lines)
    said = [(await client.reply())[:9] for _ in range(300)]
    assert set(said[:116]) == {"250 2.1.5"}
    assert set(said[117:]) == {"452 4.5.3"}


async def test_a_library_that_is_asked_for_reports_sends_the_parameters(door: Running) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"] = "jo@a.example", "x@there.example"
    async with aiosmtplib.SMTP(
        hostname=door.address.host, port=door.address.port, start_tls=False
    ) as smtp:
        await smtp.login("user", SECRET)
        assert smtp.supports_extension("dsn")
        await smtp.send_message(
            mail, mail_options=["RET=FULL"], rcpt_options=["NOTIFY=FAILURE,DELAY"]
        )
    (submission,) = door.intake.accepted
    asked = RecipientRequest((Notify.FAILURE, Notify.DELAY))
    assert submission.attributes.dsn == DsnRequest(Return.FULL, "", {"x@there.example": asked})
