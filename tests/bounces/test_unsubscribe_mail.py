"""Mail to the address to unsubscribe by does it, whoever sends it; answers of programs do not."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from posthouse.store import StoreUnavailable
from posthouse.tracking.token import OpenToken, Token, TokenKey, UnsubscribeToken, sign
from posthouse.tracking.unsubscribe_address import unsubscribe_address
from servers.bounce_port import HOST, KEY, OLD_KEY, Port, counted, running
from servers.returned_mail import OURS, REPORTS

REPORT = {path.stem: path.read_bytes().replace(b"\n", b"\r\n") for path in REPORTS}
LETTER = b"From: ann@dest.example\r\nSubject: unsubscribe\r\n\r\n"
ANN = "ann@dest.example"


def address(number: int = 1, *, key: bytes = KEY, host: str = HOST, kind: int = 0) -> str:
    """The address by which the recipient of delivery *number* unsubscribes."""
    token: Token = UnsubscribeToken(UUID(int=number))
    return unsubscribe_address(sign(token, TokenKey(kind, key)), host)


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with running() as port:
        port.returns.hosts = {HOST}
        yield port


async def give(port: Port, content: bytes, to: str, sender: str = ANN) -> str:
    """The reply to RCPT if it is a refusal, else that to the message."""
    async with port.client() as client:
        await client.send("EHLO mx.dest.example")
        await client.send(f"MAIL FROM:<{sender}>")
        reply = await client.send(f"RCPT TO:<{to}>")
        return await client.text(content) if reply.startswith("250") else reply


@pytest.mark.parametrize(
    "to",
    [
        address(),
        address().upper(),
        address(host="mx.sender.example"),
        address(key=OLD_KEY, kind=1),
    ],
)
@pytest.mark.parametrize("letter", [LETTER, b"\r\n", REPORT["free_text"]])
async def test_mail_to_it_unsubscribes_whatever_it_says(port: Port, to: str, letter: bytes) -> None:
    """Servers fold the case of local parts; readers write what they like."""
    before = counted("posthouse_returns_total", kind="unrecognised", verdict="unsubscribed")
    assert (await give(port, letter, to)).startswith("250")
    assert [(OURS.id, ANN)] == port.returns.unsubscribed
    if letter == LETTER:
        after = counted("posthouse_returns_total", kind="unrecognised", verdict="unsubscribed")
        assert before + 1 == after


@pytest.mark.parametrize(
    "field", [b"Auto-Submitted: auto-generated\r\n", b"Auto-Submitted: no\r\n", b""]
)
async def test_a_button_of_a_mail_program_counts(port: Port, field: bytes) -> None:
    await give(port, field + LETTER, address())
    assert [(OURS.id, ANN)] == port.returns.unsubscribed


async def test_what_programs_answer_asks_for_nothing(port: Port) -> None:
    """It is taken, so that nobody returns it, and nothing is answered: no loop can begin."""
    answers = [
        (REPORT["user_unknown"], ""),
        (REPORT["user_unknown"], "mailer-daemon@dest.example"),
        (REPORT["vacation"], ANN),
        (b"Auto-Submitted: auto-replied\r\n" + LETTER, ANN),
        (LETTER, ""),
    ]
    for content, sender in answers:
        assert (await give(port, content, address(), sender)).startswith("250")
    assert ([], []) == (port.returns.unsubscribed, port.returns.events)


async def test_no_other_address_is_taken(port: Port) -> None:
    open_token = sign(OpenToken(UUID(int=1)), TokenKey(0, KEY))
    good = address()
    for to in (
        address(key=b"x" * 32),
        address(9),  # past its retention
        address(host="other.example"),
        unsubscribe_address(open_token, HOST),
        good.replace("unsubscribe-", "unsubscribe-a", 1),
        f"unsubscribe@{HOST}",
    ):
        assert (await give(port, LETTER, to)).startswith("550"), to
    assert [] == port.returns.unsubscribed


async def test_its_sender_tries_again_while_the_database_is_away(port: Port) -> None:
    port.returns.failure = StoreUnavailable("away")
    assert (await give(port, LETTER, address(host="mx.sender.example"))).startswith("451")
    async with port.client() as client:
        port.returns.failure = None
        await client.send("EHLO mx.dest.example")
        await client.send(f"MAIL FROM:<{ANN}>")
        await client.send(f"RCPT TO:<{address()}>")
        port.returns.failure = StoreUnavailable("away")
        assert (await client.text(LETTER)).startswith("451")
    assert [] == port.returns.unsubscribed
