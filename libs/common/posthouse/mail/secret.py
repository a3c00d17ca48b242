"""What is done with secrets: keys derived, credentials hashed, private keys sealed.

Chance is an argument here; the caller that creates a secret or a nonce draws it.
"""

import hmac
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_OCTETS = 32
HASH_OCTETS = 32  # of `hash_secret`
NONCE_OCTETS = 12


class UnsealError(ValueError):
    """The key does not fit: it is not the one this was sealed with, or the data is damaged."""


class Purpose(StrEnum):
    """What keys are derived for; a changed value makes everything under the old key unusable."""

    CHECK = "check"  # kept in the database, to notice another secret key
    CREDENTIALS = "credentials"  # pepper of `hash_secret`
    SEALED_SECRETS = "sealed-secrets"  # `seal` and `unseal`
    DKIM_KEYS = "dkim-keys"  # `seal` and `unseal`
    RETURN_PATHS = "return-paths"  # `posthouse.mail.return_path`
    SIGNED_IDS = "signed-ids"  # `posthouse.mail.signed_id`
    TOKENS = "tokens"  # `posthouse.tracking.token`, with the key's number behind it
    TRACKING_PROOF = "tracking-proof"  # `tracking.core.host_proof`
    WEBHOOK_SECRETS = "webhook-secrets"  # `seal` and `unseal`


def derive(master: bytes, purpose: str) -> bytes:
    """The 32-octet key for one *purpose*, by HKDF-SHA256 (RFC 5869) from the installation's own.

    Keys of different purposes tell nothing about each other or about *master*.
    """
    return HKDF(SHA256(), KEY_OCTETS, salt=None, info=b"posthouse/" + purpose.encode()).derive(
        master
    )


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """What is kept of a secret: what its mechanisms of AUTH need, and no more (RULES X03)."""

    hash: bytes  # `hash_secret`, or `slow_hash` if it could be guessed: PLAIN, LOGIN
    scram: bytes | None = None  # `posthouse.mail.scram.ScramKeys`: SCRAM-SHA-256
    sealed: bytes | None = None  # CRAM-MD5 and AWS, which have to know the secret itself


def hash_secret(secret: str, pepper: bytes) -> bytes:
    """What is stored of a machine-made secret: 32 octets of BLAKE2b keyed with *pepper*.

    Enough for secrets of 256 random bits, and far too quick for a password people choose.
    """
    return blake2b(
        secret.encode("utf-8", "surrogatepass"),
        key=pepper,
        digest_size=HASH_OCTETS,
        person=b"credential",
    ).digest()


def secret_matches(secret: str, secret_hash: bytes, pepper: bytes) -> bool:
    """Whether *secret* is the one that was hashed; takes the same time either way."""
    return hmac.compare_digest(hash_secret(secret, pepper), secret_hash)


def seal(plain: bytes, key: bytes, nonce: bytes) -> bytes:
    """*plain* encrypted and authenticated by AES-256-GCM; *nonce* is 12 octets never used before.

    The nonce travels with the result.
    """
    if len(nonce) != NONCE_OCTETS:
        raise ValueError(f"a nonce has {NONCE_OCTETS} octets, not {len(nonce)}")
    return nonce + AESGCM(key).encrypt(nonce, plain, None)


def unseal(sealed: bytes, key: bytes) -> bytes:
    """What was sealed under *key*. Raises UnsealError when the key does not fit."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_OCTETS], sealed[NONCE_OCTETS:], None)
    except (InvalidTag, ValueError) as error:
        raise UnsealError(
            "the key does not fit: POSTHOUSE_SECRET_KEY is not the one this was sealed with, "
            "or the stored data is damaged"
        ) from error
