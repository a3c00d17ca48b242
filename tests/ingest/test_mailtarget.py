"""The profile `mailtarget` at the door: access and senders (RULES T01, T04 to T07, T19, T24)."""

import base64
import ssl
from dataclasses import replace
from uuid import UUID

import pytest

from ingest.core.domains_of_others import domains_to_ask
from ingest.core.sender_rules import check_sender
from posthouse.mail.address import Address
from servers.admitting import admitted, facts_for, incoming, refused
from servers.door import LOGIN, SECRET, OpenDoor, Wire

FACTS = facts_for("mailtarget", domains={"a.example"})
KEY = f"user.{SECRET}"
NAME = "smtp_mt_injection"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def client_of(open_door: OpenDoor, mode: str = "opportunistic") -> Wire:
    door = await open_door(mode)
    door.directory.logins = {"user": replace(LOGIN, profile="mailtarget")}
    client = await door.connect()
    await client.say("EHLO client.example")
    return client


async def auth_login(client: Wire) -> str:
    assert "334 VXNlcm5hbWU6" == await client.say("AUTH LOGIN")
    assert "334 UGFzc3dvcmQ6" == await client.say(b64(NAME))
    return await client.say(b64(KEY))


async def test_T01_T06_the_dialogue_of_swaks(
    open_door: OpenDoor, client_tls: ssl.SSLContext
) -> None:
    """`swaks --auth --auth-user --auth-password --server HOST:587 -tls`."""
    client = await client_of(open_door)
    await client.start_tls(client_tls)
    assert "AUTH PLAIN LOGIN" in await client.say("EHLO client.example")
    assert (await auth_login(client)).startswith("235 ")
    await client.envelope()
    assert (await client.say("DATA")).startswith("354 ")
    content = b"From: jo@a.example\r\nTo: x@there.example\r\nSubject: test\r\n\r\nTest\r\n.\r\n"
    assert (await client.message_end(content)).startswith("250 ")
    assert (await client.say("QUIT")).startswith("221 ")


async def test_T05_tls_is_recommended_and_not_required(open_door: OpenDoor) -> None:
    assert (await auth_login(await client_of(open_door))).startswith("235 ")


@pytest.mark.parametrize(
    ("author", "domain"),
    [
        ("jo@admin.example.com", "admin.example.com"),
        ("Jo <jo@sub.a.example>", "sub.a.example"),
        ("jo@a.example, al@x.example", "x.example"),
        ("jo@BÜCHER.example", "xn--bcher-kva.example"),
    ],
)
def test_T19_from_has_to_be_at_a_configured_sending_domain(author: str, domain: str) -> None:
    message = incoming(f"From: {author}\nTo: al@there.example\n", FACTS)
    assert f"550 5.7.1 Unconfigured Sending Domain <{domain}>" == refused(message)


def test_T24_mail_from_may_be_anything() -> None:
    """Also at a domain of the relay, or of another account: nobody ever hears of it."""
    header = "From: jo@a.example\nTo: al@there.example\n"
    facts = replace(FACTS, relay_names=frozenset({"relay.example"}))
    for sender in ("any@thing.example", "any@relay.example"):
        assert check_sender(Address.parse(sender), facts) is None
        message = incoming(header, facts, sender)
        assert not domains_to_ask(message.head, sender, facts)
        assert ("al@there.example",) == admitted(message).recipients


def test_T07_the_key_of_a_parent_sends_for_its_children() -> None:
    """Which of them is known by the domain of From, without a word in the user name."""
    child = UUID(int=7)
    facts = facts_for(
        "mailtarget", domains={"a.example", "c.example"}, child_domains={"c.example": child}
    )
    for domain, account in (("a.example", facts.account_id), ("c.example", child)):
        message = incoming(f"From: jo@{domain}\nTo: al@there.example\n", facts)
        assert account == admitted(message).account_id
