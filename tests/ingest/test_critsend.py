"""The profile critsend at the door: what a message must have, and who may get it (RULES C)."""

from dataclasses import replace

import pytest

from policy.core.draft import Draft
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.request import read
from policy.core.steps import run_steps, steps_for
from posthouse.mail.message import Header
from posthouse.mail.suppression_list import Suppression, SuppressionList, tag_scope
from posthouse.profiles import resolve
from servers.admitting import admitted, facts_for, incoming, refused
from servers.door import LOGIN, OpenDoor, Running, Wire
from servers.stores import a_submission

CRITSEND = facts_for("critsend")
RELAY = Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32)
WHOLE = {"From": "jo@else.example", "To": "Al <al@there.example>", "Subject": "Hi"}


def header(*missing: str, **more: str) -> str:
    fields = {**WHOLE, **more}
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if name not in missing)


async def logged_in(door: Running, **changes: object) -> Wire:
    """A user of a profile, who sends as the relay lets him."""
    door.directory.logins["user"] = replace(LOGIN, profile="critsend", **changes)  # type: ignore[arg-type]  # fields of it
    return await door.logged_in()


async def test_C01_C04_a_login_in_clear_on_one_port_is_all_that_a_client_needs(
    open_door: OpenDoor,
) -> None:
    """STARTTLS is there, and not asked for."""
    door = await open_door("opportunistic")
    client = await logged_in(door)
    await client.envelope("any@where.example", "al@there.example")
    assert (await client.say("DATA")).startswith("354 ")
    reply = await client.message_end(header().replace("\n", "\r\n").encode() + b"\r\nBody\r\n.\r\n")
    assert reply.startswith("250 2.0.0 ")
    (stored,) = door.intake.accepted
    assert (stored.profile, stored.tls, stored.attributes.tags) == ("critsend", "", ("default",))


async def test_C05_a_connection_stays_for_many_messages(open_door: OpenDoor) -> None:
    door = await open_door("opportunistic")
    client = await logged_in(door)
    for _ in range(3):
        await client.envelope("any@where.example", "al@there.example")
        await client.say("DATA")
        content = header().replace("\n", "\r\n").encode() + b"\r\nBody\r\n.\r\n"
        assert (await client.message_end(content)).startswith("250 ")
    assert len(door.intake.accepted) == 3


@pytest.mark.parametrize("name", ["From", "To", "Subject"])
def test_C09_a_message_without_one_of_three_fields_is_refused(name: str) -> None:
    assert (
        refused(incoming(header(name), CRITSEND)) == f"550 5.6.0 The message has no {name} header"
    )
    assert admitted(incoming(header(), CRITSEND))


NAMED = ("al@there.example",)
BLIND = ("al@there.example", "blind@there.example")


@pytest.mark.parametrize(
    ("fields", "recipients"),
    [
        ({}, NAMED),
        ({}, ("AL@There.example",)),
        ({"Cc": "b@x.example, c@x.example"}, (*NAMED, "c@x.example")),
        ({"To": "friends: al@there.example, b@x.example;"}, (*NAMED, "b@x.example")),
        ({"To": "al@bücher.example"}, ("al@xn--bcher-kva.example",)),
        ({"To": '"al"@there.example'}, NAMED),
    ],
)
def test_C12_who_is_named_gets_a_copy(fields: dict[str, str], recipients: tuple[str, ...]) -> None:
    message = incoming(header(**fields), CRITSEND, recipients=recipients)
    assert admitted(message).recipients == recipients


@pytest.mark.parametrize(
    ("fields", "recipients"),
    [
        ({}, BLIND),
        ({"Bcc": "blind@there.example"}, BLIND),
        ({"Reply-To": "blind@there.example"}, BLIND),
        ({"To": "blind@there.example.org"}, ("blind@there.example",)),
    ],
)
def test_X07_C12_bcc_is_refused_until_it_is_activated(
    fields: dict[str, str], recipients: tuple[str, ...]
) -> None:
    assert refused(incoming(header(**fields), CRITSEND, recipients=recipients)) == (
        "550 5.7.1 'blind@there.example' is named in no To or Cc header, and Bcc is not activated "
        "for this account"
    )
    active = facts_for("critsend", recipients__bcc="on")
    assert admitted(incoming(header(**fields), active, recipients=recipients)).recipients == (
        recipients
    )


def test_C12_a_to_that_cannot_be_read_names_nobody() -> None:
    lenient = facts_for("critsend", conformance__strict_syntax=False)
    reply = refused(incoming(header(Cc="<al@there.example"), lenient))
    assert reply.startswith("550 5.6.0 The Cc header cannot be read")


async def test_C12_blind_recipients_are_not_in_what_is_delivered() -> None:
    active = resolve("critsend", overrides={"recipients.bcc": "on"})
    some = a_submission(
        header=header(Bcc="blind@there.example").replace("\n", "\r\n").encode() + b"\r\n",
        recipients=BLIND,
    )
    result = run_steps(steps_for(active), Draft.of(read(some, active)), Facts(RELAY, {}, {}))
    assert isinstance(result, Draft)
    (copy,) = result.copies
    assert [to.address for to in copy.recipients] == list(BLIND)
    assert b"blind" not in bytes(copy.header)


async def test_C13_ten_megabytes_are_the_most(door: Running) -> None:
    client = await logged_in(door)
    assert "250-SIZE 10485760\n" in await client.say("EHLO again")
    reply = await client.say("MAIL FROM:<any@where.example> SIZE=10485761")
    assert reply == "552 5.3.4 Message larger than 10485760 octets"


def test_C13_other_fields_of_the_client_stay() -> None:
    profile = resolve("critsend")
    raw = header(**{"X-Anything": "goes", "X-Tag": "a"}).replace("\n", "\r\n").encode() + b"\r\n"
    draft = Draft.of(read(a_submission(header=raw), profile))
    result = run_steps(steps_for(profile), draft, Facts(RELAY, {}, {}))
    assert isinstance(result, Draft)
    found: Header = result.copies[0].header
    assert (found.first("X-Anything"), found.first("X-Tag")) == ("goes", None)


@pytest.mark.parametrize(
    ("tags", "scope", "blocked"),
    [
        ("X-Tag: invoice1", "invoice1", True),
        ("X-Tag: other, invoice1", "invoice1", True),
        ("X-Tag: invoice2", "invoice1", False),
        ("X-Tag: invoice1", "default", False),
        ("X-Other: x", "default", True),
        ("X-Other: x", "invoice1", False),
    ],
)
def test_C25_who_unsubscribed_from_a_tag_gets_no_more_of_it(
    tags: str, scope: str, *, blocked: bool
) -> None:
    """From the header to the recipient that gets no copy."""
    message = incoming(header() + tags, CRITSEND)
    decided = admitted(message)
    some = a_submission(header=message.head.octets, recipients=NAMED, attributes=decided.attributes)
    entry = Suppression(SuppressionList.UNSUBSCRIBE, tag_scope(scope))
    facts = Facts(RELAY, {}, {NAMED[0]: (entry,)})
    profile = CRITSEND.profile
    result = run_steps(steps_for(profile), Draft.of(read(some, profile)), facts)
    assert isinstance(result, Draft)
    assert blocked is bool(result.suppressed)
