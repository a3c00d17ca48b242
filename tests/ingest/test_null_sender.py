"""MAIL FROM:<>: receipts, vacation notes, bounces of an MTA in front of us (RFC 6409, 3.2)."""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import pytest

from ingest.core.admission import Incoming, SessionFacts
from ingest.core.domains_of_others import domains_to_ask
from ingest.core.missing_author import with_author
from ingest.core.sender_rules import check_sender
from posthouse.mail.address import Address
from posthouse.profiles import preset_names
from posthouse.store.logins import AccountProfile
from servers.admitting import admitted, facts_for, incoming, refused
from servers.door import DOMAINS, LOGIN, Running, Wire

RECEIPT = (
    b"From: Shop <hello@a.example>\r\nTo: ann@there.example\r\nSubject: Read: your order\r\n"
    b"Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n"
    b"--b\r\n\r\nread\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
    b"Final-Recipient: rfc822; hello@a.example\r\n"
    b"Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--b--\r\n.\r\n"
)
TAKING = ("native", "critsend", "mailup", "mailtarget")


def own_profile(knobs: Mapping[str, object]) -> AccountProfile:
    return AccountProfile(LOGIN.account_id, "ours", 1, "native", 1, knobs)


async def from_nobody(client: Wire, content: bytes) -> str:
    assert await client.say("MAIL FROM:<>") == "250 2.1.0 Ok"
    assert await client.say("RCPT TO:<ann@there.example>") == "250 2.1.5 Ok"
    assert (await client.say("DATA")).startswith("354 ")
    return await client.message_end(content)


async def test_a_receipt_is_taken_from_the_null_reverse_path(door: Running, client: Wire) -> None:
    assert (await from_nobody(client, RECEIPT)).startswith("250 ")
    (kept,) = door.intake.accepted
    assert ("", LOGIN.credential_id, False) == (kept.sender, kept.credential_id, kept.is_ours)


@pytest.mark.parametrize(
    ("author", "reply"),
    [
        ("MAILER-DAEMON@a.example (Mail Delivery System)", "250"),
        ("root@web1.a.example", "550 5.7.1 From domain web1.a.example is not one of"),
        ("hello@x.example", "550 5.7.1 From domain x.example is not one of"),
        ("hello@a.example, boss@x.example", "550 5.7.1 From domain x.example is not one of"),
    ],
)
async def test_mail_from_nobody_has_an_author_at_the_accounts_domains(
    client: Wire, author: str, reply: str
) -> None:
    said = await from_nobody(client, f"From: {author}\r\n\r\nx\r\n.\r\n".encode())
    assert said.startswith(reply)


async def test_a_profile_may_refuse_the_null_reverse_path(door: Running) -> None:
    own = own_profile({"sender.null_sender": False})
    door.directory.logins["user"] = replace(LOGIN, profile="ours", own_profile=own)
    client = await door.logged_in()
    assert await client.say("MAIL FROM:<>") == (
        "550 5.7.1 The null reverse-path is not taken: this user has to give a sender"
    )
    assert await client.say("MAIL FROM:<jo@a.example>") == "250 2.1.0 Ok"


@pytest.mark.parametrize("preset", preset_names())
def test_which_presets_take_the_null_reverse_path(preset: str) -> None:
    assert (preset in TAKING) is (check_sender(None, facts_for(preset)) is None)


def test_M07_MAIL_FROM_must_be_at_an_allowed_domain() -> None:
    refusal = check_sender(None, facts_for("maxemail"))
    assert refusal is not None
    assert "MAIL FROM is who the message is from" in refusal.reply.text


def test_E18_MAIL_FROM_and_From_must_be_the_same() -> None:
    refusal = check_sender(None, facts_for("episerver"))
    assert refusal is not None
    assert "MAIL FROM and From must be the same address" in refusal.reply.text


@pytest.mark.parametrize("policy", ["rewrite_from_envelope", "require_equal"])
def test_where_MAIL_FROM_has_to_be_an_address_the_knob_changes_nothing(policy: str) -> None:
    facts = facts_for("native", sender__from_policy=policy, sender__null_sender=True)
    assert check_sender(None, facts) is not None


FROM_OWN, FROM_FOREIGN = "From: jo@a.example", "From: jo@x.example"


