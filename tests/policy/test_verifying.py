"""A sample of what was signed is verified by another implementation before it leaves."""

from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY

from policy.core.dkim import body_hash, signed, unsigned
from policy.verifying import SampleVerifier
from posthouse.mail.dkim_key import Algorithm, SigningKey
from posthouse.mail.message import Header
from posthouse.running.keys import generate
from servers.rsa_keys import rsa_key

RSA = SigningKey.load("sender.example", "r1", Algorithm.RSA, rsa_key())
ED25519 = SigningKey.load("sender.example", "e1", Algorithm.ED25519, generate(Algorithm.ED25519))
BODY = b"Hello\r\n"


def header(*keys: SigningKey, fields: bytes = b"", body: bytes = BODY) -> bytes:
    """A header signed by *keys* over *body*."""
    plain = Header.parse(fields + b"From: a@sender.example\r\n\r\n")
    wanted = unsigned(plain, body_hash(body), keys, datetime.now(UTC))
    return bytes(signed(plain, [(one, one.key.sign(one.data)) for one in wanted]))


def counted(result: str) -> float:
    name = "posthouse_policy_verified_messages_total"
    return REGISTRY.get_sample_value(name, {"result": result}) or 0.0


@pytest.mark.parametrize("keys", [(RSA,), (ED25519,), (RSA, ED25519)])
@pytest.mark.parametrize("body", [BODY, b"", b"not ended", b"\r\n", b"two  blanks \r\n\r\n"])
def test_what_we_sign_verifies(keys: tuple[SigningKey, ...], body: bytes) -> None:
    before = counted("verified")

    assert SampleVerifier(1).problem(header(*keys, body=body), body, keys) is None
    assert counted("verified") - before == 1


@pytest.mark.parametrize("wrong", [RSA, ED25519])
def test_a_signature_that_does_not_verify_is_named(wrong: SigningKey) -> None:
    before = counted("failed")
    broken = header(RSA, ED25519).replace(b"s=%b" % wrong.selector.encode(), b"s=other")

    problem = SampleVerifier(1).problem(broken, BODY, (RSA, ED25519))

    name = f"{wrong.selector}._domainkey.sender.example"
    assert str(problem).startswith(f"the signature by {name} does not verify")
    assert counted("failed") - before == 1


def test_each_key_is_proven_before_it_is_trusted() -> None:
    """Every message of a key is verified until one is right, whatever the share."""
    verifier = SampleVerifier(1_000_000)
    broken = header(RSA).replace(b"From: a@", b"From: b@")

    assert verifier.problem(broken, BODY, (RSA,)) is not None
    assert verifier.problem(broken, BODY, (RSA,)) is not None
    assert verifier.problem(header(RSA), BODY, (RSA,)) is None
    assert verifier.problem(broken, BODY, (RSA,)) is None  # it is not in the sample
    assert verifier.problem(header(ED25519), BODY + b"changed", (ED25519,)) is not None


def test_then_one_message_in_so_many_is_verified() -> None:
    verifier = SampleVerifier(3)
    assert verifier.problem(header(RSA), BODY, (RSA,)) is None
    broken = header(RSA).replace(b"From: a@", b"From: b@")

    problems = [verifier.problem(broken, BODY, (RSA,)) is not None for _ in range(6)]

    assert problems == [False, True, False, False, True, False]


def test_what_is_not_signed_or_large_or_unwanted_is_not_verified() -> None:
    broken = header(RSA).replace(b"From: a@", b"From: b@")

    assert SampleVerifier(1).problem(b"From: a@sender.example\r\n\r\n", BODY, ()) is None
    assert SampleVerifier(1).problem(broken, bytes(65_536), (RSA,)) is None
    assert SampleVerifier(0).problem(broken, BODY, (RSA,)) is None


def test_a_header_that_the_other_implementation_cannot_read_fails_nothing() -> None:
    """A blank before the colon is obsolete, but legal (RFC 5322 section 4.5)."""
    before = counted("unreadable")

    assert SampleVerifier(1).problem(header(RSA, fields=b"X-Odd : x\r\n"), BODY, (RSA,)) is None
    assert counted("unreadable") - before == 1


@pytest.mark.parametrize("name", [b"From ", b"from\t", b"Subject  "])
def test_a_blank_before_the_colon_fails_nothing(name: bytes) -> None:
    """The other implementation does not find such a field, and says that nothing verifies."""
    fields = name + b": a@sender.example\r\n"
    if not name.lower().startswith(b"from"):
        fields += b"From: a@sender.example\r\n"
    plain = Header.parse(fields + b"\r\n")
    (wanted,) = unsigned(plain, body_hash(BODY), (RSA,), datetime.now(UTC))
    made = bytes(signed(plain, [(wanted, RSA.sign(wanted.data))]))
    before = counted("unreadable")
    assert SampleVerifier(1).problem(made, BODY, (RSA,)) is None
    assert counted("unreadable") - before == 1
