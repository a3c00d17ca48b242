"""What a profile decides at the door, for tests that need no door."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from ingest.core.admission import Admission, Incoming, SessionFacts, admit
from ingest.core.domains_of_others import leaves_senders_open
from ingest.core.message_head import MessageHead
from ingest.core.refusals import Refusal
from ingest.core.rules import cleans_lines, line_limit, rules_for
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header
from posthouse.profiles import resolve


def facts_for(preset: str, **changes: Any) -> SessionFacts:
    """A login of an account that has a.example; knobs of *preset* are given as group__knob."""
    knobs = {k.replace("__", "."): changes.pop(k) for k in list(changes) if "__" in k}
    profile = resolve(preset, overrides=knobs)
    facts = SessionFacts(
        account_id=UUID(int=1),
        credential_id=UUID(int=2),
        username="user",
        domains={"a.example"},
        child_domains={},
        lane=Lane.NORMAL,
        highest_lane=Lane.VERY_HIGH,
        profile=profile,
        profile_name=preset,
        profile_revision=1,
        streams={},
        sender_flags={},
        max_message_octets=1_000_000,
        max_header_octets=65_536,
        rules=rules_for(profile),
        line_limit=line_limit(profile),
        cleans_lines=cleans_lines(profile),
        senders_are_open=leaves_senders_open(profile),
    )
    return replace(facts, **changes)


def incoming(
    header: str | bytes,
    facts: SessionFacts,
    sender: str = "jo@a.example",
    recipients: tuple[str, ...] = ("al@there.example",),
    **more: Any,
) -> Incoming:
    """A message with this header, whose lines may end in LF and which needs no empty line."""
    octets = header.encode() if isinstance(header, str) else header
    whole = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").rstrip(b"\r\n") + b"\r\n\r\n"
    return Incoming(MessageHead(whole, Header.parse(whole)), sender, recipients, facts, **more)


def admitted(message: Incoming) -> Admission:
    """What is decided about *message*, which must not be refused."""
    result = admit(message)
    assert not isinstance(result, Refusal), result
    return result


def refused(message: Incoming) -> str:
    """The reply to *message*, which must be refused."""
    result = admit(message)
    assert isinstance(result, Refusal), result
    return str(result.reply)