@pytest.mark.parametrize("preset", TAKING)
def test_no_profile_takes_foreign_authors_from_nobody(preset: str) -> None:
    """Also where it takes any author with a sender, or only tells of it."""
    facts = facts_for(preset)
    date = "Mon, 30 Nov 2026 10:00:00 +0000"
    head = f"To: al@there.example\nSubject: x\nDate: {date}\nMessage-ID: <1@a>\n"
    own = incoming(f"{head}{FROM_OWN}", facts, "")
    assert admitted(own).account_id == facts.account_id
    assert "x.example" in refused(incoming(f"{head}{FROM_FOREIGN}", facts, ""))


def test_nobody_sends_from_the_sandbox_domain() -> None:
    facts = facts_for("native", sandbox_domain="sandbox.example")
    assert "sandbox.example" in refused(incoming("From: jo@sandbox.example", facts, ""))
    assert not admitted(incoming(FROM_OWN, facts, "")).attributes.sandboxed


def test_mail_from_nobody_is_the_childs_whose_domain_From_has() -> None:
    child = UUID(int=9)
    facts = facts_for("native", child_domains={"a.example": child})
    assert admitted(incoming(FROM_OWN, facts, "")).account_id == child


# Hosts of domains.


def with_hosts(**changes: object) -> SessionFacts:
    return facts_for("native", sender__hosts_of_domains=True, **changes)


def asked(message: Incoming) -> frozenset[str]:
    return domains_to_ask(message.head, message.sender, message.session)


@pytest.mark.parametrize("sender", ["root@web1.a.example", ""])
def test_a_host_of_a_domain_may_send_where_the_knob_says_so(sender: str) -> None:
    facts = with_hosts()
    assert check_sender(Address.parse(sender) if sender else None, facts) is None
    message = incoming("From: root@web1.a.example", facts, sender)
    assert admitted(message).account_id == facts.account_id
    assert "web1.a.example" in refused(incoming(message.head.octets, facts_for("native"), sender))


def test_a_host_of_a_child_is_the_childs() -> None:
    child = UUID(int=9)
    facts = with_hosts(child_domains={"a.example": child})
    assert admitted(incoming("From: root@web1.a.example", facts, "")).account_id == child


@pytest.mark.parametrize(
    "author", ["jo@aa.example", "jo@a.example.x.example", "jo@example", "jo@1.2.3.4.a.example"]
)
def test_what_is_no_host_of_a_domain_stays_out(author: str) -> None:
    """A name of more than three labels before the domain is none either."""
    assert author.partition("@")[2] in refused(incoming(f"From: {author}", with_hosts(), ""))


@pytest.mark.parametrize("sender", ["root@a.b.shop.a.example", ""])
@pytest.mark.parametrize("owned", ["a.b.shop.a.example", "b.shop.a.example", "shop.a.example"])
def test_U13_no_host_of_a_name_that_another_account_has_verified(sender: str, owned: str) -> None:
    message = incoming("From: root@a.b.shop.a.example", with_hosts(), sender)
    assert owned in asked(message)
    told = refused(message._replace(owned_elsewhere=asked(message) & {owned}))
    assert told.startswith(f"550 5.7.1 {owned} belongs to another account")


def test_without_the_knob_nobody_is_asked() -> None:
    assert asked(incoming(FROM_OWN, facts_for("native"), "")) == frozenset()
    assert asked(incoming(FROM_OWN, with_hosts())) == frozenset()
    nearest = with_hosts(domains={"a.example", "shop.a.example"})
    assert asked(incoming("From: jo@x.shop.a.example", nearest)) == {"x.shop.a.example"}


async def test_U13_the_register_of_domains_is_asked(door: Running) -> None:
    knobs = {"sender.hosts_of_domains": True}
    own = replace(LOGIN, profile="ours", own_profile=own_profile(knobs))
    door.directory.logins["user"], door.directory.others = own, frozenset({"shop.a.example"})
    client = await door.logged_in()
    assert DOMAINS == {"a.example", "b.example"}
    taken = await from_nobody(client, b"From: root@web1.a.example\r\n\r\nx\r\n.\r\n")
    assert taken.startswith("250 ")
    told = await from_nobody(client, b"From: root@web1.shop.a.example\r\n\r\nx\r\n.\r\n")
    assert told.startswith("550 5.7.1 shop.a.example belongs to another account")


