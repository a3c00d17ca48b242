"""The door's pure decisions, as tables."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from ingest.backpressure import StoreBackoff, least_free
from ingest.core import refusals
from ingest.core.admission import Incoming, SessionFacts, admit, first_decision
from ingest.core.domains_of_others import domains_to_ask
from ingest.core.message_head import MessageHead
from ingest.core.priority_rules import choose_lane, requested_lane
from ingest.core.refusals import Refusal
from ingest.core.rules import rules_for
from ingest.core.sender_rules import check_sender, choose_account
from posthouse.authentication.client_networks import client_address, network_of
from posthouse.mail.address import Address
from posthouse.mail.lane import Lane
from posthouse.mail.reply import Reply
from posthouse.profiles import resolve
from servers import admitting
from servers.admitting import facts_for

FACTS = facts_for("native")


def incoming(header: bytes, facts: SessionFacts = FACTS, *args: Any, **more: Any) -> Incoming:
    return admitting.incoming(header, facts, *args, **more)


def head(header: bytes) -> MessageHead:
    return incoming(header).head


def lane(header: bytes, facts: SessionFacts) -> Lane:
    message = incoming(header, facts)
    return choose_lane(message, first_decision(message)).lane


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
def test_U10_what_a_message_asks_for(fields: dict[str, str], asked: Lane | None) -> None:
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
def test_U08_the_higher_one_counts_but_not_above_the_cap(
    asked: int | None, default: int, highest: int, chosen: int
) -> None:
    facts = replace(FACTS, lane=Lane(default), highest_lane=Lane(highest))
    header = b"\r\n" if asked is None else f"X-Priority: {asked}\r\n\r\n".encode()
    assert Lane(chosen) is lane(header, facts)
    high = replace(facts, profile=resolve("native", 1, {"priority.highest": "high"}))
    assert Lane(max(chosen, 2)) is lane(header, high)
    deaf = replace(facts, profile=resolve("native", 1, {"priority.from_header": False}))
    assert Lane(max(default, highest)) is lane(header, deaf)


@pytest.mark.parametrize("neutral", [b"X-Priority: 3\r\n\r\n", b"Importance: normal\r\n\r\n"])
def test_X16_the_neutral_value_asks_for_nothing_unless_a_knob_says_so(
    neutral: bytes,
) -> None:
    """U08 to the letter lifts bulk mail to lane 3."""
    bulk = replace(FACTS, lane=Lane.BULK)
    literal = replace(bulk, profile=resolve("native", 1, {"priority.neutral_counts": True}))
    assert (Lane.BULK, Lane.NORMAL) == (lane(neutral, bulk), lane(neutral, literal))


def test_U13_domains_match_exactly_in_either_spelling() -> None:
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
    header = b"From: jo@a.example, al@b.example\r\n\r\n"
    both = replace(FACTS, domains={"a.example", "b.example"})
    assert not isinstance(admit(incoming(header, both)), Refusal)
    refusal = admit(incoming(header))
    assert isinstance(refusal, Refusal)
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
    message = incoming(f"From: {author}\r\n\r\n".encode(), facts, sender)
    assert account == choose_account(message, first_decision(message)).account_id
    alone = message._replace(session=FACTS)
    assert PARENT == choose_account(alone, first_decision(alone)).account_id


@pytest.mark.parametrize(
    ("header", "knobs", "asked"),
    [
        (b"From: jo@a.example\r\n\r\n", {}, set()),
        (b"From: jo@a.example\r\nSender: al@a.example\r\n\r\n", {}, set()),
        (b"From: jo@a.example\r\nSender: al@x.example\r\n\r\n", {}, {"x.example"}),
        (b"From: jo@a.example\r\nSender: no address\r\n\r\n", {}, set()),
        (b"From: jo@x.example\r\n\r\n", {"sender.check": "off"}, {"x.example", "e.example"}),
        (b"From: jo@x.example\r\n\r\n", {"sender.check": "alert"}, {"x.example", "e.example"}),
        (b"From: jo@a.example\r\n\r\n", {"sender.check_on": "from"}, {"e.example"}),
    ],
)
def test_X05_no_profile_lets_an_account_use_the_domain_of_another(
    header: bytes, knobs: dict[str, object], asked: set[str]
) -> None:
    """Those domains are asked for that the account has not verified itself."""
    facts = facts_for("native", **{knob.replace(".", "__"): knobs[knob] for knob in knobs})
    sender = "jo@e.example" if knobs else "jo@a.example"
    assert asked == domains_to_ask(head(header), sender, facts)
    result = admit(incoming(header, facts, sender, owned_elsewhere=asked))
    assert isinstance(result, Refusal) is bool(asked)
    if isinstance(result, Refusal):
        assert result.reply.text.startswith(f"{min(asked)} belongs to another account")


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"From: jo@a.example\r\nSubject: x\r\n\r\n", None),
        (b"From: jo@a.example\r\nsubject: \r\n\r\n", "The Subject header is empty"),
        (b"From: jo@a.example\r\n\r\n", "The message has no Subject header"),
        (b"Subject: x\r\n\r\n", "The message has no From header"),
        (
            b"From: jo@a.example\r\nSubject: x\r\nBCC: \r\n\r\n",
            "The message must not have a Bcc header",
        ),
    ],
)
def test_X11_required_and_refused_fields_are_knobs(header: bytes, text: str | None) -> None:
    knobs = {
        "conformance.required_fields": ["Subject"],
        "conformance.refused_fields": ["Cc", "Bcc"],
    }
    facts = replace(FACTS, rules=rules_for(resolve("native", 1, knobs)))
    result = admit(incoming(header, facts))
    if text is None:
        assert not isinstance(result, Refusal)
    else:
        assert isinstance(result, Refusal)
        assert result.reply == Reply(550, text, "5.6.0")


@pytest.mark.parametrize(
    ("sender", "allowed"),
    [
        ("any@a.example", False),  # verified, and yet not on the list
        ("any@b.example", True),
        ("any@sub.b.example", False),
        ("Info@C.example", True),
        ("other@c.example", False),
    ],
)
def test_U13_U14_the_list_of_senders_may_be_that_of_the_profile(
    sender: str, *, allowed: bool
) -> None:
    lists = {
        "sender.checked_against": "authorized",
        "sender.authorized_domains": ["b.example"],
        "sender.authorized_senders": ["info@c.example"],
    }
    facts = replace(FACTS, profile=resolve("native", 1, lists))
    assert allowed is (check_sender(Address.parse(sender), facts) is None)
    empty = {"sender.checked_against": "authorized", "sender.empty_list_means": "all"}
    facts = replace(FACTS, profile=resolve("native", 1, empty))
    assert check_sender(Address.parse(sender), facts) is None


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


@pytest.mark.parametrize(
    ("knobs", "chosen"),
    [
        ({}, Lane.VERY_HIGH),
        ({"priority.from_header": False}, Lane.NORMAL),
        ({"priority.highest": "high"}, Lane.HIGH),
        ({"priority.highest": "low"}, Lane.LOW),
    ],
)
def test_X16_whether_messages_claim_a_lane_and_how_high_are_knobs(
    knobs: dict[str, object], chosen: Lane
) -> None:
    facts = replace(FACTS, lane=Lane.NORMAL, profile=resolve("native", 1, knobs))
    assert chosen is lane(b"X-Priority: 1\r\n\r\n", facts)
