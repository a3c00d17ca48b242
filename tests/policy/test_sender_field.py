"""Who sends for an author of another domain, and whose signature the message gets."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.decision import Plan, decide
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.request import read
from posthouse.mail.dkim_key import Algorithm, SigningKey
from posthouse.mail.message import split
from posthouse.profiles import resolve
from posthouse.running.keys import generate
from servers.stores import a_submission

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RELAY = "relay.example"
KEYS = {
    name: SigningKey.load(name, "s1", "ed25519-sha256", generate(Algorithm.ED25519))
    for name in ("bar.example", "own.example", "env.example", "xn--bcher-kva.example", RELAY)
}
FACTS = Facts(
    Relay(RELAY, DomainKeys(RELAY, "bounce.relay.example", (KEYS[RELAY],)), b"k" * 32, b"i" * 32),
    {},
    {},
)
OWNED = ("bar.example", "own.example", "env.example")
NOTHING: Mapping[str, object] = {}
FOREIGN = "From: somewhere@else.example"


class Sent(NamedTuple):
    """What recipients see of it."""

    sender: tuple[str, ...]
    signed: str
    return_path_host: str
    author: str | None


def sent(
    fields: str,
    signed_by: str = "foo@bar.example",
    owned: tuple[str, ...] = OWNED,
    *,
    preset: str = "critsend",
    changed: Mapping[str, object] = NOTHING,
) -> Sent:
    """After all steps, of an account that has the domains *owned*."""
    profile = resolve(preset, overrides={"sender.signed_by": signed_by, **changed})
    header = "".join(f"{line}\r\n" for line in (*fields.split("\n"), "")).encode()
    request = read(a_submission(sender="x@env.example", header=header), profile)
    known = {
        name: DomainKeys(name, f"bounce.{name}", (KEYS[name],))
        for name in request.from_domains
        if name in owned
    }
    plan = decide(request, replace(FACTS, domains=known), NOW, (UUID(int=n) for n in count(1)))
    assert isinstance(plan, Plan)
    (one,) = plan.renditions
    host = plan.deliveries[0].return_path.partition("@")[2]
    return Sent(one.header.values("Sender"), one.keys[0].domain, host, one.header.first("From"))


@pytest.mark.parametrize("author", ["delivery@bar.example", "foo@bar.example", "x@BAR.example"])
def test_C14_an_author_at_the_domain_of_signed_by_needs_no_sender(author: str) -> None:
    assert sent(f"From: {author}") == ((), "bar.example", "bounce.bar.example", author)


def test_X04_C15_an_author_elsewhere_gets_a_sender() -> None:
    assert sent(FOREIGN) == (
        ("foo@bar.example",),
        "bar.example",
        "bounce.bar.example",
        "somewhere@else.example",
    )


def test_C15_C16_an_author_at_another_domain_of_the_account_is_signed_by_it() -> None:
    found = sent("From: a@own.example")
    assert found.sender == ("foo@bar.example",)
    assert (found.signed, found.return_path_host) == ("own.example", "bounce.own.example")


@pytest.mark.parametrize("signed_by", ["", "foo@bar.example"])
def test_C17_without_a_domain_in_dns_the_relay_sends(signed_by: str) -> None:
    """The domain of the envelope sender does not matter: recipients do not see it."""
    for author in ("somewhere@else.example", "a@bar.example"):
        assert sent(f"From: {author}", signed_by, owned=()) == (
            ("postmaster@relay.example",),
            RELAY,
            "bounce.relay.example",
            author,
        )
        assert sent(FOREIGN, "", owned=("env.example",)).signed == RELAY


def test_C18_several_domains_send_for_themselves_without_signed_by() -> None:
    for domain in ("bar.example", "own.example"):
        for signed_by in ("", "foo@unverified.example"):
            found = sent(f"From: a@{domain}", signed_by)
            assert (found.sender, found.signed) == ((), domain)


@pytest.mark.parametrize(
    ("fields", "sender"),
    [
        ("Sender: me@else.example\n" + FOREIGN, ("foo@bar.example",)),
        (FOREIGN + "\nsender: a@x.example\nSender: b@x.example", ("foo@bar.example",)),
        ("From: a@bar.example\nSender: b@bar.example", ("b@bar.example",)),
        ("From: a@bar.example, b@bar.example", ("foo@bar.example",)),
        ("From: a@bar.example, b@bar.example\nSender: b@bar.example", ("b@bar.example",)),
        ("From: a@bar.example, b@else.example\nSender: b@else.example", ("foo@bar.example",)),
    ],
)
def test_C15_a_sender_of_the_client_is_replaced_where_needed(
    fields: str, sender: tuple[str, ...]
) -> None:
    assert sender == sent(fields).sender


def test_C16_an_international_signed_by_is_written_for_dns() -> None:
    owned = ("xn--bcher-kva.example",)
    assert sent(FOREIGN, "foo@bücher.example", owned).sender == ("foo@xn--bcher-kva.example",)


@given(st.binary(max_size=120))
def test_C17_whatever_from_says_there_is_one_sender_at_most(value: bytes) -> None:
    header, _ = split(b"From: " + value + b"\r\n\r\n")
    request = read(a_submission(header=header), resolve("critsend"))
    plan = decide(request, FACTS, NOW, (UUID(int=n) for n in count(1)))
    assert isinstance(plan, Plan)
    fields = [f for f in plan.renditions[0].header.fields if f.name == b"sender"]
    assert [f.raw for f in fields][-1:] == [b"Sender: postmaster@relay.example\r\n"]


@pytest.mark.parametrize(
    ("policy", "author", "sender"),
    [
        ("keep", "Jo <jo@else.example>", ()),
        ("rewrite_from_envelope", "Jo <x@env.example>", ()),
        ("keep_and_add_sender", "Jo <jo@else.example>", ("postmaster@relay.example",)),
        ("require_equal", "Jo <jo@else.example>", ()),  # the door has refused what is unequal
    ],
)
def test_X04_what_becomes_of_From_is_a_knob_and_the_return_path_is_always_ours(
    policy: str, author: str, sender: tuple[str, ...]
) -> None:
    changed = {"sender.from_policy": policy}
    result = sent("From: Jo <jo@else.example>", "", preset="native", changed=changed)
    assert (author, sender) == (result.author, result.sender)
    assert result.return_path_host in ("bounce.env.example", "bounce.relay.example")
