"""The page "Transactional SMTP" of Maxemail, example by example (RULES M)."""

from collections.abc import AsyncIterator

import aiosmtplib
import pytest
import pytest_asyncio

from e2e.vendors_pages import Customer, customer, message, received, relay_of, text_of
from servers.shared_relay import SharedRelay

SENDER = "outgoing@oxfordstones.com"
EXCEPTED = "invoices@oxfordstones.com"
TO = "ann@dest.example"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    async with relay_of(tmp_path_factory) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stones(relay: SharedRelay) -> Customer:
    """Oxford Stones, who do not look at the unsubscribe list for mail of one address."""
    await relay.domain("stones", "oxfordstones.com")
    await relay.command(
        *("account", "sender", "set", EXCEPTED, "--account", "stones"),
        *("--check-unsubscribes", "off"),
    )
    return await customer(relay, "maxemail", account="stones")


def order(fields: str = "", *, to: str = TO) -> str:
    """A message with more *fields*, each with its line end."""
    return (
        f"From: Oxford Stones <newsletters@oxfordstones.com>\nTo: {to}\nSubject: Your order\n"
        f"{fields}\nThank you.\n"
    )


# Access.


async def test_M05_X02_no_login_without_tls(relay: SharedRelay, stones: Customer) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, start_tls=False)
    await client.connect()
    await client.ehlo()
    with pytest.raises(aiosmtplib.SMTPAuthenticationError, match=r"538, '5\.7\.11 "):
        await client.auth_plain(stones.login.username, stones.login.secret)
    client.close()


# The sender.


async def test_M07_the_sender_has_to_be_at_an_allowed_domain(stones: Customer) -> None:
    reply = await stones.refusal("outgoing@elsewhere.example", TO, order())

    assert reply.startswith("550 5.7.1 ")
    assert "elsewhere.example" in reply


async def test_M08_M09_M10_the_table_of_oxford_stones(stones: Customer) -> None:
    submitted = await stones.submit(SENDER, TO, order())
    (arrival,) = (await stones.relay.arrived(submitted)).values()

    expected = order().replace("<newsletters@oxfordstones.com>", "<outgoing@oxfordstones.com>")
    assert text_of(expected) == received(arrival)
    assert arrival.sender.endswith("@relay.example")
    assert b"return-path" not in arrival.content.lower()


@pytest.mark.parametrize(
    ("given", "delivered"),
    [
        ("newsletters@oxfordstones.com", "outgoing@oxfordstones.com"),
        ("<newsletters@elsewhere.example>", "outgoing@oxfordstones.com"),
        (
            '"Stones, Oxford" <x@elsewhere.example>',
            '"Stones, Oxford" <outgoing@oxfordstones.com>',
        ),
        (
            "=?utf-8?q?Oxford_St=C3=B6nes?= <x@oxfordstones.com>",
            "=?utf-8?q?Oxford_St=C3=B6nes?= <outgoing@oxfordstones.com>",
        ),
    ],
)
async def test_M08_M09_the_address_is_that_of_the_envelope_and_the_alias_stays(
    stones: Customer, given: str, delivered: str
) -> None:
    text = f"From: {given}\nTo: {TO}\nSubject: Hello\n\nHello.\n"

    arrived = await stones.send(SENDER, TO, text)

    assert text_of(text.replace(given, delivered)) == arrived[TO]


# Recipients.


async def test_M11_M13_further_recipients_are_discarded_and_not_shown(stones: Customer) -> None:
    text = order("Cc: carol@dest.example\nBcc: dave@dest.example\n", to=f"{TO}, bob@dest.example")
    recipients = f"{TO} bob@dest.example carol@dest.example dave@dest.example"

    submitted = await stones.submit(SENDER, recipients, text)
    arrived = await stones.relay.arrived(submitted)

    expected = text_of(order().replace("newsletters@", "outgoing@"))
    assert {TO: expected, "bob@dest.example": expected} == {
        recipient: received(arrival) for recipient, arrival in arrived.items()
    }
    discarded = {
        event["detail"]["recipient"]
        for event in await stones.relay.events(submitted)
        if event["kind"] == "recipient_discarded"
    }
    assert {"carol@dest.example", "dave@dest.example"} == discarded


async def test_M12_the_recipient_in_to_has_to_be_one_of_the_envelope(stones: Customer) -> None:
    reply = await stones.refusal(SENDER, "bob@dest.example", order())

    assert reply.startswith("550 5.")
    assert TO in reply


async def test_M13_M14_the_first_other_recipient_is_the_bcc_and_gets_the_same_mail(
    stones: Customer,
) -> None:
    """Whatever the order of RCPT; the page says that nothing is tracked for it."""
    text = order("X-Mxm-Flags: 3\n")

    arrived = await stones.send(SENDER, f"x@dest.example {TO} y@dest.example", text)

    assert {"x@dest.example", TO} == arrived.keys()
    plain = text_of(order().replace("newsletters@", "outgoing@"))
    assert plain == arrived["x@dest.example"]


