"""The work on messages, in pieces between which the event loop turns."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from policy import preparing
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.request import Request, read
from policy.preparing import Job, Preparer, Result, Signed
from policy.signing import OneByOne
from policy.verifying import SampleVerifier
from posthouse.mail.dkim_key import Algorithm, SigningKey
from posthouse.mail.submission import Attributes, RecipientKind
from posthouse.profiles import resolve
from servers.rsa_keys import rsa_key
from servers.stores import a_submission

FACTS = Facts(Relay("relay.example", DomainKeys("relay.example", None, ()), b"k", b"i"), {}, {})
MANY = tuple(f"b{n}@x.example" for n in range(1000))


class AllAtOnce(OneByOne):
    """Signs a message in all its copies before the event loop turns."""

    at_once = len(MANY)


def request_with_copies() -> Request:
    sent = a_submission(header=b"From: jo@shop.example\r\n\r\n", recipients=MANY)
    kinds = Attributes(kinds=dict.fromkeys(MANY, RecipientKind.BCC))
    return read(replace(sent, attributes=kinds), resolve("mailtarget"))


async def turns_during(preparer: Preparer, *jobs: Job) -> tuple[int, list[Result]]:
    """How many turns others had while *jobs* were prepared, and the results."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    at_work = asyncio.create_task(other())
    results = await preparer.prepare(jobs)
    at_work.cancel()
    return turns, results


async def test_a_message_in_a_thousand_copies_is_decided_while_others_have_their_turns() -> None:
    preparer = Preparer(AllAtOnce(), SampleVerifier(0))
    turns, (result,) = await turns_during(preparer, (request_with_copies(), FACTS))
    assert isinstance(result, Signed)
    assert len(result.renditions) == len(MANY)
    assert turns > 20


async def test_a_large_body_is_hashed_while_others_have_their_turns() -> None:
    key = SigningKey.load("relay.example", "r1", Algorithm.RSA, rsa_key())
    relay = Relay("relay.example", DomainKeys("relay.example", None, (key,)), b"k", b"i")
    sent = a_submission(
        header=b"From: jo@shop.example\r\n\r\n", body=b"some words in a line\r\n" * 50_000
    )
    job = (read(sent, resolve("native")), Facts(relay, {}, {}))
    turns, (result,) = await turns_during(Preparer(OneByOne(), SampleVerifier(1)), job)
    assert isinstance(result, Signed)  # and another implementation verifies it
    assert b"\r\nDKIM-Signature:" in b"\r\n" + result.renditions[0].header
    assert turns > 15


async def test_what_takes_long_is_decided_about_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A long header, and a large body that is tracked: the event loop goes on with the others."""
    threads: list[bool] = []
    for name in ("decide", "decide_in_pieces"):
        work = getattr(preparing, name)

        def noting(*args: Any, work: Any = work) -> Any:
            threads.append(threading.current_thread() is threading.main_thread())
            return work(*args)

        monkeypatch.setattr(preparing, name, noting)
    slow = b"From: jo@shop.example\r\nTo: " + b"()" * 300 + b"\r\n\r\n"
    usual = b"From: jo@shop.example\r\n\r\n"
    large = b"<p>Hello</p>\r\n" * 4_000
    sent = (("native", slow, b""), ("native", usual, large), ("critsend", usual, large))
    jobs = [
        (read(a_submission(header=header, body=body), resolve(profile)), FACTS)
        for profile, header, body in (*sent, ("critsend", usual, b"Hello\r\n"))
    ]
    results = await Preparer(OneByOne(), SampleVerifier(0)).prepare(jobs)
    assert all(isinstance(result, Signed) for result in results)
    assert [False, True, False, True] == threads
