"""How a message is known that its client submits again; and that off costs nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from ingest.core.admission import Incoming
from ingest.core.resubmission import has_identity, resubmission_key
from posthouse.mail.terms import (
    NO_TERMS,
    AcceptedBefore,
    Committed,
    IdempotencyKey,
    Resubmission,
)
from servers.admitting import facts_for, incoming
from servers.door import LOGIN, Running, Wire

HEADER = "From: jo@a.example\nMessage-ID: <1@a.example>\nDate: Mon, 30 Nov 2026 10:00:00 +0000"
GOOD = b"From: jo@a.example\r\nMessage-ID: <1@a.example>\r\n\r\nBody\r\n.\r\n"
FACTS = facts_for("native", resubmission=Resubmission.ON)
BODY = b"Body\r\n"


def key(body: bytes = BODY, header: str = HEADER, **changes: Any) -> IdempotencyKey:
    facts = replace(FACTS, **changes.pop("facts", {}))
    return resubmission_key(incoming(header, facts, **changes), body, timedelta(hours=1))


def test_the_same_octets_have_the_same_key() -> None:
    assert key() == key()
    assert (Resubmission.ON, timedelta(hours=1)) == (key().mode, key().counts_for)
    two = ("al@there.example", "bo@there.example")
    assert key(recipients=two) == key(recipients=two[::-1])


@pytest.mark.parametrize(
    "changes",
    [
        {"body": b"Body.\r\n"},
        {"header": HEADER.replace("<1@", "<2@")},
        {"header": HEADER.replace("10:00:00", "10:00:01")},
        {"sender": ""},
        {"sender": "bo@a.example"},
        {"recipients": ("bo@there.example",)},
        {"recipients": ("al@there.example", "bo@there.example")},
        {"facts": {"credential_id": UUID(int=3)}},
    ],
)
def test_what_differs_has_another_key(changes: dict[str, Any]) -> None:
    assert key() != key(**changes)


def test_what_is_body_in_one_and_header_in_the_other_cannot_be_confused() -> None:
    """Both end where the other begins, which the empty line between says."""
    longer = key(header=f"{HEADER}\nX: 1", body=b"")
    assert longer.text != key(body=b"X: 1\r\n").text


def test_no_client_can_give_the_key_of_a_message() -> None:
    assert not key().text.isascii()
    assert len(key().text) < 255


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ("Message-ID: <1@a.example>", True),
        ("Message-ID:\n <1@a.example>", True),
        ("Message-ID: <jö@a.example>", True),
        ("Subject: x", False),
        ("Message-ID: <>", False),
        ("Message-ID: hello", False),
        ("Message-ID: <1@a.example>\nMessage-ID: <1@a.example>", False),
    ],
)
def test_two_without_a_message_id_may_be_meant_as_two(fields: str, *, known: bool) -> None:
    message: Incoming = incoming(f"From: jo@a.example\n{fields}", FACTS)
    assert known is has_identity(message)


def counted(known_by: str) -> float:
    labels = {"known_by": known_by}
    return REGISTRY.get_sample_value("posthouse_messages_resubmitted_total", labels) or 0.0


async def session(door: Running, mode: Resubmission) -> Wire:
    door.directory.logins["user"] = replace(LOGIN, resubmission=mode)
    return await door.logged_in()


async def test_where_it_is_off_a_message_has_no_terms(door: Running) -> None:
    client = await session(door, Resubmission.OFF)
    assert (await client.message(GOOD)).startswith("250 ")
    assert NO_TERMS is door.intake.accepted[0].terms


async def test_a_message_that_was_accepted_before_hears_the_first_id(door: Running) -> None:
    client = await session(door, Resubmission.ON)
    before = counted("on")
    first = UUID(int=77)
    door.intake.answer = AcceptedBefore(first)
    assert await client.message(GOOD) == f"250 2.0.0 Ok: queued as {first.hex}"
    assert before + 1 == counted("on")
    made = door.intake.accepted[0].terms.key
    assert made is not None
    assert Resubmission.ON is made.mode


async def test_report_only_counts_it_and_gives_the_new_id(door: Running) -> None:
    client = await session(door, Resubmission.REPORT_ONLY)
    before = counted("report-only")
    assert (await client.message(GOOD)).startswith("250 ")
    assert before == counted("report-only")
    door.intake.answer = Committed(is_due=True, first=UUID(int=77))
    reply = await client.message(GOOD)
    assert reply == f"250 2.0.0 Ok: queued as {door.intake.accepted[-1].id.hex}"
    assert before + 1 == counted("report-only")


async def test_a_key_that_the_client_gave_says_more(door: Running) -> None:
    client = await session(door, Resubmission.ON)
    await client.message(b"X-Posthouse-Idempotency-Key: order-17\r\n" + GOOD)
    given = door.intake.accepted[0].terms.key
    assert given is not None
    assert ("order-17", None) == (given.text, given.mode)


async def test_a_message_without_message_id_is_not_looked_at(door: Running) -> None:
    client = await session(door, Resubmission.ON)
    await client.message(b"From: jo@a.example\r\n\r\nBackup failed\r\n.\r\n")
    assert NO_TERMS is door.intake.accepted[0].terms


async def test_a_large_message_is_read_elsewhere(door: Running) -> None:
    """The loop goes on meanwhile; the key is that of all its octets."""
    client = await session(door, Resubmission.ON)
    for end in (b"1", b"1", b"2"):
        await client.message(GOOD[:-3] + (b"y" * 70 + b"\r\n") * 9_000 + end + b"\r\n.\r\n")
    keys = [one.terms.key.text for one in door.intake.accepted if one.terms.key]
    assert keys[0] == keys[1] != keys[2]
