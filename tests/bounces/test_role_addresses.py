"""Addresses that every host has, and those of feedback loops: taken, read as reports first."""

from collections.abc import AsyncIterator

import pytest

from posthouse.store import StoreUnavailable
from servers.bounce_port import HOST, Port, counted, own, running
from servers.returned_mail import REPORTS, feedback_report

REPORT = {path.stem: path.read_bytes().replace(b"\n", b"\r\n") for path in REPORTS}
LETTER = b"From: Bo <bo@there.example>\r\nSubject: A question\r\n\r\nWho runs this host?\r\n"


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with running() as port:
        port.returns.hosts = {HOST}
        yield port


@pytest.mark.parametrize(
    "address",
    [
        "postmaster",
        "PostMaster",
        "postmaster@mx.sender.example",
        "Postmaster@MX.Sender.Example",
        "abuse@mx.sender.example",
        f"postmaster@{HOST}",
        f"abuse@{HOST.upper()}",
        "fbl@loops.example",
        "FBL@LOOPS.example",
    ],
)
async def test_they_are_taken_from_anybody(port: Port, address: str) -> None:
    before = counted("posthouse_returns_total", kind="unrecognised", verdict="operator")
    async with port.client() as client:
        await client.send("EHLO mx.there.example")
        await client.send("MAIL FROM:<bo@there.example>")
        assert await client.send(f"RCPT TO:<{address}>") == "250 2.1.5 Ok"
        assert await client.text(LETTER) == "250 2.0.0 Ok"
    after = counted("posthouse_returns_total", kind="unrecognised", verdict="operator")
    assert after == before + 1
    assert port.returns.events == []


@pytest.mark.parametrize(
    "address",
    [
        "abuse",
        "postmaster@elsewhere.example",
        f"postmaster@sub.{HOST}",
        f"hostmaster@{HOST}",
        "fbl@other.example",
        "postmaster@",
        f"postmaster@{HOST}.",
    ],
)
async def test_no_other_host_or_name_is(port: Port, address: str) -> None:
    async with port.client() as client:
        assert (await client.start(address))[:3] in {"550", "553"}


@pytest.mark.parametrize("name", ["user_unknown", "delayed", "free_text", "vacation"])
async def test_a_report_there_is_counted_and_changes_nothing(port: Port, name: str) -> None:
    """It came to no return path: whose it is is not known, whatever it says."""
    assert (await port.give(REPORT[name], f"postmaster@{HOST}")).startswith("250")
    assert (port.returns.events, port.returns.suppressed) == ([], [])


async def test_a_letter_in_the_words_of_a_server_is_for_the_operator(port: Port) -> None:
    before = counted("posthouse_returns_total", kind="free_text", verdict="operator")
    async with port.client() as client:
        await client.send("EHLO mx.there.example")
        for sender in ("bo@there.example", ""):
            await client.send(f"MAIL FROM:<{sender}>")
            await client.send(f"RCPT TO:<abuse@{HOST}>")
            await client.text(REPORT["free_text"])
    after = counted("posthouse_returns_total", kind="free_text", verdict="operator")
    assert after == before + 1


async def test_a_complaint_is_read_wherever_it_comes_to(port: Port) -> None:
    before = counted("posthouse_returns_total", kind="complaint", verdict="not_believed")
    for address in (f"abuse@{HOST}", "fbl@loops.example", "postmaster", own()):
        assert (await port.give(feedback_report(), address)).startswith("250")
    after = counted("posthouse_returns_total", kind="complaint", verdict="not_believed")
    assert after == before + 4
    assert port.returns.suppressed == []


async def test_trouble_with_the_store_is_temporary(port: Port) -> None:
    port.returns.failure = StoreUnavailable("away")
    async with port.client() as client:
        assert (await client.start(f"postmaster@{HOST}")).startswith("451 4.3.0")
        assert (await client.send("RCPT TO:<postmaster>")).startswith("250")
