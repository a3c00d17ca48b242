"""Copies: who sees what, and that each is signed for its From."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import dkim
import pytest

from policy.core import decision
from policy.core.decision import Plan, decide, sign, unsigned
from policy.core.draft import Draft, Rejection
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.request import Request, read
from policy.core.steps import steps_for
from policy.signing import OneByOne
from posthouse.mail.dkim_key import Algorithm, SigningKey, record
from posthouse.mail.message import Header, split
from posthouse.mail.submission import NO_ATTRIBUTES, Attributes, RecipientKind, Rendition
from posthouse.mail.suppression_list import Suppression, SuppressionList
from posthouse.profiles import resolve, with_knobs
from posthouse.running.keys import generate
from servers.stores import a_submission

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("shop.example", "envelope.example", "other.example")
KEYS = {
    name: SigningKey.load(name, "s1", "ed25519-sha256", generate(Algorithm.ED25519))
    for name in NAMES
}
FACTS = Facts(
    Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32),
    {name: DomainKeys(name, f"bounce.{name}", (KEYS[name],)) for name in NAMES},
    {},
)
B = "b@x.example"
SHOP = b"From: Jo's Shop <jo@shop.example>\r\nTo: a@x.example\r\n\r\n"
Step = Callable[[Draft, Facts], Draft]


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Callable[[Request, Step], Plan]:
    """A decision about a request of a profile that has one more step."""

    def decided(request: Request, step: Step) -> Plan:
        hide, *rest = steps_for(request.profile)  # Bcc that the client wrote is gone by then
        monkeypatch.setattr(decision, "steps_for", lambda _: (hide, step, *rest))
        result = decide(request, FACTS, NOW, (UUID(int=n) for n in count(1)))
        assert isinstance(result, Plan)
        return result

    return decided


def decided(request: Request, facts: Facts = FACTS) -> Plan:
    """By the steps of its profile alone."""
    result = decide(request, facts, NOW, (UUID(int=n) for n in count(1)))
    assert isinstance(result, Plan)
    return result


def request_for(
    header: bytes,
    sender: str = "bounce@envelope.example",
    body: bytes = b"",
    *,
    profile: str = "native",
    attributes: Attributes = NO_ATTRIBUTES,
    to: tuple[str, ...] = ("a@x.example",),
) -> Request:
    submission = a_submission(
        sender=sender, header=header, body=body, recipients=to, attributes=attributes
    )
    return read(submission, resolve(profile))


def rendered(plan: Plan) -> list[Rendition]:
    """Signed, and each verified with the key of its domain."""
    made = sign(list(unsigned(plan, NOW)), OneByOne().sign)
    for one in made:
        body = plan.submission.body if one.body is None else one.body
        assert dkim.DKIM(one.header + body).verify(dnsfunc=published)
    return made


def published(name: bytes, timeout: int = 5) -> bytes:
    del timeout
    domain = name.decode().partition("._domainkey.")[2].rstrip(".")
    return record(KEYS[domain].private.public_key()).encode()


def signing_domain(rendition: Rendition) -> str:
    value = Header.parse(rendition.header).first("DKIM-Signature")
    assert value is not None
    return value.partition("d=")[2].partition(";")[0]


# M09: From is the envelope sender, under the name that the client gave it.


def test_M09_a_rewritten_from_is_signed_by_its_own_domain() -> None:
    """From, signature and return path agree: so do DMARC's DKIM and SPF (review, 2b)."""
    plan = decided(request_for(SHOP, profile="maxemail"))
    (only,) = rendered(plan)

    assert Header.parse(only.header).first("From") == "Jo's Shop <bounce@envelope.example>"
    assert signing_domain(only) == "envelope.example"
    assert plan.deliveries[0].return_path.endswith("@bounce.envelope.example")
    assert plan.detail["signed"] == ["s1._domainkey.envelope.example"]


