"""Tracking: who gets which links, what they lead to, and what the timeline says."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import dkim
import pytest

from policy.core.decision import Plan, decide, sign, unsigned
from policy.core.facts import DomainKeys, Facts, Relay, TrackingHost
from policy.core.request import Request, read
from policy.signing import OneByOne
from posthouse.mail.body_edits import with_packed
from posthouse.mail.dkim_key import Algorithm, SigningKey, record
from posthouse.mail.message import Header
from posthouse.mail.submission import OWN_CREDENTIAL, Attributes, RecipientKind
from posthouse.mail.suppression_list import Suppression, SuppressionList
from posthouse.profiles import resolve
from posthouse.running.keys import generate
from posthouse.tracking.host_state import HostState
from posthouse.tracking.link_set import LinkSet
from posthouse.tracking.list_frame import ListFrame
from posthouse.tracking.token import ClickToken, OpenToken, Token, token_keys
from posthouse.tracking.token import read as read_token
from servers.stores import ACCOUNT, a_submission

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEYS = token_keys(b"m" * 32, [1, 0])
SIGNING = SigningKey.load("shop.example", "s1", "ed25519-sha256", generate(Algorithm.ED25519))
SHOP = {"shop.example": DomainKeys("shop.example", "bounce.shop.example", (SIGNING,))}
OWN = DomainKeys("relay.example", None, ())
URL = "https://t.relay.example"
RELAY = Relay("relay.example", OWN, b"k" * 32, b"i" * 32, TrackingHost(URL, KEYS[0]))
FACTS = Facts(RELAY, SHOP, {})
HEADER = (
    b"From: jo@shop.example\r\nTo: a@x.example\r\nSubject: Hi\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n"
)
TARGETS = ("https://shop.example/a?x=1", "https://shop.example/b")
BODY = "".join(f'<a href="{target}">x</a>\r\n' for target in TARGETS).encode()
BOTH = {"open_tracking": True, "click_tracking": True}
A, B, C, D = (f"{name}@x.example" for name in "abcd")
CC, BCC, ARCHIVE = RecipientKind.CC, RecipientKind.BCC, RecipientKind.ARCHIVE


def request(
    profile: str = "native",
    flags: Mapping[str, bool] = BOTH,
    to: tuple[str, ...] = (A,),
    body: bytes = BODY,
    **more: Any,
) -> Request:
    """A message under the knobs that begin with ``tracking__``, with other attributes."""
    knobs = {k.replace("__", "."): more.pop(k) for k in list(more) if k.startswith("tracking__")}
    own = {k: more.pop(k) for k in list(more) if k in ("header", "credential_id")}
    submission = a_submission(
        sender="jo@shop.example",
        recipients=to,
        attributes=Attributes(flags=flags, **more),
        **{"header": HEADER, "body": body, **own},
    )
    return read(submission, resolve(profile, overrides=knobs))


def plan_of(asked: Request, facts: Facts = FACTS) -> Plan:
    plan = decide(asked, facts, NOW, (UUID(int=n) for n in count(1)))
    assert isinstance(plan, Plan)
    return plan


def seen(plan: Plan) -> dict[str, tuple[Token | None, ...]]:
    """By recipient, the tokens in the copy that it gets, each signed and verified."""
    found = {}
    renditions = {one.id: one for one in sign(list(unsigned(plan, NOW)), OneByOne().sign)}
    for delivery in plan.deliveries:
        one = renditions[delivery.rendition_id]
        body = plan.submission.body if one.body is None else one.body
        assert dkim.DKIM(one.header + body).verify(dnsfunc=published)
        tokens = re.findall(rf"{URL}/[co]/([A-Za-z0-9_-]+)".encode(), body)
        found[delivery.recipient] = tuple(read_token(each.decode(), KEYS) for each in tokens)
    return found


def published(name: bytes, timeout: int = 5) -> bytes:
    del name, timeout
    return record(SIGNING.private.public_key()).encode()


def tokens_for(plan: Plan, recipient: str) -> tuple[Token, ...]:
    """Those that name the delivery of *recipient*."""
    (delivery,) = [one for one in plan.deliveries if one.recipient == recipient]
    links = LinkSet.of(ACCOUNT, TARGETS).id
    clicks = [ClickToken(delivery.id, links, number) for number in range(len(TARGETS))]
    return (*clicks, OpenToken(delivery.id))


def test_each_recipient_has_links_of_its_own_and_targets_are_stored_once() -> None:
    plan = plan_of(request(to=(A, B)))
    assert {A: tokens_for(plan, A), B: tokens_for(plan, B)} == seen(plan)
    assert LinkSet.of(ACCOUNT, TARGETS) == plan.links
    assert 2 == len(plan.renditions)
    assert {"opens": True, "links": 2} == plan.detail["tracked"]
    assert "note" not in plan.detail


@pytest.mark.parametrize("opens", [False, True])
@pytest.mark.parametrize("clicks", [False, True])
def test_each_kind_is_turned_on_by_the_message_or_else_by_its_profile(
    opens: bool, clicks: bool
) -> None:
    """What a header may turn on is decided when the message is accepted (T09, T10)."""
    flags = {"open_tracking": opens, "click_tracking": clicks}
    knobs: dict[str, Any] = {"tracking__opens": opens, "tracking__clicks": clicks}
    other: dict[str, Any] = {"tracking__opens": not opens, "tracking__clicks": not clicks}
    for asked in (request(flags={}, **knobs), request(flags=flags, **other)):
        plan = plan_of(asked)
        *links, pixel = tokens_for(plan, A)
        assert (*(links if clicks else ()), *([pixel] if opens else ())) == seen(plan)[A]
        assert clicks == bool(plan.links and plan.links.targets)


def test_of_a_tracked_body_only_what_it_differs_in_is_stored() -> None:
    """What is sent is what was signed: who reads it makes the same octets of the submission's."""
    asked = request(to=(A, B), body=BODY + b"<p>words</p>\r\n" * 200)
    for one in plan_of(asked).renditions:
        assert one.edits is not None
        assert len(one.edits) < 600
        assert one.body == with_packed(asked.submission.body, one.edits)
    short = plan_of(request(body=BODY))
    assert short.renditions[0].edits is None


