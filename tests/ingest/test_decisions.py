"""The door's pure decisions, as tables."""

from dataclasses import replace
from uuid import UUID

import pytest

from ingest.backpressure import StoreBackoff, client_address, least_free, network_of
from ingest.core import refusals
from ingest.core.message_checks import (
    MessageHead,
    SessionFacts,
    check_sender,
    checks,
    choose_account,
    choose_lane,
    first_refusal,
    requested_lane,
)
from posthouse.mail.address import Address
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header
from posthouse.profiles import resolve

FACTS = SessionFacts(
    account_id=UUID(int=1),
    credential_id=UUID(int=2),
    username="user",
    domains={"a.example"},
    child_domains={},
    lane=Lane.NORMAL,
    highest_lane=Lane.VERY_HIGH,
    profile=resolve("native"),
    profile_name="native",
    profile_revision=1,
    max_message_octets=1_000,
    max_header_octets=1_000,
    checks=checks(resolve("native")),
)


def head(header: bytes) -> MessageHead:
    return MessageHead(header, Header.parse(header))


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, None),
        ({"x-priority": "1"}, Lane.VERY_HIGH),
        ({"x-priority": "2 (High)"}, Lane.HIGH),
        ({"x-priority": "5"}, Lane.BULK),
        ({"x-priority": "10"}, None),
        ({"x-priority": "0"}, None),
        ({"x-priority": "soon", "importance": "high"}, Lane.HIGH),
        ({"x-priority": "4", "importance": "high"}, Lane.LOW),
        ({"importance": "Low", "priority": "urgent"}, Lane.LOW),
        ({"priority": "URGENT"}, Lane.HIGH),
        ({"priority": "non-urgent"}, Lane.LOW),
        ({"x-msmail-priority": "Normal"}, Lane.NORMAL),
        ({"x-msmail-priority": "High", "priority": "normal"}, Lane.NORMAL),
    ],
)
def test_U10_what_a_message_asks_for(  # noqa: N802
    fields: dict[str, str], asked: Lane | None
) -> None:
    header = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    assert asked == requested_lane(head(header.encode() + b"\r\n"))


@pytest.mark.parametrize(
    ("asked", "default", "highest", "chosen"),
    [
        (None, 3, 1, 3),
        (1, 3, 1, 1),
        (5, 3, 1, 3),  # a message cannot lower its credential's default
        (1, 3, 2, 2),
        (1, 5, 5, 5),
        (None, 1, 3, 3),
    ],
)
def test_U08_the_higher_one_counts_but_not_above_the_cap(  # noqa: N802
    asked: int | None, default: int, highest: int, chosen: int
) -> None:
    facts = replace(FACTS, lane=Lane(default), highest_lane=Lane(highest))
    header = b"\r\n" if asked is None else f"X-Priority: {asked}\r\n\r\n".encode()
    assert Lane(chosen) is choose_lane(head(header), facts)
    assert Lane(max(chosen, 2)) is choose_lane(
        head(header), replace(facts, profile=resolve("native", 1, {"priority.highest": "high"}))
    )
    deaf = replace(facts, profile=resolve("native", 1, {"priority.from_header": False}))
    assert Lane(max(default, highest)) is choose_lane(head(header), deaf)


def test_U13_domains_match_exactly_in_either_spelling() -> None:  # noqa: N802
    def allowed(text: str, *domains: str) -> bool:
        facts = replace(FACTS, domains=frozenset(domains))
        return check_sender(Address.parse(text), facts) is None

    assert allowed("jo@a.example", "a.example", "b.example")
    assert allowed("jo@bücher.example", "bücher.example")
    assert allowed("jo@bücher.example", "xn--bcher-kva.example")
    assert not allowed("jo@sub.a.example", "a.example")
    assert not allowed("jo@a.example", "sub.a.example")
    assert not allowed("jo@a.example")


def test_a_refused_sender_hears_what_was_seen_and_what_is_allowed() -> None:
    jo = Address.parse("jo@x.example")

    def text(count: int) -> str:
        facts = replace(FACTS, domains={f"d{i}.example" for i in range(count)})
        refusal = check_sender(jo, facts)
        assert refusal is not None
        return refusal.reply.text.removeprefix(
            "Sender domain x.example is not one of this account's verified domains: "
        )

    assert text(0) == "it has none"
    assert text(2) == "d0.example, d1.example"
    assert text(10).endswith("d7.example and 2 more")


def test_every_author_has_to_be_at_a_verified_domain() -> None:
    message = head(b"From: jo@a.example, al@b.example\r\n\r\n")
    assert first_refusal(message, replace(FACTS, domains={"a.example", "b.example"})) is None
    refusal = first_refusal(message, FACTS)
    assert refusal is not None
    assert refusal.reply.text.startswith("From domain b.example is not one of")


PARENT, CHILD, OTHER_CHILD = FACTS.account_id, UUID(int=11), UUID(int=12)


@pytest.mark.parametrize(
    ("author", "sender", "account"),
    [
        ("jo@a.example", "jo@a.example", PARENT),
        ("jo@child.example", "jo@a.example", CHILD),
        ("jo@a.example", "jo@child.example", PARENT),
        ("jo@elsewhere.example", "jo@child.example", CHILD),
        ("jo@elsewhere.example", "jo@elsewhere.example", PARENT),
        ("jo@bücher.example", "jo@a.example", OTHER_CHILD),
        ("al@other.example, jo@child.example", "jo@a.example", OTHER_CHILD),
    ],
)
def test_a_message_belongs_to_the_account_that_has_the_domain_of_its_author(
    author: str, sender: str, account: UUID
) -> None:
    """The account of the credential, or a child of it; the sender decides where From cannot."""
    children = {
        "child.example": CHILD,
        "other.example": OTHER_CHILD,
        "xn--bcher-kva.example": OTHER_CHILD,
    }
    facts = replace(FACTS, domains={"a.example", *children}, child_domains=children)
    message = head(f"From: {author}\r\n\r\n".encode())
    assert account == choose_account(message, sender, facts)
    assert PARENT == choose_account(message, sender, FACTS)


@pytest.mark.parametrize(
    ("host", "client", "network"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1", "2001:0db8:0000:0000"),
        ("2001:DB8:0:0:1::1", "2001:db8::1:0:0:1", "2001:0db8:0000:0000"),
        ("fe80::1%eth0", "fe80::1", "fe80:0000:0000:0000"),
    ],
)
def test_who_is_one_client(host: str, client: str, network: str) -> None:
    assert client_address(host) == client
    assert network_of(client) == network


def test_trouble_with_the_store_is_remembered_for_a_second() -> None:
    backoff = StoreBackoff()
    assert backoff.reply(100.0) is None
    backoff.failed(refusals.FAULT, 100.0)
    assert [refusals.FAULT, None] == [backoff.reply(100.9), backoff.reply(101.0)]
    backoff.failed(refusals.FULL, 101.0)
    backoff.succeeded()
    assert backoff.reply(101.0) is None


@pytest.mark.parametrize(("limit", "least"), [(26_214_400, 89_653_248), (1024, 50_333_184)])
def test_room_for_the_log_and_for_one_message_is_kept_free(limit: int, least: int) -> None:
    """Three segments of 16 MiB, and the largest message one and a half times."""
    assert least == least_free(limit)
