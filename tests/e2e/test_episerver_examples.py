"""The page "SMTP API" of Episerver Campaign, rule by rule (RULES E)."""

import re
from collections.abc import AsyncIterator

import aiosmtplib
import pytest
import pytest_asyncio

from e2e.vendors_pages import Customer, customer, received, relay_of
from servers.shared_relay import SharedRelay

SENDER = "newsletter@news.example.com"
TO = "ann@dest.example"
LIMIT = 307_200

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    async with relay_of(tmp_path_factory) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(relay: SharedRelay) -> Customer:
    """A client whose sending domain is news.example.com."""
    await relay.domain(
        "client", "news.example.com", "--return-path-host", "bounces.news.example.com"
    )
    await relay.command("account", "set", "client", "--bounce-address", "bounces@example.com")
    await relay.command("stream", "create", "agency", "--code", "4711", "--account", "client")
    return await customer(relay, "episerver", account="client")


def mailing(fields: str = "", **changed: str) -> str:
    """A message that follows all rules, with some of its headers *changed*; "-" for none."""
    header = {
        "from": SENDER,
        "to": TO,
        "subject": "News",
        "message_id": "<32hhr34-42hkjh42@example.com>",
        "date": "Sun, 29 Nov 2026 12:00:00 +0000",
        **changed,
    }
    lines = (f"{k.title().replace('_Id', '-ID')}: {v}\n" for k, v in header.items() if v != "-")
    return f"{''.join(lines)}{fields}\nHello.\n"


def octets(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


async def refused(client: Customer, text: str, *, sender: str = SENDER, to: str = TO) -> str:
    """The text behind the code of a violation; checks that nothing went out."""
    reply = await client.refusal(sender, to, octets(text))
    assert re.match(r"550 5\.[67]\.[01] ", reply), reply
    return reply


async def test_a_mailing_that_follows_the_rules_arrives_as_it_was(client: Customer) -> None:
    submitted = await client.submit(SENDER, TO, octets(mailing()))
    (arrival,) = (await client.relay.arrived(submitted)).values()

    assert mailing() == received(arrival)


async def test_E01_no_login_without_tls(relay: SharedRelay, client: Customer) -> None:
    clear = aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, start_tls=False)
    await clear.connect()
    await clear.ehlo()
    with pytest.raises(aiosmtplib.SMTPAuthenticationError, match=r"538, '5\.7\.11 "):
        await clear.auth_plain(client.login.username, client.login.secret)
    clear.close()


async def test_E02_only_from_registered_addresses(relay: SharedRelay, client: Customer) -> None:
    elsewhere = 'session.allowed_networks=["192.0.2.0/24"]'
    stranger = await customer(relay, "episerver", elsewhere, account=client.account)
    here = await customer(
        relay, "episerver", 'session.allowed_networks=["127.0.0.0/8"]', account=client.account
    )

    with pytest.raises(aiosmtplib.SMTPAuthenticationError):
        await relay.session(stranger.login)
    (await relay.session(here.login)).close()


async def test_E04_the_bounce_address_is_mandatory_and_not_in_the_sending_domain(
    relay: SharedRelay, client: Customer
) -> None:
    with pytest.raises(AssertionError, match=r"bounces@news\.example\.com cannot be"):
        await relay.command(
            "account", "set", client.account, "--bounce-address", "bounces@news.example.com"
        )
    with pytest.raises(AssertionError, match="needs a bounce address"):
        await relay.login("another-client", "episerver")


async def test_E10_at_most_300_kilobytes_when_declared(client: Customer) -> None:
    session = await client.relay.session(client.login)
    with pytest.raises(aiosmtplib.SMTPSenderRefused, match=rf"552, '5\.3\.4 .*{LIMIT}"):
        await session.mail(SENDER, options=[f"SIZE={LIMIT + 1}"])
    await session.mail(SENDER, options=[f"SIZE={LIMIT}"])
    session.close()


async def test_E10_at_most_300_kilobytes_of_data(client: Customer) -> None:
    def of(size: int) -> bytes:
        head = octets(mailing())
        rest = size - len(head)
        lines, last = divmod(rest, 72)
        return head + (b"x" * 70 + b"\r\n") * (lines - 1) + b"y" * (70 + last) + b"\r\n"

    assert LIMIT == len(of(LIMIT))
    assert {TO} == (await client.send(SENDER, TO, of(LIMIT))).keys()
    assert (await client.refusal(SENDER, TO, of(LIMIT + 1))).startswith("552 5.3.4 ")