def test_M10_bounces_come_back_to_the_relay_by_a_path_for_each_delivery() -> None:
    attributes = Attributes(kinds={"b@x.example": RecipientKind.BCC})
    plan = decided(
        request_for(SHOP, profile="maxemail", attributes=attributes, to=("a@x.example", B))
    )

    paths = [delivery.return_path.partition("@") for delivery in plan.deliveries]
    assert len({local for local, _, _ in paths}) == len(paths) == 2
    assert {host for _, _, host in paths} == {"bounce.envelope.example"}
    for one in rendered(plan):
        assert Header.parse(one.header).first("Return-Path") is None  # the last server writes it


def test_M13_M14_to_and_bcc_get_the_same_message() -> None:
    attributes = Attributes(kinds={B: RecipientKind.BCC}, shown={"To": "a@x.example", "Cc": ""})
    header = SHOP.replace(b"\r\n\r\n", b", c@x.example\r\nCc: d@x.example\r\n\r\n")
    plan = decided(
        request_for(header, profile="maxemail", attributes=attributes, to=("a@x.example", B))
    )
    (only,) = rendered(plan)

    assert ["a@x.example", B] == [delivery.recipient for delivery in plan.deliveries]
    assert ["to", "bcc"] == [delivery.kind for delivery in plan.deliveries]
    shown = Header.parse(only.header)
    assert ("a@x.example", None, None) == tuple(shown.first(n) for n in ("To", "Cc", "Bcc"))


def test_M24_control_headers_are_removed() -> None:
    extra = b"X-Mxm-Flags: 3\r\nx-mxm-tag: a\r\nX-MXM-New: 1\r\n"
    (only,) = rendered(decided(request_for(extra + SHOP, profile="maxemail")))
    assert b"mxm" not in only.header.lower()


@pytest.mark.parametrize(
    ("on", "sent"),
    [(SuppressionList.BOUNCE, True), (SuppressionList.COMPLAINT, False)],
)
def test_M17_flag_8_ignores_the_bounce_list_and_never_a_complaint(
    on: SuppressionList, *, sent: bool
) -> None:
    listed = replace(FACTS, suppressions={"a@x.example": (Suppression(on, ""),)})
    attributes = Attributes(flags={"check_bounces": False, "check_unsubscribes": False})
    plan = decided(request_for(SHOP, profile="maxemail", attributes=attributes), listed)
    assert sent is bool(plan.deliveries)


# T12 to T16: arrays of the attributes header, a copy for each address.

ARRAYS = Attributes(
    kinds={
        "b@x.example": RecipientKind.CC,
        "c@x.example": RecipientKind.BCC,
        "e@x.example": RecipientKind.BCC,
        "d@x.example": RecipientKind.ARCHIVE,
    },
    shown={"Cc": "Bee <b@x.example>"},
    bcc_shown={"e@x.example": "=?utf-8?b?SsO2?= <e@x.example>"},
)


def of_arrays(header: bytes = SHOP, attributes: Attributes = ARRAYS) -> Request:
    return request_for(
        header,
        profile="mailtarget",
        attributes=attributes,
        to=("a@x.example", *attributes.kinds),
    )


def test_T13_T14_T15_each_copy_shows_to_and_cc_and_a_bcc_copy_only_its_own_bcc() -> None:
    plan = decided(of_arrays(b"X-MT-ATTR: {}\r\nBcc: z@x.example\r\n" + SHOP))
    made = {one.id: Header.parse(one.header) for one in rendered(plan)}

    shown = {}
    for delivery in plan.deliveries:
        header = made[delivery.rendition_id]
        assert header.first("X-MT-ATTR") is None
        assert header.first("To") == "a@x.example"
        assert header.values("Cc") == ("Bee <b@x.example>",)
        shown[delivery.recipient] = (delivery.kind.value, header.values("Bcc"))
    assert shown == {
        "a@x.example": ("to", ()),
        "b@x.example": ("cc", ()),
        "c@x.example": ("bcc", ("c@x.example",)),
        "e@x.example": ("bcc", ("=?utf-8?b?SsO2?= <e@x.example>",)),
        "d@x.example": ("archive", ()),
    }


