"""Who signs a copy, names it and takes its bounces."""

from policy.core.facts import (
    DomainKeys,
    Facts,
    KnownDomain,
    Relay,
    SigningIdentity,
    SigningUnavailable,
    naming_domain,
    signing_identity,
)
from posthouse.mail.dkim_key import Algorithm, SigningKey
from posthouse.running.keys import generate


def key(domain: str) -> SigningKey:
    return SigningKey.load(domain, "s1", "ed25519-sha256", generate(Algorithm.ED25519))


FROM = DomainKeys("from.example", "bounce.from.example", (key("from.example"),))
KEYLESS = DomainKeys("from.example", None, ())
ENVELOPE = DomainKeys("envelope.example", "bounce.envelope.example", (key("envelope.example"),))
RELAY = DomainKeys("relay.example", "bounce.relay.example", (key("relay.example"),))
BARE_RELAY = DomainKeys("relay.example", None, ())
BOTH = ("from.example", "envelope.example")


def facts(
    relay: DomainKeys = RELAY,
    *,
    author: KnownDomain | None = None,
    envelope: KnownDomain | None = None,
) -> Facts:
    """What is known of the two domains."""
    known = zip(BOTH, (author, envelope), strict=True)
    domains = {name: domain for name, domain in known if domain is not None}
    return Facts(Relay("mail.relay.example", relay, b"k" * 32, b"i" * 32), domains, {})


def identity(
    author: DomainKeys | None = None,
    envelope: DomainKeys | None = None,
    relay: DomainKeys = RELAY,
) -> SigningIdentity:
    result = signing_identity(BOTH, facts(relay, author=author, envelope=envelope))
    assert isinstance(result, SigningIdentity)
    return result


def test_the_domain_in_from_signs_and_takes_the_bounces() -> None:
    assert identity(FROM, ENVELOPE) == SigningIdentity(
        "from.example", "bounce.from.example", FROM.keys
    )


def test_the_envelope_domain_stands_in_for_a_foreign_from() -> None:
    expected = SigningIdentity("envelope.example", "bounce.envelope.example", ENVELOPE.keys)

    assert identity(None, ENVELOPE) == expected


def test_the_envelope_domain_signs_for_a_from_domain_without_keys() -> None:
    """Bounces still come to the relay's host for From's domain, which has none of its own."""
    assert identity(KEYLESS, ENVELOPE) == SigningIdentity(
        "from.example", "bounce.relay.example", ENVELOPE.keys
    )


def test_the_relay_signs_when_nobody_else_can_and_says_so() -> None:
    one, none = identity(KEYLESS), identity()

    assert (one.keys, none.keys) == (RELAY.keys, RELAY.keys)
    assert (one.domain, none.domain) == ("from.example", "relay.example")
    assert one.note == "signed by the relay's own domain relay.example"


def test_without_any_key_the_message_goes_unsigned_and_says_so() -> None:
    result = identity(KEYLESS, relay=BARE_RELAY)

    assert result.keys == ()
    assert result.return_path_host == "relay.example"
    assert result.note is not None
    assert result.note.startswith("unsigned: ")


def test_keys_that_cannot_be_used_hold_the_message_back() -> None:
    """Signing as somebody else, or not at all, would be a bad send."""
    broken = SigningUnavailable("the key is damaged")

    assert broken is signing_identity(BOTH, facts(author=broken, envelope=ENVELOPE))
    assert isinstance(signing_identity(BOTH, facts(author=FROM, envelope=broken)), SigningIdentity)


def test_the_first_owned_domain_names_a_message_whatever_its_keys() -> None:
    broken = SigningUnavailable("the key is damaged")

    assert naming_domain(BOTH, facts(envelope=KEYLESS)) == "envelope.example"
    assert naming_domain(BOTH, facts(author=broken)) == "from.example"
    assert naming_domain(BOTH, facts()) == "relay.example"