@pytest.mark.parametrize(
    "value", ["-", "", "32hhr34-42hkjh42@example.com", "<32hhr34-42hkjh42>", "<a b@example.com>"]
)
async def test_E11_a_message_id_of_the_pattern_has_to_be_set(client: Customer, value: str) -> None:
    assert "Message-ID" in await refused(client, mailing(message_id=value))


@pytest.mark.parametrize(
    "text",
    [
        mailing(to="-"),
        mailing(to=f"{TO}, bob@dest.example"),
        mailing(f"To: {TO}\n"),
        mailing(to="ann at dest.example"),
        mailing(to="undisclosed-recipients:;"),
        mailing(to=""),
    ],
    ids=["none", "two", "twice", "unreadable", "group", "empty"],
)
async def test_E12_exactly_one_to_header_with_one_valid_address(
    client: Customer, text: str
) -> None:
    assert "To" in await refused(client, text)


@pytest.mark.parametrize(
    "text",
    [
        mailing(**{"from": "-"}),
        mailing(**{"from": f"{SENDER}, other@news.example.com"}),
        mailing(f"From: {SENDER}\n"),
        mailing(**{"from": "newsletter at news"}),
    ],
    ids=["none", "two", "twice", "unreadable"],
)
async def test_E13_exactly_one_from_header_with_one_valid_address(
    client: Customer, text: str
) -> None:
    assert "From" in await refused(client, text)


@pytest.mark.parametrize("author", ["newsletter@example.com", "x@deeper.news.example.com"])
async def test_E13_E19_from_is_at_the_sending_domain_itself(client: Customer, author: str) -> None:
    reply = await refused(client, mailing(**{"from": author}), sender=author)

    assert author.partition("@")[2] in reply


@pytest.mark.parametrize("name", ["Cc", "Bcc"])
async def test_E14_no_cc_and_no_bcc_header(client: Customer, name: str) -> None:
    assert name in await refused(client, mailing(f"{name}: bob@dest.example\n"))


@pytest.mark.parametrize("value", ["-", "", " "])
async def test_E15_the_subject_is_not_empty(client: Customer, value: str) -> None:
    assert "Subject" in await refused(client, mailing(subject=value))


async def test_E16_at_most_one_reply_to_header(client: Customer) -> None:
    one = mailing("Reply-To: answers@example.com\n")
    two = mailing("Reply-To: answers@example.com\nReply-To: more@example.com\n")

    assert {TO: one} == await client.send(SENDER, TO, octets(one))
    assert "Reply-To" in await refused(client, two)


async def test_E06_E17_a_header_code_selects_a_mailing_and_has_to_be_valid(
    client: Customer,
) -> None:
    submitted = await client.submit(SENDER, TO, octets(mailing("X-bm-mailing: 4711\n")))
    (arrival,) = (await client.relay.arrived(submitted)).values()

    assert mailing() == received(arrival)
    assert "agency" == (await client.known(submitted))["stream"]
    assert "X-bm-mailing" in await refused(client, mailing("X-bm-mailing: 4712\n"))
    twice = mailing("X-bm-mailing: 4711\nX-bm-mailing: 4711\n")
    assert "X-bm-mailing" in await refused(client, twice)


async def test_E18_the_envelope_sender_is_that_of_from(client: Customer) -> None:
    reply = await refused(client, mailing(), sender="other@news.example.com")

    assert "From" in reply


async def test_E20_the_return_path_is_under_the_domain_of_from(client: Customer) -> None:
    submitted = await client.submit(SENDER, TO, octets(mailing()))

    (arrival,) = (await client.relay.arrived(submitted)).values()
    assert arrival.sender.endswith("@bounces.news.example.com")


async def test_E20_the_client_sets_no_return_path(client: Customer) -> None:
    assert "Return-Path" in await refused(client, mailing(f"Return-Path: <{SENDER}>\n"))


async def test_E07_a_blocked_address_receives_no_further_mail(client: Customer) -> None:
    blocked = "blocked@dest.example"
    await client.suppress(blocked, "manual")

    assert {} == await client.send(SENDER, blocked, octets(mailing(to=blocked)))
