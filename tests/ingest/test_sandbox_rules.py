"""The sandbox domain: who may send from it, and what becomes of such a message at the door."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ingest.core.admission import Admission, Incoming, SessionFacts, admit
from ingest.core.domains_of_others import domains_to_ask
from ingest.core.message_head import MessageHead
from ingest.core.operator_rules import OperatorRules
from ingest.core.refusals import Reason, Refusal
from ingest.core.sender_rules import check_sender
from ingest.session_facts import KnownFacts
from posthouse.mail.address import Address
from posthouse.mail.message import Header
from posthouse.mail.submission import NO_ATTRIBUTES
from posthouse.mail.terms import NO_TERMS
from posthouse.store.logins import AccountProfile, Login
from servers.door import LOGIN

SANDBOX = "sandbox.example"
NEW = replace(LOGIN, domains=frozenset())  # it has no domain of its own


def facts(
    knobs: Mapping[str, Any] | None = None, login: Login = NEW, sandbox: str = SANDBOX
) -> SessionFacts:
    own = AccountProfile(login.account_id, "ours", 1, "native", 1, knobs or {}) if knobs else None
    own_login = replace(login, own_profile=own, profile="ours" if knobs else "native")
    return KnownFacts(1_000_000, 65_536, OperatorRules(sandbox_domain=sandbox)).of(own_login)


def incoming(author: str, sender: str, session: SessionFacts) -> Incoming:
    octets = f"From: {author}\r\n\r\n".encode()
    return Incoming(
        MessageHead(octets, Header.parse(octets)), sender, ("al@there.example",), session
    )


def decide(author: str, sender: str, session: SessionFacts) -> Admission | Refusal:
    """Over the whole of it: MAIL FROM, and then the rules."""
    refusal = check_sender(Address.parse(sender), session)
    return refusal or admit(incoming(author, sender, session))


def reply(decided: Admission | Refusal) -> str:
    assert isinstance(decided, Refusal)
    return str(decided.reply)


@pytest.mark.parametrize("address", [f"jo@{SANDBOX}", "jo@Sandbox.EXAMPLE"])
def test_T11_an_account_without_a_domain_may_send_from_the_sandbox(address: str) -> None:
    decided = decide(address, address, facts())
    assert isinstance(decided, Admission)
    assert decided.attributes.sandboxed
    assert 5 == decided.terms.sandbox_limit


def test_T11_the_sandbox_is_the_same_in_letters_and_in_a_labels() -> None:
    """Also where recipients see MAIL FROM, whose domain is stored as the client wrote it."""
    knobs = {"sender.from_policy": "rewrite_from_envelope", "sender.check_on": "mail_from"}
    session = facts(knobs, sandbox="xn--mnchen-3ya.example")
    decided = decide("jo@x.example", "jo@m\u00fcnchen.example", session)
    assert isinstance(decided, Admission)
    assert decided.attributes.sandboxed


def test_T11_the_limit_is_a_knob() -> None:
    decided = decide(f"jo@{SANDBOX}", f"jo@{SANDBOX}", facts({"sandbox.most_messages": 2}))
    assert isinstance(decided, Admission)
    assert 2 == decided.terms.sandbox_limit


@pytest.mark.parametrize("sender", [f"ceo@{SANDBOX}", f"The boss <ceo@{SANDBOX}> of it"])
def test_T11_who_sends_from_elsewhere_is_no_sender_in_the_sandbox(sender: str) -> None:
    """Such mail is sent, and the sandbox is the relay's."""
    author = f"jo@a.example\r\nSender: {sender}"
    decided = decide(author, "jo@a.example", facts(login=LOGIN))
    assert reply(decided).startswith(f"550 5.7.1 Sender is at {SANDBOX}, the sandbox domain")
    within = decide(f"jo@{SANDBOX}\r\nSender: {sender}", "jo@a.example", facts(login=LOGIN))
    assert isinstance(within, Admission)


def test_mail_from_may_be_at_a_domain_of_the_account() -> None:
    decided = decide(f"jo@{SANDBOX}", "jo@a.example", facts(login=LOGIN))
    assert isinstance(decided, Admission)
    assert decided.attributes.sandboxed


@pytest.mark.parametrize("knobs", [{}, {"sender.check": "off"}])
def test_mail_from_alone_may_not_be_in_the_sandbox(knobs: dict[str, Any]) -> None:
    refused = decide("jo@a.example", f"jo@{SANDBOX}", facts(knobs, LOGIN))
    assert reply(refused) == (
        "550 5.7.1 MAIL FROM is at sandbox.example, the sandbox domain, and From is not: "
        "put both there"
    )


def test_where_recipients_see_mail_from_that_one_decides() -> None:
    """M08: the profile makes it the From."""
    session = facts({"sender.from_policy": "rewrite_from_envelope", "sender.check": "off"}, LOGIN)
    shown = decide("jo@a.example", f"jo@{SANDBOX}", session)
    assert isinstance(shown, Admission)
    assert shown.attributes.sandboxed
    hidden = decide(f"jo@{SANDBOX}", "jo@a.example", session)
    assert isinstance(hidden, Admission)
    assert not hidden.attributes.sandboxed


@pytest.mark.parametrize("check", ["off", "alert"])
def test_where_any_sender_goes_the_sandbox_is_still_one(check: str) -> None:
    decided = decide(f"jo@{SANDBOX}", "jo@b.example", facts({"sender.check": check}))
    assert isinstance(decided, Admission)
    assert decided.attributes.sandboxed
    closed = facts({"sender.check": check, "sandbox.allowed": False})
    refused = decide(f"jo@{SANDBOX}", "jo@b.example", closed)
    assert isinstance(refused, Refusal)
    assert Reason.SANDBOX is refused.reason


def test_a_profile_may_have_no_sandbox() -> None:
    refused = decide(f"jo@{SANDBOX}", f"jo@{SANDBOX}", facts({"sandbox.allowed": False}))
    assert reply(refused).startswith("550 5.7.1 Sender domain sandbox.example is not one")


def test_a_relay_may_have_no_sandbox() -> None:
    refused = decide(f"jo@{SANDBOX}", f"jo@{SANDBOX}", facts(sandbox=""))
    assert reply(refused).startswith("550 5.7.1 ")


def test_a_host_below_it_is_another_domain() -> None:
    refused = decide(f"jo@x.{SANDBOX}", f"jo@{SANDBOX}", facts())
    assert reply(refused).startswith("550 5.7.1 From domain x.sandbox.example is not one")


def test_other_mail_is_left_as_it_is() -> None:
    decided = decide("jo@a.example", "jo@a.example", facts(login=LOGIN))
    assert isinstance(decided, Admission)
    assert (NO_ATTRIBUTES, NO_TERMS) == (decided.attributes, decided.terms)


def test_to_an_account_that_has_verified_it_it_is_like_any_other() -> None:
    owner = replace(LOGIN, domains=frozenset((SANDBOX,)))
    decided = decide(f"jo@{SANDBOX}", f"jo@{SANDBOX}", facts(login=owner))
    assert isinstance(decided, Admission)
    assert not decided.attributes.sandboxed


def test_nobody_is_asked_whose_the_sandbox_is() -> None:
    session = facts({"sender.check": "off"})
    message = incoming(f"jo@{SANDBOX}", "jo@b.example", session)
    assert {"b.example"} == domains_to_ask(message.head, message.sender, session)
