"""The profile `episerver` at the door, rule by rule (RULES A5)."""

from dataclasses import replace

import pytest

from posthouse.mail.message_flag import Stream
from posthouse.profiles import resolve
from posthouse.store.logins import AccountProfile, Login
from servers.admitting import admitted, facts_for, incoming, refused
from servers.door import LOGIN, PLAIN, OpenDoor, Running

FACTS = facts_for(
    "episerver",
    domains={"news.example.com"},
    streams={"k7x": Stream("spring", "k7x", {"check_unsubscribes": False})},
)
SENDER = "newsletter@news.example.com"
GOOD = {
    "From": f"News <{SENDER}>",
    "To": "Jo <jo@there.example>",
    "Subject": "Spring",
    "Message-ID": "<32hhr34-42hkjh42@example.com>",
}


def block(**fields: str | None) -> bytes:
    """The header of a good message with these fields changed, added or, when None, left out."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in (GOOD | named).items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode()


def reply(header: bytes, sender: str = SENDER) -> str:
    return refused(incoming(header, FACTS, sender, ("jo@there.example",)))


def test_a_message_as_the_page_wants_it_is_admitted() -> None:
    decided = admitted(incoming(block(), FACTS, SENDER, ("jo@there.example",)))
    assert ("jo@there.example",) == decided.recipients


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "The message has no Message-ID header"),
        (
            "32hhr34@example.com",
            "Message-ID '32hhr34@example.com' is not of the form <local@domain>",
        ),
        ("<no-at-sign>", "Message-ID '<no-at-sign>' is not of the form <local@domain>"),
        ("<a@b> <c@d>", "Message-ID '<a@b> <c@d>' is not of the form <local@domain>"),
    ],
)
def test_E11_a_message_id_of_the_pattern_is_required(value: str | None, said: str) -> None:
    assert f"550 5.6.0 {said}" == reply(block(Message_ID=value))


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"To": None}, "Exactly one To header with one address is required: 0 seen"),
        ({"to": "al@x.example"}, "Exactly one To header with one address is required: 2 seen"),
        (
            {"To": "jo@there.example, al@x.example"},
            "Exactly one To header with one address is required: 2 seen",
        ),
        ({"To": "friends:;"}, "Exactly one To header with one address is required: 0 seen"),
    ],
)
def test_E12_there_is_one_to_with_one_address(field: dict[str, str | None], said: str) -> None:
    assert f"550 5.6.0 {said}" == reply(block(**field))


def test_E12_an_address_that_cannot_be_read_is_none() -> None:
    assert reply(block(To="Jo")).startswith("550 5.6.0 The To header cannot be read: ")


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"From": None}, "550 5.6.0 The message has no From header"),
        ({"from": "al@news.example.com"}, "550 5.6.0 The message has more than one From header"),
        (
            {"From": f"{SENDER}, al@news.example.com"},
            "550 5.6.0 Exactly one From header with one address is required: 2 seen",
        ),
        (
            {"From": "jo@b.test"},
            "550 5.7.1 From domain b.test is not a sending domain of this client: news.example.com",
        ),
    ],
)
def test_E13_there_is_one_from_at_the_sending_domain(
    field: dict[str, str | None], said: str
) -> None:
    assert said == reply(block(**field))


@pytest.mark.parametrize("name", ["Cc", "BCC"])
def test_E14_cc_and_bcc_are_refused(name: str) -> None:
    shown = name.capitalize()
    said = f"550 5.6.0 The message must not have a {shown} header"
    assert said == reply(block(**{name: "al@x.example"}))


def test_E15_the_subject_is_not_empty() -> None:
    for empty in ("  ", "=?utf-8?Q??=", "=?utf-8?B??=", "=?UTF-8?Q?_=20?="):
        assert reply(block(Subject=empty)) == "550 5.6.0 The Subject header is empty"
    assert reply(block(Subject=None)) == "550 5.6.0 The message has no Subject header"


def test_E06_E17_the_header_code_selects_a_mailing() -> None:
    header = block(X_bm_mailing="K7X")
    decided = admitted(incoming(header, FACTS, SENDER, ("jo@there.example",)))
    assert decided.attributes.stream == "spring"
    assert decided.attributes.flags == {"check_unsubscribes": False}


def test_E17_a_code_of_no_mailing_is_refused() -> None:
    said = "550 5.6.0 'nope' in X-bm-mailing is no code of this account"
    assert said == reply(block(X_bm_mailing="nope"))
    twice = block(X_bm_mailing="k7x", x_BM_mailing="k7x")
    assert reply(twice) == "550 5.6.0 At most one X-bm-mailing header is allowed: 2 seen"


def test_E05_without_a_code_the_mailing_is_that_of_the_profile() -> None:
    facts = replace(
        facts_for("episerver", control__default_stream="spring"),
        domains=FACTS.domains,
        streams={"spring": FACTS.streams["k7x"]},
    )
    decided = admitted(incoming(block(), facts, SENDER, ("jo@there.example",)))
    assert decided.attributes.stream == "spring"


@pytest.mark.parametrize(
    "sender", ["other@news.example.com", "Newsletter@news.example.com", "newsletter@example.com"]
)
def test_E18_envelope_sender_and_from_are_identical(sender: str) -> None:
    said = f"550 5.6.0 MAIL FROM <{sender}> and From <{SENDER}> must be the same address"
    assert said == reply(block(), sender)


def test_E20_a_return_path_is_refused() -> None:
    said = "550 5.6.0 The message must not have a Return-Path header"
    assert said == reply(block(Return_Path=f"<{SENDER}>"))


def test_A6_2_headers_of_other_families_change_nothing() -> None:
    header = block(X_Mxm_Flags="8", X_tag="a", X_MT_ATTR="{", X_Priority="1")
    decided = admitted(incoming(header, FACTS, SENDER, ("jo@there.example",)))
    assert not decided.attributes.flags
    assert not decided.attributes.tags
    assert decided.lane is FACTS.lane


def test_E12_E14_the_envelope_names_no_other_than_to() -> None:
    """Who is in RCPT TO alone would be a blind recipient; spellings of one mailbox are the same."""
    message = incoming(block(), FACTS, SENDER, ("Jo@There.example",))
    assert ("Jo@There.example",) == admitted(message).recipients
    for recipients in (("al@there.example",), ("jo@there.example", "al@there.example")):
        assert (
            "550 5.6.0 RCPT TO names 'al@there.example', and To 'jo@there.example':"
            " both must be the same one"
        ) == refused(incoming(block(), FACTS, SENDER, recipients))


# Through a session.


@pytest.mark.parametrize(
    ("knobs", "mode", "said"),
    [
        ({}, "none", "538 5.7.11 Encryption required for requested authentication mechanism"),
        (
            {
                "session.allowed_networks": ["192.0.2.0/24"]
            },  # elsewhere nothing tells a right secret
            "none",
            "535 5.7.8 Authentication credentials invalid",
        ),
        ({"session.require_tls": False}, "none", "235 2.7.0 Authentication successful"),
        (
            {"session.require_tls": False, "session.allowed_networks": ["192.0.2.0/24"]},
            "none",
            "535 5.7.8 Authentication credentials invalid",
        ),
        (
            {"session.require_tls": False, "session.allowed_networks": ["127.0.0.0/8"]},
            "none",
            "235 2.7.0 Authentication successful",
        ),
        (
            {"session.require_tls": False, "session.allowed_listeners": ["192.0.2.1:25/none"]},
            "none",
            "535 5.7.8 Authentication credentials invalid",
        ),
    ],
)
async def test_X01_X02_E01_E02_where_a_login_counts(
    open_door: OpenDoor, knobs: dict[str, object], mode: str, said: str
) -> None:
    """Credentials travel encrypted, and come from the customer's own addresses."""
    door = await open_door(mode)
    door.directory.logins["user"] = with_profile(**knobs)
    client = await door.connect()
    await client.say("EHLO client.example")
    assert said == await client.say(f"AUTH PLAIN {PLAIN}")
    answer = await client.say("MAIL FROM:<jo@a.example>")
    assert answer.startswith("250 " if said.startswith("235") else "530 ")