# The response.


async def test_M16_the_reply_has_the_string_that_reports_have(stones: Customer) -> None:
    one, other = [await stones.submit(SENDER, TO, order()) for _ in range(2)]

    assert one.id.hex in one.reply
    assert one.id != other.id
    assert one.id.hex in await stones.relay.command("message", one.id.hex)


# Flags.


async def test_M17_M19_bit_4_alone_asks_for_the_unsubscribe_list(stones: Customer) -> None:
    """Bits that are not set are off."""
    gone = "unsubscribed@dest.example"
    await stones.suppress(gone, "unsubscribe")

    assert {} == await stones.send(SENDER, gone, order("X-Mxm-Flags: 4\n", to=gone))
    assert {gone} == (await stones.send(SENDER, gone, order("X-Mxm-Flags: 3\n", to=gone))).keys()


async def test_M17_X19_bit_8_passes_over_the_bounce_list_and_never_over_complaints(
    stones: Customer,
) -> None:
    dead, angry = "dead@dest.example", "angry@dest.example"
    await stones.suppress(dead, "bounce")
    await stones.suppress(angry, "complaint")

    assert {} == await stones.send(SENDER, dead, order("X-Mxm-Flags: 3\n", to=dead))
    assert {dead} == (await stones.send(SENDER, dead, order("X-Mxm-Flags: 8\n", to=dead))).keys()
    assert {} == await stones.send(SENDER, angry, order("X-Mxm-Flags: 8\n", to=angry))


async def test_M19_the_header_comes_before_the_from_address_and_that_before_the_customer_space(
    stones: Customer,
) -> None:
    off = "off@dest.example"
    await stones.suppress(off, "unsubscribe")
    text = order(to=off).replace("newsletters@oxfordstones.com", EXCEPTED)
    asked = text.replace("\n\n", "\nX-Mxm-Flags: 4\n\n")

    assert {} == await stones.send(SENDER, off, order(to=off))
    assert {off} == (await stones.send(EXCEPTED, off, text)).keys()
    assert {} == await stones.send(EXCEPTED, off, asked)


@pytest.mark.parametrize(
    ("value", "opens", "clicks"), [("1", True, False), ("2", False, True), ("3", True, True)]
)
async def test_the_bits_of_tracking(
    stones: Customer, value: str, *, opens: bool, clicks: bool
) -> None:
    known = await stones.known(await stones.submit(SENDER, TO, order(f"X-Mxm-Flags: {value}\n")))

    assert (opens, clicks) == (known["flags"]["open_tracking"], known["flags"]["click_tracking"])


async def test_M18_the_first_of_several_flags_counts(stones: Customer) -> None:
    gone = "gone@dest.example"
    await stones.suppress(gone, "unsubscribe")
    four_first, three_first = (
        order(f"X-Mxm-Flags: {first}\nX-Mxm-Flags: {second}\n", to=gone)
        for first, second in ((4, 3), (3, 4))
    )

    assert {} == await stones.send(SENDER, gone, four_first)
    assert {gone} == (await stones.send(SENDER, gone, three_first)).keys()


@pytest.mark.parametrize("value", ["three", "-1", "1.5", "", "3 4"])
async def test_M20_flags_that_are_no_whole_number_are_refused(stones: Customer, value: str) -> None:
    reply = await stones.refusal(SENDER, TO, order(f"X-Mxm-Flags: {value}\n"))

    assert reply.startswith("550 5.6.0 ")
    assert "X-Mxm-Flags" in reply


async def test_M20_unknown_bits_are_noted_and_ignored(stones: Customer) -> None:
    submitted = await stones.submit(SENDER, TO, order("X-Mxm-Flags: 19\n"))

    assert {TO} == (await stones.relay.arrived(submitted)).keys()
    assert "16" in await stones.relay.command("message", submitted.id.hex)


# Tags.


@pytest.mark.parametrize(
    "fields",
    [
        "X-Mxm-Tag: order,confirmation,guest\n",
        "X-Mxm-Tag: order\nX-Mxm-Tag: confirmation\nX-Mxm-Tag: guest\n",
        "X-Mxm-Tag:  order , confirmation,,\nX-Mxm-Tag: order,\n guest ,\n",
    ],
)
async def test_M21_the_tags_of_one_header_or_several(stones: Customer, fields: str) -> None:
    submitted = await stones.submit(SENDER, TO, order(fields))

    assert ["order", "confirmation", "guest"] == (await stones.known(submitted))["tags"]


async def test_M24_no_control_header_arrives(stones: Customer) -> None:
    fields = "X-Mxm-Flags: 4\nX-Mxm-Tag: order\nx-mxm-other: 1\nX-tag: a\nX-MT-ATTR: {}\n"

    arrived = await stones.send(SENDER, TO, message(order(fields)))

    assert text_of(order().replace("newsletters@", "outgoing@")) == arrived[TO]
