"""The profile `maxemail` at the door: access, senders and replies (RULES M01 to M08, M15, M16)."""

import base64
import ssl
from contextlib import suppress
from dataclasses import replace

import pytest

from ingest.core.domains_of_others import domains_to_ask
from ingest.core.sender_rules import check_sender, choose_account
from posthouse.mail.address import Address
from posthouse.profiles import resolve
from servers.admitting import admitted, facts_for, incoming
from servers.door import LOGIN, PLAIN, SECRET, OpenDoor, Running, Wire

FACTS = facts_for("maxemail", domains={"a.example"})
GOOD = b"From: Jo <news@a.example>\r\nTo: x@there.example\r\n\r\nHello\r\n.\r\n"
OK = "235 2.7.0 Authentication successful"


async def door_for(open_door: OpenDoor, *modes: str) -> Running:
    door = await open_door(*modes)
    door.directory.logins = {"user": replace(LOGIN, profile="maxemail")}
    return door


async def customer(door: Running, client_tls: ssl.SSLContext) -> Wire:
    """A client over STARTTLS that is logged in."""
    client = await door.connect()
    await client.say("EHLO client.example")
    await client.start_tls(client_tls)
    await client.log_in()
    return client


async def test_M01_the_user_name_is_a_mail_address(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    name = "user@customer.example"
    door = await door_for(open_door, "implicit")
    door.directory.logins = {name: replace(LOGIN, username=name, profile="maxemail")}
    client = await door.connect(tls=client_tls)
    await client.say("EHLO client.example")
    plain = base64.b64encode(f"\0{name}\0{SECRET}".encode()).decode()
    assert OK == await client.say(f"AUTH PLAIN {plain}")


async def test_M02_M06_in_clear_then_starttls_then_login(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    """Port 587, as EnableSsl of .NET does it."""
    door = await door_for(open_door, "starttls_required")
    client = await door.connect()
    assert "STARTTLS" in await client.say("EHLO client.example")
    await client.start_tls(client_tls)
    await client.log_in()
    assert (await client.message(GOOD)).startswith("250 ")
    assert door.intake.accepted[0].tls.startswith("TLSv1.3")


async def test_M03_plaintext_where_tls_begins_with_the_first_byte_fails_before_mail(
    open_door: OpenDoor,
) -> None:
    """Port 465."""
    door = await door_for(open_door, "implicit")
    client = await door.connect(greeting=False)
    await client.send(b"EHLO client.example\r\n")
    with suppress(ConnectionError):
        assert b"250" not in await client.reader.read()
    assert not door.intake.asked


@pytest.mark.parametrize("line", ["MAIL FROM:<jo@a.example>", f"AUTH PLAIN {PLAIN}", "AUTH LOGIN"])
async def test_M04_M05_nothing_before_tls(open_door: OpenDoor, line: str) -> None:
    """Ports 25 and 587: encryption is enforced."""
    door = await door_for(open_door, "starttls_required")
    client = await door.connect()
    assert "AUTH" not in await client.say("EHLO client.example")
    assert "530 5.7.0 Must issue a STARTTLS command first" == await client.say(line)


async def test_M05_a_port_for_all_takes_no_login_in_clear(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    """Where other profiles may log in without TLS."""
    door = await door_for(open_door, "opportunistic")
    client = await door.connect()
    await client.say("EHLO client.example")
    assert (await client.say(f"AUTH PLAIN {PLAIN}")).startswith("538 5.7.11 ")
    assert (await client.say("MAIL FROM:<jo@a.example>")).startswith("530 ")
    assert (await (await customer(door, client_tls)).message(GOOD)).startswith("250 ")


@pytest.mark.parametrize(
    ("sender", "taken"),
    [
        ("jo@a.example", True),
        ("anybody@A.example", True),
        ("jo@sub.a.example", False),
        ("jo@x.example", False),
    ],
)
def test_M07_mail_from_has_to_be_at_an_allowed_domain(sender: str, *, taken: bool) -> None:
    refusal = check_sender(Address.parse(sender), FACTS)
    assert taken is (refusal is None)
    if refusal is not None:
        assert str(refusal.reply) == (
            f"550 5.7.1 Sender domain {sender.partition('@')[2]}"
            " is not one of your allowed domains: a.example"
        )


def test_M08_from_may_name_any_domain_because_it_is_replaced() -> None:
    """Also one that another account has: nobody sees it."""
    message = incoming("From: Jo <jo@other.example>\nTo: al@there.example\n", FACTS)
    assert frozenset() == domains_to_ask(message.head, message.sender, FACTS)
    assert ("al@there.example",) == admitted(message).recipients
    sender = replace(message.session, domains={"b.example"})
    assert {"a.example"} == domains_to_ask(message.head, message.sender, sender)


def test_M08_a_message_belongs_to_the_account_of_mail_from() -> None:
    child = LOGIN.credential_id
    facts = facts_for(
        "maxemail", domains={"a.example", "c.example"}, child_domains={"c.example": child}
    )
    message = incoming("From: jo@c.example\nTo: al@there.example\n", facts)
    assert facts.account_id == choose_account(message, admitted(message)).account_id
    own = message._replace(sender="jo@c.example")
    assert child == choose_account(own, admitted(own)).account_id


async def test_M15_errors_are_replies_of_4yz_or_5yz(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    client = await customer(await door_for(open_door, "opportunistic"), client_tls)
    for line, code in (
        ("MAIL FROM:<jo@x.example>", "550 5.7.1 "),
        ("MAIL FROM:<jo>", "501 "),
        ("RCPT TO:<x@there.example>", "503 "),
    ):
        assert (await client.say(line)).startswith(code)
    for fields, text in (
        (b"To: y@there.example\r\n", "The recipient in To, 'y@there.example', was not named by"),
        (b"", "The message has no To header"),
        (b"To: x@there.example\r\nX-Mxm-Flags: all\r\n", "X-Mxm-Flags: 'all' is not a whole"),
    ):
        reply = await client.message(b"From: jo@a.example\r\n" + fields + b"\r\n.\r\n")
        assert reply.startswith(f"550 5.6.0 {text}")


async def test_M16_the_reply_names_the_message(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    door = await door_for(open_door, "opportunistic")
    client = await customer(door, client_tls)
    replies = [await client.message(GOOD) for _ in range(2)]
    ids = [each.id.hex for each in door.intake.accepted]
    assert [f"250 2.0.0 Ok: queued as {id_}" for id_ in ids] == replies
    assert 2 == len(set(ids))


def test_M21_one_header_with_commas_is_the_same_as_three() -> None:
    def tags(fields: str) -> tuple[str, ...]:
        header = f"From: jo@a.example\nTo: al@there.example\n{fields}"
        return admitted(incoming(header, FACTS)).attributes.tags

    one = tags("X-Mxm-Tag: order,confirmation,guest\n")
    assert ("order", "confirmation", "guest") == one
    assert one == tags("X-Mxm-Tag: order\nX-Mxm-Tag: confirmation\nX-Mxm-Tag: guest\n")
    assert one == tags("X-Mxm-Tag:  order , confirmation,,guest ,order\nX-MXM-TAG: \n")
    assert ("größte Bestellung",) == tags("X-Mxm-Tag: größte Bestellung\n")


def test_X19_the_profile_checks_every_list_unless_a_flag_says_otherwise() -> None:
    knobs = resolve("maxemail").suppression
    assert all((knobs.check_bounces, knobs.check_unsubscribes, knobs.check_complaints))
    assert knobs.override_allowed
