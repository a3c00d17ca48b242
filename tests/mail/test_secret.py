"""Keys derived, secrets hashed, private keys sealed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.secret import (
    Purpose,
    UnsealError,
    derive,
    hash_secret,
    seal,
    secret_matches,
    unseal,
)

MASTER = b"m" * 32
NONCE = b"n" * 12


def test_each_purpose_has_its_own_key_and_keeps_it() -> None:
    """The values are written down: another one would lose every installation its keys."""
    keys = {purpose: derive(MASTER, purpose) for purpose in Purpose}

    assert len(set(keys.values())) == len(Purpose)
    assert {len(key) for key in keys.values()} == {32}
    assert derive(MASTER, Purpose.RETURN_PATHS).hex().startswith("d68bc00f80ca815c")
    assert derive(b"n" * 32, Purpose.DKIM_KEYS) != keys[Purpose.DKIM_KEYS]


@given(st.text(max_size=80), st.text(max_size=80))
def test_only_the_same_secret_matches(secret: str, other: str) -> None:
    stored = hash_secret(secret, MASTER)

    assert secret_matches(secret, stored, MASTER)
    assert secret_matches(other, stored, MASTER) is (secret == other)
    assert not secret_matches(secret, stored, b"another pepper")


def test_a_secret_that_is_no_text_is_compared_like_any_other() -> None:
    """AUTH may bring octets that decode to half a surrogate pair."""
    assert not secret_matches("\udcff", hash_secret("x", MASTER), MASTER)


@given(st.binary(max_size=200))
def test_what_was_sealed_opens_with_the_same_key(plain: bytes) -> None:
    sealed = seal(plain, MASTER, NONCE)

    assert plain == unseal(sealed, MASTER)
    assert len(sealed) == len(plain) + 28


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s[:0],
        lambda s: s[:5],
        lambda s: s[:20],
        lambda s: s[:-1],
        lambda s: bytes([s[0] ^ 1]) + s[1:],
        lambda s: s[:-1] + bytes([s[-1] ^ 1]),
    ],
)
def test_damaged_data_does_not_open(damage: object) -> None:
    assert callable(damage)
    with pytest.raises(UnsealError, match="does not fit"):
        unseal(damage(seal(b"private", MASTER, NONCE)), MASTER)


def test_another_key_does_not_open() -> None:
    with pytest.raises(UnsealError, match="POSTHOUSE_SECRET_KEY"):
        unseal(seal(b"private", MASTER, NONCE), b"x" * 32)


def test_a_nonce_has_twelve_octets() -> None:
    with pytest.raises(ValueError, match="12 octets"):
        seal(b"private", MASTER, b"short")