def test_M14_the_blind_copy_has_no_links_of_ours_and_no_pixel() -> None:
    plan = plan_of(request("maxemail", to=(A, B), kinds={B: BCC}))
    assert {A: tokens_for(plan, A), B: ()} == seen(plan)
    bodies = {d.recipient: r.body for d, r in zip(plan.deliveries, plan.renditions, strict=True)}
    assert bodies[B] is None


def test_T16_cc_and_bcc_have_their_own_links_and_the_archive_those_of_to() -> None:
    plan = plan_of(request("mailtarget", to=(A, B, C, D), kinds={B: CC, C: BCC, D: ARCHIVE}))
    own = {who: tokens_for(plan, who) for who in (A, B, C)}
    assert {**own, D: own[A]} == seen(plan)
    shown = {r.id: r.header.first("Bcc") for r in plan.renditions}
    assert {C: C} == {d.recipient: b for d in plan.deliveries if (b := shown[d.rendition_id])}


def test_a_blind_copy_may_be_that_of_to() -> None:
    plan = plan_of(request("mailtarget", to=(A, B), kinds={B: BCC}, tracking__bcc="same_as_to"))
    assert {A: tokens_for(plan, A), B: tokens_for(plan, A)} == seen(plan)
    alone = plan_of(request("critsend", to=(A, B), kinds={B: BCC}))
    assert 1 == len(alone.renditions)


def test_where_to_is_suppressed_the_archive_has_links_of_its_own() -> None:
    suppressed = {A: (Suppression(SuppressionList.BOUNCE, ""),)}
    asked = request("mailtarget", to=(A, B), kinds={B: ARCHIVE})
    plan = plan_of(asked, Facts(RELAY, SHOP, suppressed))
    assert {B: tokens_for(plan, B)} == seen(plan)


def test_C21_the_tag_of_a_message_is_the_source_of_its_links() -> None:
    plan = plan_of(request("critsend", flags={}, traffic_source="invite1"))
    assert plan.links is not None
    assert plan.links.targets == (
        f"{TARGETS[0]}&utm_source=invite1",
        f"{TARGETS[1]}?utm_source=invite1",
    )


def test_hosts_and_links_that_are_exempt_stay_as_they_are() -> None:
    header = HEADER[:-2] + b"List-Unsubscribe: <https://shop.example/b>\r\n\r\n"
    body = BODY + f'<a href="{URL}/c/x">y</a><a href="http://a.free.example/">z</a>'.encode()
    plan = plan_of(request(header=header, body=body, tracking__no_track_hosts=["free.example"]))
    assert plan.links is not None
    assert plan.links.targets == TARGETS[:1]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (request(body=b"<p>x<b"), "a part ends within a tag or comment: no pixel can follow it"),
        (request(header=b"From: jo@shop.example\r\n\r\n"), "it has no HTML"),
        (request(to=(A, B), body=BODY + b"x" * (9 << 20)), "2 copies of it would take more than"),
        (request(sandboxed=True), "it is from the sandbox domain"),
    ],
)
def test_what_cannot_be_tracked_goes_out_as_it_came_and_says_why(
    asked: Request, reason: str
) -> None:
    plan = plan_of(asked)
    assert {None} == {one.body for one in plan.renditions}
    assert f"untracked: {reason}" in plan.detail["note"]
    assert "tracked" not in plan.detail
    assert plan.links is None


