"""Secrets of credentials: drawn, or brought along; and what is stored of them (RULES X03)."""

import secrets
from typing import NamedTuple

from posthouse.mail.saslprep import CannotPrepare, prepared
from posthouse.mail.scram import SLOW_ITERATIONS, ScramKeys
from posthouse.mail.secret import (
    KEY_OCTETS,
    NONCE_OCTETS,
    Purpose,
    StoredSecret,
    derive,
    hash_secret,
    seal,
)
from posthouse.mail.secret_strength import is_strong
from posthouse.mail.slow_hash import SALT_OCTETS, slow_hash


class UnusableSecret(ValueError):
    """Clients could not log in with it."""


class NewSecret(NamedTuple):
    """A secret, and what is stored of it."""

    text: str
    stored: StoredSecret
    is_given: bool = False  # by its user, who has it
    is_strong: bool = True  # 128 bits or more


def new_secret(secret_key: bytes, *, sealed: bool = False) -> NewSecret:
    """Draw a secret of 256 random bits.

    *sealed*: it is kept so that it can be read with the relay's own key, as CRAM-MD5 and AWS need.
    """
    text = secrets.token_urlsafe(KEY_OCTETS)
    return NewSecret(text, _stored(text, secret_key, sealed=sealed, strong=True))


def given_secret(text: str, secret_key: bytes, *, sealed: bool = False) -> NewSecret:
    """The secret that a user brings along; raises UnusableSecret.

    One that could be guessed is stored so that each guess costs.
    """
    try:
        prepared(text)
    except CannotPrepare as error:
        raise UnusableSecret(f"the secret cannot be used: {error}") from error
    strong = is_strong(text)
    stored = _stored(text, secret_key, sealed=sealed, strong=strong)
    return NewSecret(text, stored, is_given=True, is_strong=strong)


def _stored(text: str, secret_key: bytes, *, sealed: bool, strong: bool) -> StoredSecret:
    secret = prepared(text)
    keyed = hash_secret(secret, derive(secret_key, Purpose.CREDENTIALS))
    scram_salt = secrets.token_bytes(SALT_OCTETS)
    if strong:
        kept, scram = keyed, ScramKeys.of(secret, scram_salt)
    else:
        kept = slow_hash(keyed, secrets.token_bytes(SALT_OCTETS))
        scram = ScramKeys.of(secret, scram_salt, SLOW_ITERATIONS)
    sealing = derive(secret_key, Purpose.SEALED_SECRETS)
    # CRAM-MD5 is older than SASLprep: what clients compute it from is what they were given.
    readable = seal(text.encode(), sealing, secrets.token_bytes(NONCE_OCTETS)) if sealed else None
    return StoredSecret(kept, bytes(scram), readable)
