"""From a submission and facts to deliveries with signed return paths and a signed message."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import dkim
import pytest

from policy.core import decision
from policy.core.decision import Plan, decide, sign, unsigned
from policy.core.draft import Draft, Rejection
from policy.core.facts import DomainKeys, Facts, KnownDomain, Relay, SigningUnavailable
from policy.core.request import read
from policy.signing import OneByOne
from posthouse.mail import signed_id
from posthouse.mail.dkim_key import Algorithm, SigningKey, record
from posthouse.mail.lane import Lane
from posthouse.mail.return_path import verify
from posthouse.mail.sandboxed_copy import SandboxedCopy
from posthouse.mail.submission import Attributes, RecipientKind, Submission
from posthouse.mail.suppression_list import Suppression, SuppressionList
from posthouse.profiles import resolve
from servers.rsa_keys import rsa_key
from servers.stores import a_submission

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
KEY = SigningKey.load("sender.example", "s1", Algorithm.RSA, rsa_key())
SENDER = DomainKeys("sender.example", "bounce.sender.example", (KEY,))
RELAY = Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32)
BOUNCED = (Suppression(SuppressionList.BOUNCE, ""),)
CAME = NOW - timedelta(minutes=2)
SUBMISSION = a_submission(
    Lane.HIGH,
    id=UUID(int=(int(CAME.timestamp() * 1000) << 80) | 7 << 76 | 2 << 62 | 1),
    sender="news@sender.example",
    recipients=("a@there.example", "b@there.example"),
    client="8.8.4.4",
    tls="TLSv1.3",
    header=b"From: news@sender.example\r\nSubject: Hi\r\n\r\n",
    body=b"Hello\r\n",
)


def decided(
    submission: Submission = SUBMISSION,
    suppressed: tuple[str, ...] = (),
    known: KnownDomain = SENDER,
) -> decision.Decision:
    facts = Facts(RELAY, {"sender.example": known}, dict.fromkeys(suppressed, BOUNCED))
    ids = (UUID(int=i) for i in count(0x100))
    return decide(read(submission, resolve("native")), facts, NOW, ids)


def planned(submission: Submission = SUBMISSION, suppressed: tuple[str, ...] = ()) -> Plan:
    result = decided(submission, suppressed)
    assert isinstance(result, Plan)
    return result


def test_every_recipient_gets_a_delivery_of_the_one_rendition() -> None:
    result = planned()

    assert [d.recipient for d in result.deliveries] == ["a@there.example", "b@there.example"]
    assert [d.id for d in result.deliveries] == [UUID(int=0x101), UUID(int=0x102)]
    assert {d.rendition_id for d in result.deliveries} == {UUID(int=0x100)}
    assert [one.id for one in result.renditions] == [UUID(int=0x100)]
    assert {d.kind for d in result.deliveries} == {RecipientKind.TO}
    assert {d.lane for d in result.deliveries} == {Lane.HIGH}
    assert {d.account_id for d in result.deliveries} == {SUBMISSION.account_id}


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("bounce.sender.example", True),
        ("sender.example", True),
        ("bounce.othersender.example", False),
        (None, False),  # the relay's own
    ],
)
def test_E20_bounces_come_back_below_the_domain_of_from(host: str | None, *, sent: bool) -> None:
    profile = resolve("native", None, {"bounces.aligned_return_path": True})
    facts = Facts(RELAY, {"sender.example": DomainKeys("sender.example", host, (KEY,))}, {})
    ids = (UUID(int=i) for i in count(0x100))
    result = decide(read(SUBMISSION, profile), facts, NOW, ids)
    if sent:
        assert isinstance(result, Plan)
        assert {d.return_path.partition("@")[2] for d in result.deliveries} == {host}
    else:
        assert isinstance(result, Rejection)
        assert result.reason.endswith("give the domain a return path host of its own")


def test_what_is_from_nobody_leaves_from_nobody_and_is_signed() -> None:
    plan = planned(replace(SUBMISSION, sender=""))
    assert {""} == {delivery.return_path for delivery in plan.deliveries}
    assert plan.detail["signed"] == ["s1._domainkey.sender.example"]


def test_a_host_of_a_domain_is_signed_for_by_the_domain() -> None:
    header = b"From: root@web1.sender.example\r\n\r\n"
    message = replace(SUBMISSION, sender="root@web1.sender.example", header=header)
    hosts = resolve("native", None, {"sender.hosts_of_domains": True})
    facts = Facts(RELAY, {"sender.example": SENDER}, {})
    plan = decide(read(message, hosts), facts, NOW, (UUID(int=i) for i in count(0x100)))
    assert isinstance(plan, Plan)
    assert plan.detail["signed"] == ["s1._domainkey.sender.example"]
    assert all(d.return_path.endswith("@bounce.sender.example") for d in plan.deliveries)


def test_each_return_path_leads_back_to_its_delivery() -> None:
    for delivery in planned().deliveries:
        local, _, host = delivery.return_path.partition("@")

        assert host == "bounce.sender.example"
        assert verify(local, [b"k" * 32], NOW.date()) == delivery.id


def test_each_copy_carries_an_id_that_is_its_own_whatever_the_client_wrote() -> None:
    """All recipients of a copy share it, and its signature."""
    header = b"x-posthouse-ID: forged\r\n" + SUBMISSION.header
    result = planned(replace(SUBMISSION, header=header))
    (copy,) = result.renditions
    (value,) = copy.header.values(signed_id.FIELD)
    found = signed_id.verify(value, [b"i" * 32], NOW.date())

    assert (found.account_id, found.submission_id) == (SUBMISSION.account_id, SUBMISSION.id)
    assert found.is_of(copy.id)
    assert not found.is_of(result.deliveries[0].id)


def test_date_and_trace_tell_when_the_message_came_not_when_it_was_prepared() -> None:
    """So that preparing it again, after a crash, gives the same message."""
    header = planned().renditions[0].header

    assert header.first("Date") == "Sun, 01 Mar 2026 12:28:00 +0000"
    assert header.first("Message-ID") == f"<{SUBMISSION.id}@sender.example>"
    assert str(header.first("Received")).endswith("; Sun, 01 Mar 2026 12:28:00 +0000")


def test_a_suppressed_recipient_gets_no_delivery() -> None:
    result = planned(suppressed=("a@there.example",))

    assert [d.recipient for d in result.deliveries] == ["b@there.example"]
    assert result.suppressed == (("a@there.example", *BOUNCED),)


def test_when_all_are_suppressed_there_is_nothing_to_send() -> None:
    result = planned(suppressed=SUBMISSION.recipients)

    assert result.deliveries == ()
    assert tuple(r.address for r in result.suppressed) == SUBMISSION.recipients


def test_the_rendition_is_the_edited_message_with_a_signature_that_verifies() -> None:
    result = planned()
    (sent,) = sign(list(unsigned(result, NOW)), OneByOne().sign)
    text = record(KEY.private.public_key()).encode()

    assert sent.body is None
    assert sent.header.endswith(bytes(result.renditions[0].header))
    assert dkim.verify(sent.header + SUBMISSION.body, dnsfunc=lambda *_, **__: text)


def test_what_happened_is_said_for_the_timeline() -> None:
    assert planned().detail == {
        "profile": "native",
        "deliveries": 2,
        "message_id": f"<{SUBMISSION.id}@sender.example>",
        "signed": ["s1._domainkey.sender.example"],
    }
    foreign = replace(SUBMISSION, sender="x@else.example", header=b"From: x@else.example\r\n\r\n")
    assert str(planned(foreign).detail["note"]).startswith("unsigned: ")


def test_a_rejection_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(draft: Draft, facts: Facts) -> Rejection:
        del draft, facts
        return Rejection("550 5.6.0 no such mailing")

    monkeypatch.setattr(decision, "steps_for", lambda _: (reject,))

    assert decided() == Rejection("550 5.6.0 no such mailing")


def test_keys_that_cannot_be_used_end_it_unless_nobody_is_left() -> None:
    broken = SigningUnavailable("the key is damaged")

    assert decided(known=broken) is broken
    assert isinstance(decided(suppressed=SUBMISSION.recipients, known=broken), Plan)


# From the sandbox domain.


def in_sandbox(*confirmed: str) -> Plan:
    sent = replace(
        SUBMISSION,
        attributes=Attributes(sandboxed=True),
        header=b"From: try@sandbox.example\r\nSubject: Hi\r\n\r\n",
    )
    own = DomainKeys("relay.example", None, (replace(KEY, domain="relay.example"),))
    facts = Facts(replace(RELAY, own=own), {"sender.example": SENDER}, {}, confirmed)
    ids = (UUID(int=i) for i in count(0x100))
    result = decide(read(sent, resolve("native")), facts, NOW, ids)
    assert isinstance(result, Plan)
    return result


def test_T11_what_is_sandboxed_is_made_and_kept_and_goes_to_nobody() -> None:
    """Signed by the relay, also where MAIL FROM is at a domain of the account."""
    plan = in_sandbox()
    assert () == plan.deliveries
    (one,) = plan.renditions
    assert ["relay.example"] == [key.domain for key in one.keys]
    kept = SandboxedCopy(one.id, ("a@there.example", "b@there.example"), ())
    assert (kept,) == plan.sandboxed
    assert 0 == plan.detail["deliveries"]


def test_T11_a_recipient_that_is_confirmed_gets_it() -> None:
    plan = in_sandbox("b@there.example")
    (delivery,) = plan.deliveries
    assert ("b@there.example", plan.renditions[0].id) == (delivery.recipient, delivery.rendition_id)
    assert delivery.return_path.endswith("@relay.example")
    assert ("b@there.example",) == plan.sandboxed[0].delivered_to


def test_other_mail_is_not_kept() -> None:
    assert () == planned().sandboxed