# Bounces of a mail server that name no author.

TWO = facts_for("native", domains={"a.example", "b.example"})


@pytest.mark.parametrize(
    ("value", "recipient", "expected"),
    [
        ("MAILER-DAEMON <>", "jo@b.example", "MAILER-DAEMON <MAILER-DAEMON@b.example>"),
        ("MAILER-DAEMON <>", "jo@x.example", "MAILER-DAEMON <MAILER-DAEMON@a.example>"),
        ('"Mail System" < >', "jo@x.example", '"Mail System" <MAILER-DAEMON@a.example>'),
        ("<>", "jo@x.example", "<MAILER-DAEMON@a.example>"),
    ],
)
def test_an_empty_address_in_From_becomes_one_of_the_account(
    value: str, recipient: str, expected: str
) -> None:
    """At the domain of whom the server tells, as dma does."""
    message = incoming(f"Subject: x\nFrom: {value}\nTo: {recipient}", TWO, "")
    head, notes = with_author(message.head, "", (recipient,), TWO)
    assert [expected] == [f.value for f in head.fields(b"from")]
    assert f"Subject: x\r\nFrom: {expected}\r\nTo: {recipient}\r\n\r\n".encode() == head.octets
    assert (f"From had no address, and got MAILER-DAEMON@{expected[-10:-1]}",) == notes
    admitted(message._replace(head=head))


@pytest.mark.parametrize(
    ("recipient", "domain"),
    [("jo@else.example", "b.example"), ("jo@a.example", "a.example")],
)
def test_a_missing_author_is_at_a_childs_domain_for_the_child_alone(
    recipient: str, domain: str
) -> None:
    """Unless it has told somebody there, or the parent has no domain."""
    child = {"a.example": UUID(int=9)}
    facts = replace(TWO, child_domains=child)
    message = incoming("From: MAILER-DAEMON <>", facts, "")
    head, _ = with_author(message.head, "", (recipient,), facts)
    assert domain == head.authors[0].address.domain
    alone = replace(facts, domains=frozenset(child))
    head, _ = with_author(message.head, "", ("jo@else.example",), alone)
    assert head.authors[0].address.domain == "a.example"


@pytest.mark.parametrize(
    ("header", "sender", "facts"),
    [
        ("From: MAILER-DAEMON <>", "jo@a.example", TWO),
        ("From: MAILER-DAEMON <>\nFrom: MAILER-DAEMON <>", "", TWO),
        ("From: ceo@bank.example <>", "", TWO),
        ('From: "ceo@bank.example" <>', "", TWO),
        ("From: MAILER-DAEMON <>, jo@a.example", "", TWO),
        ("From: MAILER-DAEMON", "", TWO),
        (f"From: {'x' * 998} <>", "", TWO),
        ("From: jo@a.example", "", TWO),
        ("Subject: x", "", TWO),
        ("From: MAILER-DAEMON <>", "", facts_for("native", domains=())),
    ],
)
def test_any_other_From_stays_as_it_came(header: str, sender: str, facts: SessionFacts) -> None:
    message = incoming(header, facts, sender)
    head, notes = with_author(message.head, sender, message.recipients, facts)
    assert (message.head, ()) == (head, notes)


async def test_a_bounce_that_names_no_author_is_taken_as_the_accounts(door: Running) -> None:
    client = await door.logged_in()
    reply = await from_nobody(client, b"From: MAILER-DAEMON <>\r\nSubject: x\r\n\r\nx\r\n.\r\n")
    assert reply.startswith("250 ")
    (accepted,) = door.intake.accepted
    assert accepted.header.startswith(b"From: MAILER-DAEMON <MAILER-DAEMON@a.example>\r\n")
    assert ("From had no address, and got MAILER-DAEMON@a.example",) == accepted.attributes.notes
    reply = await client.message(b"From: MAILER-DAEMON <>\r\nTo: x@y.example\r\n\r\nx\r\n.\r\n")
    assert reply.startswith("550 5.6.0 The From header cannot be read")
