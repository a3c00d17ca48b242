"""Which domain a message speaks for, and whose key signs it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.identity import Identity, Speaker, Unusable, candidates, from_domain, speaker
from posthouse.mail.dkim_key import Algorithm, SigningKey
from posthouse.mail.message import Header
from posthouse.running.keys import generate


def key(domain: str) -> SigningKey:
    return SigningKey.load(domain, "s1", "ed25519-sha256", generate(Algorithm.ED25519))


FROM = Identity("from.example", "bounce.from.example", (key("from.example"),))
KEYLESS = Identity("from.example", None, ())
ENVELOPE = Identity("envelope.example", "bounce.envelope.example", (key("envelope.example"),))
RELAY = Identity("relay.example", "bounce.relay.example", (key("relay.example"),))
BARE_RELAY = Identity("relay.example", None, ())
BOTH = ("from.example", "envelope.example")


def spoken(*known: Identity, relay: Identity = RELAY) -> Speaker:
    result = speaker(BOTH, {identity.domain: identity for identity in known}, relay)
    assert isinstance(result, Speaker)
    return result


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        ("a@b.example", "b.example"),
        ("A Name <a@B.Example>", "b.example"),
        ("<a@b.example>", "b.example"),
        ('"x@evil.example" <a@b.example>', "b.example"),
        ('"<x@evil.example>" <a@b.example>', "b.example"),
        ("(x@evil.example) a@b.example", "b.example"),
        ("x@evil.example <a@b.example>", "b.example"),
        ('"a b"@b.example', "b.example"),
        ('"a\\"<x@evil.example>" <a@b.example>', "b.example"),
        ("a@b.example, c@d.example", "b.example"),
        ("One <a@b.example>, Two <c@d.example>", "b.example"),
        ("Group: a@b.example;", "b.example"),
        ("=?utf-8?q?x=40evil=2Eexample?= <a@b.example>", "b.example"),
        ("a@b.example.", "b.example"),
        ("a@größe.example", "xn--gre-6ka8i.example"),
        ("a@[192.0.2.1]", "[192.0.2.1]"),
        ("nobody", None),
        ("<>", None),
        ("", None),
    ],
)
def test_the_first_mailbox_in_from_names_the_domain(value: str, domain: str | None) -> None:
    assert from_domain(Header.parse(f"From: {value}\r\n\r\n".encode())) == domain


def test_from_comes_before_the_envelope_sender() -> None:
    header = Header.parse(b"From: a@From.Example\r\n\r\n")

    assert candidates(header, "b@Envelope.Example") == BOTH
    assert candidates(header, "b@from.example") == ("from.example",)
    assert candidates(header, "") == ("from.example",)
    assert candidates(Header(()), "") == ()


@given(st.text(max_size=60), st.text(max_size=40))
def test_no_from_and_no_sender_makes_it_fail(value: str, sender: str) -> None:
    raw = b"From: " + value.encode(errors="replace") + b"\r\n\r\n"

    assert len(candidates(Header.parse(raw), sender)) <= 2


def test_the_domain_in_from_signs_and_takes_the_bounces() -> None:
    assert spoken(FROM, ENVELOPE) == Speaker("from.example", "bounce.from.example", FROM.keys)


def test_the_envelope_domain_stands_in_for_a_foreign_from() -> None:
    expected = Speaker("envelope.example", "bounce.envelope.example", ENVELOPE.keys)

    assert spoken(ENVELOPE) == expected


def test_the_envelope_domain_signs_for_a_from_domain_without_keys() -> None:
    """Bounces still come to the relay's host for From's domain, which has none of its own."""
    assert spoken(KEYLESS, ENVELOPE) == Speaker(
        "from.example", "bounce.relay.example", ENVELOPE.keys
    )


def test_the_relay_signs_when_nobody_else_can_and_says_so() -> None:
    one, none = spoken(KEYLESS), spoken()

    assert (one.keys, none.keys) == (RELAY.keys, RELAY.keys)
    assert (one.domain, none.domain) == ("from.example", "relay.example")
    assert one.note == "signed by the relay's own domain relay.example"


def test_without_any_key_the_message_goes_unsigned_and_says_so() -> None:
    result = spoken(KEYLESS, relay=BARE_RELAY)

    assert result.keys == ()
    assert result.return_path_host == "relay.example"
    assert result.note is not None
    assert result.note.startswith("unsigned: ")


def test_keys_that_cannot_be_used_hold_the_message_back() -> None:
    """Signing as somebody else, or not at all, would be a bad send."""
    broken = Unusable("the key is damaged")

    assert speaker(BOTH, {"from.example": broken, "envelope.example": ENVELOPE}, RELAY) is broken
    assert isinstance(
        speaker(BOTH, {"from.example": FROM, "envelope.example": broken}, RELAY), Speaker
    )
