"""Lists of authorized senders, and what an account hears of others (RULES U13 to U18)."""

from typing import Any

import pytest

from ingest.core.admission import SessionFacts
from ingest.core.domains_of_others import domains_to_ask
from ingest.core.sender_rules import check_sender
from posthouse.mail.address import Address
from posthouse.mail.alert import AlertKind
from servers.admitting import admitted, facts_for, incoming, refused

DOMAINS = {"yourcompany.com", "marketing.other.example", "john.example"}
LISTS: dict[str, Any] = {
    "sender__authorized_domains": "yourCompany.com;marketing.Other.example",
    "sender__authorized_senders": "John.Smith@john.example",
}
FOREIGN = "From: x@else.example"


def listed(**changes: Any) -> SessionFacts:
    return facts_for("mailup", **{**LISTS, "domains": DOMAINS, **changes})


def blocking(**changes: Any) -> SessionFacts:
    return listed(**{"sender__check": "block_and_alert", **changes})


@pytest.mark.parametrize(
    "author",
    [
        "any@yourcompany.com",
        "Any@YourCompany.com",
        "x@marketing.other.example",
        "john.smith@john.example",
    ],
)
def test_U13_U14_listed_senders_are_sent_without_an_alert(author: str) -> None:
    for facts in (listed(), blocking()):
        assert not admitted(incoming(f"From: {author}", facts)).attributes.alerts


@pytest.mark.parametrize(
    "author",
    [
        "x@www.yourcompany.com",  # a parent does not stand for its subdomains
        "x@other.example",
        "other@john.example",
        "x@else.example",
    ],
)
def test_U13_U17_others_are_refused_where_the_option_is_on(author: str) -> None:
    reply = refused(incoming(f"From: {author}", blocking()))
    assert reply.startswith("550 5.7.1 From domain ")
    assert reply.endswith(
        "is not authorized for this SMTP+ user: john.smith@john.example, "
        "marketing.other.example, yourcompany.com"
    )


def test_U15_without_lists_every_sender_is_authorized() -> None:
    for check in ("alert", "block_and_alert"):
        facts = facts_for("mailup", sender__check=check)
        assert not admitted(incoming(FOREIGN, facts)).attributes.alerts


def test_U15_but_never_as_the_domain_of_another_account() -> None:
    message = incoming(FOREIGN, facts_for("mailup"))
    assert "else.example" in domains_to_ask(message.head, message.sender, message.session)
    reply = refused(message._replace(owned_elsewhere={"else.example"}))
    assert reply.startswith("550 5.7.1 else.example belongs to another account")


def test_U16_an_unauthorized_sender_is_sent_with_an_alert() -> None:
    decided = admitted(incoming(FOREIGN, listed()))
    assert decided.attributes.alerts == (
        {
            "alert": AlertKind.UNAUTHORIZED_SENDER,
            "field": "From",
            "address": "x@else.example",
            "blocked": False,
        },
    )
    assert decided.recipients == ("al@there.example",)


def test_U16_each_sender_that_is_checked_is_an_alert() -> None:
    facts = listed(sender__check_on="both")
    decided = admitted(incoming(FOREIGN, facts, sender="y@else.example"))
    fields = [(alert["field"], alert["address"]) for alert in decided.attributes.alerts]
    assert fields == [("MAIL FROM", "y@else.example"), ("From", "x@else.example")]
    decided = admitted(incoming(FOREIGN, listed(sender__check_on="mail_from"), "a@yourcompany.com"))
    assert not decided.attributes.alerts


def test_U16_of_thousands_of_authors_one_is_an_alert() -> None:
    """Each alert is an event of its own."""
    authors = ", ".join(f"a{n}@b{n}.example" for n in range(2_000))
    decided = admitted(incoming(f"From: {authors}", listed()))
    assert ["a0@b0.example"] == [alert["address"] for alert in decided.attributes.alerts]


def test_U17_a_refused_sender_is_an_alert_too() -> None:
    facts = blocking(sender__check_on="both")
    refusal = check_sender(Address.parse("y@else.example"), facts)
    assert refusal is not None
    assert refusal.alert == {
        "alert": AlertKind.UNAUTHORIZED_SENDER,
        "field": "MAIL FROM",
        "address": "y@else.example",
        "blocked": True,
    }
    refusal = check_sender(Address.parse("y@else.example"), blocking(sender__check="block"))
    assert refusal is None  # the preset checks From


def test_U17_a_refusal_without_the_option_is_no_alert() -> None:
    facts = blocking(sender__check="block", sender__check_on="mail_from")
    refusal = check_sender(Address.parse("y@else.example"), facts)
    assert refusal is not None
    assert refusal.alert is None


def test_U18_an_entry_counts_when_its_domain_is_verified() -> None:
    """A list of which no entry counts yet is still no empty list."""
    facts = blocking(domains={"john.example"})
    assert admitted(incoming("From: john.smith@john.example", facts))
    reply = refused(incoming("From: a@yourcompany.com", facts))
    assert reply == (
        "550 5.7.1 yourcompany.com is on the list of senders, but not verified for this account: "
        "verify it first"
    )
    assert refused(incoming(FOREIGN, facts)).startswith("550 5.7.1 From domain else.example is not")


def test_U18_senders_of_old_accounts_may_stay_as_they_are() -> None:
    facts = blocking(domains=(), sender__listed_are_verified=False)
    assert admitted(incoming("From: a@yourcompany.com", facts))