def test_without_a_host_nothing_is_tracked() -> None:
    for host in (None, TrackingHost("", KEYS[0])):
        facts = Facts(Relay("relay.example", OWN, b"k" * 32, b"i" * 32, host), SHOP, {})
        plan = plan_of(request(), facts)
        assert "untracked: POSTHOUSE_TRACKING_URL is not set" == plan.detail["note"]
        assert None is plan.renditions[0].body


NO_ADDRESS = "it has no address in DNS"
NOT_USED = f"the tracking host click.shop.example is not used: {NO_ADDRESS}"


def of_host(trouble: str, url: str = URL) -> Facts:
    """The domain has a tracking host of its own, which leads here unless there is *trouble*."""
    state = HostState("click.shop.example", trouble)
    relay = replace(RELAY, tracking=TrackingHost(url, KEYS[0]))
    return Facts(relay, {"shop.example": replace(SHOP["shop.example"], tracking=state)}, {})


@pytest.mark.parametrize(
    ("trouble", "url", "leads_to", "note"),
    [
        ("", URL, "https://click.shop.example", None),
        ("", "", "https://click.shop.example", None),
        (
            NO_ADDRESS,
            URL,
            URL,
            f"{NOT_USED}; links lead to https://t.relay.example",
        ),
        (
            NO_ADDRESS,
            "",
            None,
            f"untracked: {NOT_USED}; and POSTHOUSE_TRACKING_URL is not set",
        ),
    ],
)
def test_T26_links_lead_to_the_host_of_the_domain_while_that_leads_here(
    trouble: str, url: str, leads_to: str | None, note: str | None
) -> None:
    plan = plan_of(request(), of_host(trouble, url))
    assert note == plan.detail.get("note")
    (rendition,) = sign(list(unsigned(plan, NOW)), OneByOne().sign)
    found = set(re.findall(rb"(https?://[a-z.]+)/[oc]/", rendition.body or b""))
    assert found == ({leads_to.encode()} if leads_to else set())


@pytest.mark.parametrize("trouble", ["", NO_ADDRESS])
def test_links_that_lead_to_a_host_of_links_already_stay_as_they_are(trouble: str) -> None:
    old = (
        b'<a href="https://click.shop.example/c/x">x</a><a href="https://t.relay.example/c/x">y</a>'
    )
    plan = plan_of(request(body=old), of_host(trouble))
    assert {"opens": True, "links": 0} == plan.detail["tracked"]


def test_untracked_mail_and_notices_of_ours_are_not_looked_at() -> None:
    for asked in (request(flags={}), request(credential_id=OWN_CREDENTIAL)):
        plan = plan_of(asked)
        assert None is plan.renditions[0].body
        assert {"tracked", "note"}.isdisjoint(plan.detail)


def test_a_line_that_grows_is_encoded_and_the_header_says_so() -> None:
    header = b"From: jo@shop.example\r\nContent-Type: text/html\r\n\r\n"
    plan = plan_of(request(header=header, body=BODY.replace(b"\r\n", b"") * 11))
    body = plan.renditions[0].body
    assert body is not None
    assert 22 == body.replace(b"=\r\n", b"").count(b"/c/")
    shown: Header = plan.renditions[0].header
    assert ("quoted-printable", "1.0") == (
        shown.first("Content-Transfer-Encoding"),
        shown.first("MIME-Version"),
    )


FRAME = ListFrame("<p>Head</p>", "Head", f'<a href="{TARGETS[0]}">Foot</a>', "Foot")


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("footer", [False, True])
def test_U19_header_and_footer_of_a_list_are_there_where_the_message_is_to_have_them(
    header: bool, footer: bool
) -> None:
    """Their links are tracked as those of the message are, and all of it is signed."""
    flags = BOTH | {"list_header": header, "list_footer": footer}
    plan = plan_of(request(to=(A, B), flags=flags), replace(FACTS, frame=FRAME))
    assert {A: 4 if footer else 3, B: 4 if footer else 3} == {
        to: len(tokens) for to, tokens in seen(plan).items()
    }
    for one in plan.renditions:
        assert one.body is not None
        assert header == (b"<p>Head</p>" in one.body)
        assert footer == (b">Foot</a>" in one.body)
    assert "note" not in plan.detail


def test_U19_what_cannot_be_put_around_a_message_is_in_its_timeline() -> None:
    asked = request(flags={"list_footer": True})
    assert "its list has none" in plan_of(asked).detail["note"]
    assert plan_of(asked).renditions[0].body is None
    within_a_tag = request(flags={"list_footer": True}, body=b"x<!--")
    plan = plan_of(within_a_tag, replace(FACTS, frame=FRAME))
    assert "no footer can follow it" in plan.detail["note"]