def test_T15_copies_that_look_the_same_are_one_rendition() -> None:
    """Signatures grow with Bcc, and with nothing else."""
    plan = decided(of_arrays())
    by_rendition = Counter(delivery.rendition_id for delivery in plan.deliveries)
    assert [3, 1, 1] == sorted(by_rendition.values(), reverse=True)


def test_T15_a_suppressed_bcc_recipient_has_no_copy() -> None:
    listed = {"c@x.example": (Suppression(SuppressionList.BOUNCE, ""),)}
    plan = decided(of_arrays(), replace(FACTS, suppressions=listed))
    assert 2 == len(plan.renditions)
    assert "c@x.example" not in {delivery.recipient for delivery in plan.deliveries}


@pytest.mark.parametrize("name", ["s1", "s1._domainkey.shop.example"])
def test_T21_a_key_may_be_asked_for_by_its_name(name: str) -> None:
    request = of_arrays(attributes=Attributes(choices={"dkim_key": name}))
    assert "s1._domainkey.shop.example" in decided(request).detail["signed"]


def test_T21_a_message_that_asks_for_a_key_that_does_not_sign_is_not_sent() -> None:
    request = of_arrays(attributes=Attributes(choices={"dkim_key": "s2"}))
    result = decide(request, FACTS, NOW, (UUID(int=n) for n in count(1)))
    assert isinstance(result, Rejection)
    assert result.reason.startswith("no active DKIM key is called 's2'; there is: s1._domainkey.")


def test_T24_mail_from_is_overwritten_by_the_return_path() -> None:
    plan = decided(request_for(SHOP, "any@thing.example", profile="mailtarget"))
    assert plan.deliveries[0].return_path.endswith("@bounce.shop.example")


def test_copies_with_different_authors_are_signed_by_different_domains(
    planned: Callable[[Request, Step], Plan],
) -> None:
    def as_both(draft: Draft, facts: Facts) -> Draft:
        del facts
        (copy,) = draft.copies
        other = copy.header.replace("From", "x@envelope.example")
        return Draft(draft.request, (copy, copy._replace(header=other)))

    plan = planned(request_for(SHOP), as_both)

    assert [signing_domain(one) for one in rendered(plan)] == ["shop.example", "envelope.example"]
    hosts = [delivery.return_path.partition("@")[2] for delivery in plan.deliveries]
    assert hosts == ["bounce.shop.example", "bounce.envelope.example"]


# A click event: the links of a copy lead to us.


def track_clicks(draft: Draft, facts: Facts) -> Draft:
    del facts
    body = draft.request.submission.body.replace(
        b"https://shop.example/", b"https://click.example/t/"
    )
    return Draft(draft.request, tuple(copy._replace(body=body) for copy in draft.copies))


def test_a_changed_body_is_signed_and_kept_with_its_copy(
    planned: Callable[[Request, Step], Plan],
) -> None:
    plan = planned(request_for(SHOP, body=b"https://shop.example/sale\r\n"), track_clicks)
    (only,) = rendered(plan)

    assert only.body == b"https://click.example/t/sale\r\n"
    assert split(only.header + only.body)[1] == only.body
    assert plan.submission.body == b"https://shop.example/sale\r\n"


def test_a_changed_body_of_many_copies_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def body_hash(body: bytes) -> bytes:
        hashed.append(body)
        return b"hash"

    to = ("b@x.example", "c@x.example", "d@x.example")
    kinds = Attributes(kinds=dict.fromkeys(to, RecipientKind.BCC))
    request = request_for(SHOP, profile="mailtarget", attributes=kinds, to=to, body=b"x" * 2000)
    folding = with_knobs(request.profile, {"conformance.long_lines": "repair"})
    plan = decided(replace(request, profile=folding))
    monkeypatch.setattr("policy.core.dkim.body_hash", body_hash)
    assert len(list(unsigned(plan, NOW))) == len(to)
    assert len(hashed) == 1
