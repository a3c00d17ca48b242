"""Messages say how to unsubscribe from them, each recipient's copy by a token of its own."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import dkim
import pytest

from policy.core.decision import Plan, decide, sign, unsigned
from policy.core.facts import DomainKeys, Facts, Relay, TrackingHost
from policy.core.request import read
from policy.signing import OneByOne
from posthouse.mail.dkim_key import Algorithm, SigningKey, record
from posthouse.mail.message import Header
from posthouse.mail.submission import NO_ATTRIBUTES, OWN_CREDENTIAL, Attributes, Submission
from posthouse.profiles import resolve
from posthouse.running.keys import generate
from posthouse.tracking.token import TokenKey, UnsubscribeToken
from posthouse.tracking.token import read as read_token
from posthouse.tracking.unsubscribe_address import token_in
from servers.stores import a_submission

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKENS = TokenKey(0, b"t" * 32)
SHOP_KEY = SigningKey.load("shop.example", "s1", "ed25519-sha256", generate(Algorithm.ED25519))
URL = "https://t.relay.example"
HEADER = b"From: Jo <jo@shop.example>\r\nTo: a@x.example\r\n\r\n"
TO = ("a@x.example", "b@x.example")
OFFERED: dict[str, object] = {"suppression.unsubscribe_fields": True}


def facts(url: str = URL) -> Facts:
    own = DomainKeys("relay.example", None, ())
    relay = Relay("relay.example", own, b"k" * 32, b"i" * 32, TrackingHost(url, TOKENS))
    return Facts(
        relay, {"shop.example": DomainKeys("shop.example", "back.shop.example", (SHOP_KEY,))}, {}
    )


def plan_of(
    profile: str = "native",
    header: bytes = HEADER,
    attributes: Attributes = NO_ATTRIBUTES,
    *,
    url: str = URL,
    knobs: dict[str, object] = OFFERED,
    **changes: object,
) -> Plan:
    made: Submission = replace(
        a_submission(sender="jo@shop.example", header=header, body=b"Hello\r\n", recipients=TO),
        attributes=attributes,
        **changes,  # type: ignore[arg-type]
    )
    request = read(made, resolve(profile, overrides=knobs))
    result = decide(request, facts(url), NOW, (UUID(int=n) for n in count(1)))
    assert isinstance(result, Plan)
    return result


def fields_of(plan: Plan) -> list[tuple[str | None, str | None]]:
    """List-Unsubscribe and List-Unsubscribe-Post of each copy."""
    names = ("List-Unsubscribe", "List-Unsubscribe-Post")
    return [(one.header.first(names[0]), one.header.first(names[1])) for one in plan.renditions]


def test_each_copy_has_a_page_and_an_address_with_the_token_of_its_delivery() -> None:
    plan = plan_of()

    assert 2 == len(plan.renditions) == len(plan.deliveries)
    for (field, post), delivery, one in zip(
        fields_of(plan), plan.deliveries, plan.renditions, strict=True
    ):
        assert (one.id, None) == (delivery.rendition_id, one.body)
        found = re.fullmatch(
            r"<https://t\.relay\.example/u/(\S+)>, "
            r"<mailto:(\S+)@back\.shop\.example\?subject=unsubscribe>",
            field or "",
        )
        assert found
        for token in (found[1], token_in(found[2]) or ""):
            assert UnsubscribeToken(delivery.id) == read_token(token, [TOKENS])
        assert "List-Unsubscribe=One-Click" == post


def test_DKIM_covers_both_fields() -> None:
    """RFC 8058 section 4: else no mail program shows a button."""

    def published(name: bytes, timeout: int = 5) -> bytes:
        del name, timeout
        return record(SHOP_KEY.private.public_key()).encode()

    for one in sign(list(unsigned(plan_of(), NOW)), OneByOne().sign):
        content = one.header + b"Hello\r\n"
        assert dkim.DKIM(content).verify(dnsfunc=published)
        for name in (b"List-Unsubscribe: ", b"List-Unsubscribe-Post: "):
            damaged = content.replace(b"\r\n" + name, b"\r\n" + name + b"x", 1)
            assert damaged != content
            assert not dkim.DKIM(damaged).verify(dnsfunc=published)


def test_a_button_is_promised_over_TLS_only() -> None:
    """Without a host there is the address alone; a page in clear has no List-Unsubscribe-Post."""
    (field, post), _ = fields_of(plan_of(url=""))
    assert field is not None
    assert field.startswith("<mailto:unsubscribe-")
    assert post is None
    (field, post), _ = fields_of(plan_of(url="http://127.0.0.1:2581"))
    assert field is not None
    assert field.startswith("<http://127.0.0.1:2581/u/")
    assert post is None


def test_a_message_that_brings_its_own_is_left_alone() -> None:
    own = b"list-unsubscribe: <https://shop.example/bye>\r\n" + HEADER
    plan = plan_of(header=own)
    assert [("<https://shop.example/bye>", None)] == fields_of(plan)
    assert 2 == len(plan.deliveries)


@pytest.mark.parametrize(
    ("profile", "knobs", "flags", "offered"),
    [
        ("native", {}, {}, False),
        ("critsend", {}, {}, False),
        ("maxemail", {}, {}, False),
        ("mailup", {}, {"unsubscribe": True}, True),  # what its list is set to (U19)
        ("mailup", OFFERED, {"unsubscribe": False}, False),
        ("episerver", {}, {}, False),
        ("episerver", {}, {"unsubscribe": True}, True),
        ("mailtarget", {}, {}, True),
        ("mailtarget", {}, {"transactional": True}, False),
        ("mailtarget", {}, {"transactional": True, "unsubscribe": True}, False),
        ("mailtarget", {}, {"transactional": False}, True),
        ("mailtarget", {"suppression.unsubscribe_fields": False}, {}, False),
    ],
)
def test_T21_profile_stream_and_message_say_whether_it_is_offered(
    profile: str, knobs: dict[str, object], flags: dict[str, bool], *, offered: bool
) -> None:
    plan = plan_of(profile, attributes=Attributes(flags=flags), knobs=knobs)
    assert offered is all(field is not None for field, _ in fields_of(plan))
    assert offered is (len(plan.renditions) == 2)


def test_nothing_of_ours_and_nothing_from_the_sandbox_offers_it() -> None:
    for plan in (
        plan_of(credential_id=OWN_CREDENTIAL),
        plan_of(attributes=Attributes(sandboxed=True)),
    ):
        assert {(None, None)} == set(fields_of(plan))


def test_copies_of_a_large_header_are_not_made_by_the_thousand() -> None:
    """It is sent all the same, and the timeline says why it does not offer it."""
    large = b"X-Large: " + b"x" * 900 + b"\r\n"
    plan = plan_of(header=large * 10_000 + HEADER)
    assert [(None, None)] == fields_of(plan)
    assert "no List-Unsubscribe: 2 copies of it would take more than 16 MiB" in plan.detail["note"]


def test_fields_are_folded_and_safe() -> None:
    for one in plan_of().renditions:
        assert one.header.fields == Header.parse(bytes(one.header)).fields
        assert all(len(line) <= 120 for line in bytes(one.header).split(b"\r\n"))
