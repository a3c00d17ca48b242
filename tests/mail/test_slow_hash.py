"""Secrets kept by scrypt."""

from posthouse.mail.secret import hash_secret
from posthouse.mail.slow_hash import is_slow, slow_hash, slow_matches

PEPPER = b"p" * 32
KEYED = hash_secret("Sommer2024!", PEPPER)


def test_X03_only_the_same_secret_matches() -> None:
    stored = slow_hash(KEYED, b"s" * 16)
    assert is_slow(stored)
    assert not is_slow(KEYED)
    assert KEYED not in stored
    assert stored[:3] == bytes((14, 8, 5))  # as OWASP has them
    assert stored != slow_hash(KEYED, b"t" * 16)
    assert slow_matches(KEYED, stored)
    assert not slow_matches(hash_secret("Sommer2025!", PEPPER), stored)
    assert not slow_matches(hash_secret("Sommer2024!", b"q" * 32), stored)


def test_parameters_are_those_that_it_was_made_with() -> None:
    """RFC 7914 section 12: N 16, r 1, p 1 of an empty password and salt begin so."""
    key = bytes.fromhex("77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442")
    assert slow_matches(b"", bytes((4, 1, 1)) + key)
