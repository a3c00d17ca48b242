"""Rules of profiles to come, tried on the seams: one step each; a copy is signed for its From.

The steps stand here until the profile that needs them; what they rest on is the product's.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formataddr
from itertools import count
from uuid import UUID

import dkim
import pytest

from policy.core import decision
from policy.core.decision import Plan, decide, sign, unsigned
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.request import Recipient, Request, read
from policy.core.steps import Copy, Draft, steps_for
from policy.signing import OneByOne
from posthouse.mail.dkim_key import Algorithm, SigningKey, record
from posthouse.mail.mailbox import mailboxes
from posthouse.mail.message import Header, split
from posthouse.mail.submission import RecipientKind, Rendition
from posthouse.profiles import resolve
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


def request_for(
    header: bytes, sender: str = "bounce@envelope.example", body: bytes = b""
) -> Request:
    submission = a_submission(sender=sender, header=header, body=body, recipients=("a@x.example",))
    return read(submission, resolve("native"))


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


def from_of_envelope(draft: Draft, facts: Facts) -> Draft:
    del facts
    author = draft.request.header.first("From") or ""
    name = mailboxes(author)[0].name
    value = formataddr((name, draft.request.submission.sender))
    return draft.edit_headers(lambda header: header.replace("From", value))


def test_a_rewritten_from_is_signed_by_its_own_domain(
    planned: Callable[[Request, Step], Plan],
) -> None:
    """From, signature and return path agree: so do DMARC's DKIM and SPF (review, 2b)."""
    plan = planned(request_for(SHOP), from_of_envelope)
    (only,) = rendered(plan)

    assert Header.parse(only.header).first("From") == "Jo's Shop <bounce@envelope.example>"
    assert signing_domain(only) == "envelope.example"
    assert plan.deliveries[0].return_path.endswith("@bounce.envelope.example")
    assert plan.detail["signed"] == ["s1._domainkey.envelope.example"]


# T12 to T16: arrays of the attributes header, a copy for each address.

ATTRIBUTES = {
    "cc": ["b@x.example"],
    "bcc": ["c@x.example", "a@x.example"],
    "archive": ["d@x.example"],
}


def read_arrays(request: Request) -> Request:
    """Recipients of every kind, each address once: to before cc, bcc and archive."""
    arrays = json.loads(request.header.first("X-MT-ATTR") or "{}")
    found = {to.address: to for to in request.recipients}
    for kind in (RecipientKind.CC, RecipientKind.BCC, RecipientKind.ARCHIVE):
        for address in arrays.get(kind.value, ()):
            found.setdefault(address, Recipient(address, kind))
    return replace(request, recipients=tuple(found.values()))


def copy_for_each(draft: Draft, facts: Facts) -> Draft:
    """Cc shows its whole array in all copies, Bcc only the recipient of its own copy."""
    del facts
    to = draft.request.recipients
    shown = ", ".join(r.address for r in to if r.kind is RecipientKind.CC)
    (common,) = draft.copies
    header = common.header.without("X-MT-ATTR")
    header = header.replace("Cc", shown) if shown else header

    def copies() -> Iterator[Copy]:
        for one in to:
            bcc = one.kind is RecipientKind.BCC
            yield Copy(header.replace("Bcc", one.address) if bcc else header, (one,))

    return Draft(draft.request, tuple(copies()))


def test_each_address_of_three_arrays_gets_a_copy_of_its_own(
    planned: Callable[[Request, Step], Plan],
) -> None:
    attributes = f"X-MT-ATTR: {json.dumps(ATTRIBUTES)}\r\n".encode()
    plan = planned(read_arrays(request_for(attributes + SHOP)), copy_for_each)

    shown = []
    for delivery, one in zip(plan.deliveries, rendered(plan), strict=True):
        assert delivery.rendition_id == one.id
        header = Header.parse(one.header)
        assert header.first("X-MT-ATTR") is None
        assert header.first("To") == "a@x.example"
        shown.append(
            (delivery.recipient, delivery.kind.value, header.first("Cc"), header.first("Bcc"))
        )
    assert shown == [
        ("a@x.example", "to", "b@x.example", None),
        ("b@x.example", "cc", "b@x.example", None),
        ("c@x.example", "bcc", "b@x.example", "c@x.example"),
        ("d@x.example", "archive", "b@x.example", None),
    ]


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
