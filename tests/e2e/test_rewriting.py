"""Over the whole relay: what arrives is what was sent, but for the fields that we own."""

from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from itertools import islice

import pytest
import pytest_asyncio
from bench.sink_session import Arrival

from mail.strange import Strange, messages
from posthouse.mail.message import Header, split
from posthouse.mail.repeated_fields import without_copies
from servers.patience import eventually
from servers.shared_relay import Login, Refused, SharedRelay, Submitted, shared_relay

pytestmark = pytest.mark.asyncio(loop_scope="module")

JO, ANN = "jo@sender.example", "ann@dest.example"
GOOD = b"From: jo@sender.example\r\nTo: ann@dest.example\r\nSubject: Hello\r\n"
# Every ninth kind: each family has some among them.
SOME = [pytest.param(one, id=one.name) for one in islice(messages(), 0, None, 9)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    """It verifies every signature before a message leaves."""
    folder = tmp_path_factory.mktemp("relay")
    folder.chmod(0o711)
    async with shared_relay(folder) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def login(relay: SharedRelay) -> Login:
    await relay.command("account", "create", "own")
    await relay.domain("own", "sender.example")
    return await relay.login("own", "native")


async def arrivals(relay: SharedRelay, sent: Submitted, count: int = 1) -> dict[str, Arrival]:
    async def came() -> bool:
        return count == len(await relay.arrived(sent))

    await eventually(came)
    return await relay.arrived(sent)


@pytest.mark.parametrize("strange", SOME)
async def test_a_strange_message_arrives_as_it_was_sent(
    relay: SharedRelay, login: Login, strange: Strange
) -> None:
    header, body = split(strange.content)
    sent = await relay.submit(login, JO, [ANN], strange.content)
    (arrival,) = (await arrivals(relay, sent)).values()
    octets, arrived = split(arrival.content)

    assert (body if body.endswith(b"\r\n") or not body else body + b"\r\n") == arrived
    left = iter(Header.parse(octets).fields)
    kept = without_copies(Header.parse(header)).fields
    hidden = (b"bcc", b"resent-bcc", b"return-path", b"x-posthouse-")
    repaired = (b"date", b"message-id")
    for field in kept:
        if field.raw.isascii() and not field.name.startswith((*hidden, *repaired)):
            assert field in left  # and behind those before it


async def test_every_form_of_an_address_arrives_at_rcpt_in_its_right_spelling(
    relay: SharedRelay, login: Login
) -> None:
    """Dots that need quotes get them, quotes that are not needed go, an IDN needs no SMTPUTF8."""
    spellings = {
        "jo..doe@dest.example": '"jo..doe"@dest.example',
        ".jo.@dest.example": '".jo."@dest.example',
        '"jo doe"@dest.example': '"jo doe"@dest.example',
        '"jo.doe"@DEST.example': "jo.doe@dest.example",
        '"a@b"@dest.example': '"a@b"@dest.example',
        "jo@xn--bcher-kva.example": "jo@xn--bcher-kva.example",
        "!#$%&'*+/=?^_`{|}~-@dest.example": "!#$%&'*+/=?^_`{|}~-@dest.example",
    }
    client = await relay.session(login)
    for recipient, spelling in spellings.items():
        await client.execute_command(b"MAIL", b"FROM:<jo@sender.example>")
        taken = await client.execute_command(b"RCPT", f"TO:<{recipient}>".encode())
        assert taken.code == 250, (recipient, taken)
        said = await client.data(GOOD + b"\r\n" + recipient.encode() + b"\r\n")
        assert said.code == 250

        end = b"\r\n\r\n" + recipient.encode() + b"\r\n"

        async def came(end: bytes = end) -> bool:
            return any(arrival.content.endswith(end) for arrival in relay.sink.arrivals)

        await eventually(came)
        (arrival,) = (one for one in relay.sink.arrivals if one.content.endswith(end))
        assert (spelling,) == arrival.recipients
    client.close()


async def test_what_is_not_valid_is_replaced_and_what_contradicts_is_refused(
    relay: SharedRelay, login: Login
) -> None:
    wrong = b"Date: yesterday\r\nMessage-ID: 17\r\nsubject: Hello\r\n"
    sent = await relay.submit(login, JO, [ANN], GOOD + wrong + b"\r\nHello.\r\n")
    (arrival,) = (await arrivals(relay, sent)).values()
    parsed = message_from_bytes(arrival.content, policy=policy.default)
    assert ["Hello"] == parsed.get_all("Subject")
    assert ("yesterday", "17") == (parsed["X-Original-Date"], parsed["X-Original-Message-ID"])
    assert parsed["Date"].datetime is not None
    assert str(parsed["Message-ID"]).endswith("@sender.example>")

    with pytest.raises(Refused, match=r"550 5\.6\.0 .* more than one Subject header, and they"):
        await relay.submit(login, JO, [ANN], GOOD + b"Subject: Bye\r\n\r\nHello.\r\n")


async def test_long_lines_arrive_in_another_encoding_where_the_profile_says_so(
    relay: SharedRelay, login: Login
) -> None:
    del login
    await relay.profile("own", "long", "native", "conformance.long_lines=repair")
    page = b"<p>" + "größe ".encode() * 5_000 + b"</p>"
    message = GOOD + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + page + b"\r\n"
    sent = await relay.submit(await relay.login("own", "long"), JO, [ANN], message)
    (arrival,) = (await arrivals(relay, sent)).values()
    parsed = message_from_bytes(arrival.content)
    assert page + b"\r\n" == parsed.get_payload(decode=True)
    assert max(map(len, split(arrival.content)[1].split(b"\r\n"))) <= 76