async def test_E02_an_open_session_ends_when_its_network_is_no_longer_registered(
    open_door: OpenDoor,
) -> None:
    door = await open_door("none")
    door.directory.logins["user"] = with_profile(**{"session.require_tls": False})
    client = await door.logged_in()
    assert (await client.say("MAIL FROM:<jo@a.example>")).startswith("250 ")
    await client.say("RSET")
    changed = {"session.require_tls": False, "session.allowed_networks": ["192.0.2.0/24"]}
    door.directory.logins["user"] = with_profile(**changed)
    door.service._context.authenticator._remembered.clear()
    assert (await client.say("MAIL FROM:<jo@a.example>")).startswith("421 4.7.0 This login was ")
    assert await client.is_closed()


def with_profile(**knobs: object) -> Login:
    own = AccountProfile(LOGIN.account_id, "ours", 1, "episerver", 1, knobs)
    return replace(LOGIN, profile="ours", own_profile=own)


async def test_E10_E19_size_and_sender_are_refused_at_mail(door: Running) -> None:
    assert resolve("episerver").size.max_message_octets == 307_200
    door.directory.logins["user"] = with_profile(**{"session.require_tls": False})
    client = await door.logged_in()
    said = await client.say("MAIL FROM:<jo@a.example> SIZE=307201")
    assert said == "552 5.3.4 Message larger than 307200 octets"
    said = await client.say("MAIL FROM:<jo@x.example>")
    assert said.startswith("550 5.7.1 Sender domain x.example is not a sending domain of this")
    content = block(From="jo@a.example", To="x@there.example") + (b"x" * 76 + b"\r\n") * 3_930
    content += b"x" * (307_200 - 2 - len(content))
    assert (await client.message(content + b"\r\n.\r\n")).startswith("250 ")
    said = await client.message(content + b"x\r\n.\r\n")
    assert said == "552 5.3.4 Message larger than 307200 octets"
