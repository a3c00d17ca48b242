"""The page "Setting Up CritSend's SMTP relay or API", example by example (RULES C)."""

from collections.abc import AsyncIterator
from email import message_from_string, policy

import aiosmtplib
import pytest
import pytest_asyncio

from e2e.vendors_pages import Customer, customer, message, relay_of, text_of
from servers.shared_relay import SharedRelay

TO = "ann@dest.example"
FOO = "foo@bar.com"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    async with relay_of(tmp_path_factory) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bar(relay: SharedRelay) -> Customer:
    """One whose "Signed-by" is foo@bar.com."""
    return await customer(
        relay, "critsend", f"sender.signed_by={FOO}", account="bar", domains=("bar.com",)
    )


def mail(author: str = FOO, fields: str = "", subject: str = "Hello") -> str:
    return f"From: {author}\nTo: {TO}\nSubject: {subject}\n{fields}\nHello.\n"


# Access.


@pytest.mark.parametrize("mechanism", ["login", "plain"])
async def test_C04_each_mechanism_logs_in_without_tls(
    relay: SharedRelay, bar: Customer, mechanism: str
) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, start_tls=False)
    await client.connect()
    await client.ehlo()
    reply = await getattr(client, f"auth_{mechanism}")(bar.login.username, bar.login.secret)
    client.close()

    assert 235 == reply.code


# What is accepted.


@pytest.mark.parametrize("name", ["From", "To", "Subject"])
async def test_C09_a_message_without_one_of_three_headers_is_refused(
    bar: Customer, name: str
) -> None:
    lines = [line for line in mail().splitlines(keepends=True) if not line.startswith(name)]

    reply = await bar.refusal(FOO, TO, "".join(lines))

    assert reply.startswith("550 5.6.0 ")
    assert name in reply


@pytest.mark.parametrize(
    "wrong",
    [
        mail(fields="Subject: Hello again\n"),
        mail(fields="To: bob@dest.example\n"),
        mail(
            fields="Date: Sun, 29 Nov 2026 12:00:00 +0000\nDate: Mon, 30 Nov 2026 12:00:00 +0000\n"
        ),
        mail(author="foo@@bar.com"),
        mail().replace(TO, "ann at dest"),
        mail(fields="this is no header field\n"),
    ],
    ids=["two-subjects", "two-to", "two-dates", "author", "recipient", "syntax"],
)
async def test_C10_a_message_that_is_no_message_is_refused(bar: Customer, wrong: str) -> None:
    assert (await bar.refusal(FOO, TO, wrong)).startswith("550 5.6.0 ")


@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
async def test_C11_a_subject_that_is_not_encoded_correctly_is_encoded(
    bar: Customer, charset: str
) -> None:
    raw = message(mail(subject="SUBJECT")).replace(b"SUBJECT", "Grüße aus Köln".encode(charset))

    arrived = (await bar.send(FOO, TO, raw))[TO]

    assert arrived.isascii()
    parsed = message_from_string(arrived, policy=policy.default)
    assert "Grüße aus Köln" == parsed["Subject"]


async def test_C12_blind_copies_are_off_until_they_are_activated(
    relay: SharedRelay, bar: Customer
) -> None:
    both = f"{TO} blind@dest.example"

    refusal = await bar.refusal(FOO, both, mail())

    assert refusal.startswith("550 5.7.1 ")
    assert "blind@dest.example" in refusal
    activated = await customer(relay, "critsend", "recipients.bcc=on", account="bar")
    arrived = await activated.send(FOO, both, mail(fields="Bcc: blind@dest.example\n"))
    assert {TO: text_of(mail()), "blind@dest.example": text_of(mail())} == arrived


# The sender.


@pytest.mark.parametrize("author", ["delivery@bar.com", FOO])
async def test_C14_no_sender_header_at_the_domain_of_signed_by(bar: Customer, author: str) -> None:
    assert {TO: text_of(mail(author))} == await bar.send(FOO, TO, mail(author))


async def test_C15_a_sender_header_for_mail_of_another_domain(bar: Customer) -> None:
    text = mail("somewhere@else.com")

    arrived = (await bar.send("somewhere@else.com", TO, text))[TO]

    header, _, _ = arrived.partition("\n\n")
    assert f"Sender: {FOO}" in header.splitlines()
    assert text_of(text) == arrived.replace(f"Sender: {FOO}\n", "")


async def test_C17_without_a_domain_it_is_sent_on_behalf_of_its_author(
    relay: SharedRelay,
) -> None:
    """From stays as it is, and Sender is of the relay."""
    text = mail("you@yourcompany.com")
    unchanged = await customer(relay, "critsend", account="nodns")

    arrived = (await unchanged.send("you@yourcompany.com", TO, text))[TO]

    (sender,) = [line for line in arrived.splitlines() if line.startswith("Sender: ")]
    assert "@relay.example" in sender
    assert text_of(text) == arrived.replace(f"{sender}\n", "")


# Tags.


@pytest.mark.parametrize("name", ["X-tag", "X-TAG", "x-tag"])
async def test_C20_x_tag_tags_and_is_removed(bar: Customer, name: str) -> None:
    submitted = await bar.submit(FOO, TO, mail(fields=f"{name}: invite1\n"))

    assert ["invite1"] == (await bar.known(submitted))["tags"]
    (arrival,) = (await bar.relay.arrived(submitted)).values()
    assert b"invite1" not in arrival.content


@pytest.mark.parametrize(("fields", "source"), [("X-tag: invite1\n", "invite1"), ("", "email")])
async def test_the_tag_is_kept_as_the_traffic_source_of_links_or_else_email(
    bar: Customer, fields: str, source: str
) -> None:
    known = await bar.known(await bar.submit(FOO, TO, mail(fields=fields)))

    assert source == known["traffic_source"]


async def test_C23_several_tags_are_separated_by_commas(bar: Customer) -> None:
    submitted = await bar.submit(FOO, TO, mail(fields="X-tag: invite1, spring-2026\n"))

    assert ["invite1", "spring-2026"] == (await bar.known(submitted))["tags"]


async def test_C24_tags_in_the_subject_are_taken_out_of_it(bar: Customer) -> None:
    submitted = await bar.submit(FOO, TO, mail(subject="[tag: a, b] Text"))

    assert ["a", "b"] == (await bar.known(submitted))["tags"]
    (arrival,) = (await bar.relay.arrived(submitted)).values()
    assert b"\r\nSubject: Text\r\n" in arrival.content


async def test_C25_an_unsubscription_counts_for_its_tag_only(bar: Customer) -> None:
    gone = "unsubscribed@dest.example"
    await bar.suppress(gone, "unsubscribe", "--tag", "invoice1")
    text = mail(fields="X-tag: invoice1\n").replace(TO, gone)

    assert {} == await bar.send(FOO, gone, text)
    assert {gone} == (await bar.send(FOO, gone, mail().replace(TO, gone))).keys()
