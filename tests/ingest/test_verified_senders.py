"""An operator who allows verified senders only closes what profiles leave open."""

from dataclasses import replace
from typing import Any

import pytest

from ingest.core.admission import SessionFacts, admit
from ingest.core.operator_rules import OperatorRules
from ingest.core.refusals import Refusal
from ingest.core.rules import rules_for
from ingest.core.sender_rules import check_sender
from ingest.core.verified_senders import only_verified
from ingest.session_facts import KnownFacts
from posthouse.mail.address import Address
from posthouse.profiles.choices import FromPolicy
from posthouse.profiles.presets import _NEWEST
from servers.admitting import facts_for, incoming
from servers.door import LOGIN, OpenDoor

OWN, FOREIGN = "jo@a.example", "jo@else.example"
LISTED = {"sender__authorized_domains": "else.example; a.example"}
OPEN: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in _NEWEST),
    ("native", {"sender__check": "off"}),
    ("native", {"sender__empty_list_means": "all"}),
    ("native", {"sender__check_on": "from"}),
    ("mailup", LISTED),
    ("critsend", {"sender__signed_by": FOREIGN}),
]


def is_taken(facts: SessionFacts, sender: str, author: str) -> bool:
    """From MAIL FROM to the final dot."""
    fields = f"From: {author}\nTo: al@there.example\nSubject: x\nMessage-ID: <1@a.example>\n"
    dated = f"{fields}Date: Mon, 2 Nov 2026 10:00:00 +0000\n"
    if check_sender(Address.parse(sender), facts) is not None:
        return False
    return not isinstance(admit(incoming(dated, facts, sender)), Refusal)


@pytest.mark.parametrize(("preset", "knobs"), OPEN)
def test_U15_C15_no_profile_stays_open(preset: str, knobs: dict[str, Any]) -> None:
    facts = facts_for(preset, **knobs)
    profile = only_verified(facts.profile)
    closed = replace(facts, profile=profile, rules=rules_for(profile))
    assert is_taken(closed, OWN, OWN)
    assert not is_taken(closed, FOREIGN, OWN)
    if profile.sender.from_policy is not FromPolicy.REWRITE_FROM_ENVELOPE:
        assert is_taken(facts, OWN, FOREIGN) or preset != "mailup"
        assert not is_taken(closed, OWN, FOREIGN)


async def test_U15_the_operator_closes_it_by_a_setting(open_door: OpenDoor) -> None:
    door = await open_door("none")
    door.directory.logins["user"] = replace(LOGIN, profile="mailup")
    context = door.service._context
    message = (
        f"From: {FOREIGN}\r\nTo: al@there.example\r\nSubject: x\r\n\r\nHello.\r\n.\r\n".encode()
    )
    assert (await (await door.logged_in()).message(message)).startswith("250 ")
    rules, limits = OperatorRules(unverified_senders=False), context.limits
    facts = KnownFacts(limits.message_octets, limits.header_octets, rules)
    door.service._context = replace(context, operator=rules, facts=facts)
    assert (await (await door.logged_in()).message(message)).startswith("550 5.7.1 ")
