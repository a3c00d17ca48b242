"""A header is as long as its recipients need; reading it neither takes long nor holds others up."""

import asyncio
import threading
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from ingest import message_intake
from ingest.core.message_head import head_and_body
from ingest.core.refusals import Refusal
from ingest.header_thread import HeaderThread
from ingest.session_facts import KnownFacts
from servers.door import LOGIN, OpenDoor, Running, Wire
from servers.patience import on_this_machine

LIMIT = 1_048_576
FROM = "From: Shop <jo@a.example>\r\n"


def list_of(count: int, name: str = "To", length: int = 24) -> str:
    """A field that names so many recipients, a line for each."""
    rest = "x" * (length - 24)
    return (
        f"{name}: "
        + ",\r\n ".join(
            f'"Firstname Lastname {n:04}" <firstname.{rest}lastname.{n:04}@customers.example.net>'
            for n in range(count)
        )
        + "\r\n"
    )


def refusal(header: str, limit: int = LIMIT, piece: int = 131_072) -> str:
    """The reply to a message with that header, as it comes in pieces; "" for none."""
    content = f"{header}\r\nBody\r\n".encode()
    pieces = [content[at : at + piece] for at in range(0, len(content), piece)]
    found = head_and_body(pieces, limit)
    if isinstance(found, Refusal):
        return str(found.reply)
    assert (f"{header}\r\n".encode(), b"Body\r\n") == (found[0].octets, found[1])
    return ""


@pytest.mark.parametrize("count", [900, 1_000])
async def test_a_message_may_name_all_its_recipients(
    door: Running, client: Wire, count: int
) -> None:
    header = f"{FROM}{list_of(count)}Subject: all hands\r\n\r\n".encode()
    assert len(header) > 65_536
    assert await client.say("MAIL FROM:<jo@a.example>") == "250 2.1.0 Ok"
    for n in range(count):
        await client.send(f"RCPT TO:<firstname.lastname.{n:04}@customers.example.net>\r\n".encode())
    for _ in range(count):
        assert await client.reply() == "250 2.1.5 Ok"
    await client.say("DATA")
    assert (await client.message_end(header + b"hello\r\n.\r\n")).startswith("250 ")
    (kept,) = door.intake.accepted
    assert (header, count) == (kept.header, len(kept.recipients))


@pytest.mark.parametrize("piece", [131_072, 70_000, 1_000, 17])
@pytest.mark.parametrize("name", ["To", "Cc", "Bcc", "cc"])
def test_lists_of_recipients_may_be_long_however_they_come(name: str, piece: int) -> None:
    assert "" == refusal(f"{FROM}{list_of(1_000, name, 64)}Subject: x\r\n", piece=piece)


def test_the_header_has_a_limit() -> None:
    long = f"{FROM}{list_of(3_000, length=300)}"
    assert len(long) > 1_000_000
    assert "552 5.3.4 Header of more than 500000 octets, which is the limit" == refusal(
        long, 500_000
    )
    assert "552 5.3.4 Header of more than 65536 octets" in refusal(FROM + list_of(1_000), 65_536)


def test_other_fields_have_a_limit_of_their_own() -> None:
    references = "References:" + "\r\n <0123456789@a.example>" * 2_000 + "\r\n"
    assert "" == refusal(FROM + references + list_of(1_000))
    told = "552 5.3.4 Header of more than 65536 octets beside To, Cc and Bcc, which is the limit"
    assert told == refusal(FROM + references * 2)
    assert told == refusal(FROM + references * 2 + list_of(10))


@pytest.mark.parametrize("hostile", ["()", ",", "a:\r\nto:", '"" ', "<", "\\", "a@b.c,"])
def test_a_large_header_that_would_take_long_is_refused(hostile: str) -> None:
    told = "552 5.3.4 A large header may have 32768 separators, such as commas, quotes and brackets"
    lines = ("to: " + hostile * 20 + "\r\n") * (1_000_000 // (20 * len(hostile) + 6))
    assert told == refusal(FROM + lines)
    assert told == refusal(f"{FROM}to: " + "\r\n ".join([hostile * 20] * 20_000) + "\r\n")


def test_a_header_without_end_is_refused_like_any_other() -> None:
    content = (FROM + list_of(1_000, length=200)).encode()
    found = head_and_body([content[:131_072], content[131_072:]], 131_072)
    assert isinstance(found, Refusal)
    assert "131072 octets, which is the limit" in str(found.reply)


async def test_the_limit_is_a_setting(open_door: OpenDoor) -> None:
    door = await open_door("none", header_octets=70_000)
    client = await door.logged_in()
    reply = await client.message(f"{FROM}{list_of(1_000)}\r\nx\r\n.\r\n".encode())
    assert "552 5.3.4 Header of more than 70000 octets, which is the limit" == reply


def test_where_each_recipient_has_a_header_of_its_own_it_is_shorter() -> None:
    """Else one message would be a thousand headers of a megabyte."""
    assert LIMIT == KnownFacts(1_000, LIMIT).of(LOGIN).max_header_octets
    copying = replace(LOGIN, profile="mailtarget")
    assert 65_536 == KnownFacts(1_000, LIMIT).of(copying).max_header_octets


async def test_long_headers_are_read_in_a_thread_and_others_here(
    client: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    for name in ("_read", "admit"):
        work = getattr(message_intake, name)

        def noting(*args: Any, work: Any = work) -> Any:
            threads.append(threading.current_thread().name.partition("_")[0])
            return work(*args)

        monkeypatch.setattr(message_intake, name, noting)
    await client.message(f"{FROM}{list_of(20)}\r\n".encode() + b"x\r\n" * 9_000 + b".\r\n")
    assert ["MainThread", "MainThread"] == threads
    await client.message(f"{FROM}{list_of(200)}\r\nx\r\n.\r\n".encode())
    await client.message(f"{FROM[:-2]} {'()' * 300}\r\n\r\nx\r\n.\r\n".encode())
    assert ["headers"] * 4 == threads[2:]


async def test_accounts_take_turns_in_the_thread_that_reads_long_headers() -> None:
    thread, begun, go_on = HeaderThread(), threading.Event(), threading.Event()
    many, one = UUID(int=1), UUID(int=2)
    read: list[UUID] = []

    def first() -> None:
        begun.set()
        assert go_on.wait(on_this_machine(60))

    reading = [asyncio.create_task(thread.run(many, first))]
    assert await asyncio.to_thread(begun.wait, 60)
    reading += [
        asyncio.create_task(thread.run(account, read.append, account))
        for account in (*[many] * 5, one)
    ]
    await asyncio.sleep(0)  # all have asked
    go_on.set()
    await asyncio.gather(*reading)
    assert [one, *[many] * 5] == read
