"""Signatures of webhooks, as Standard Webhooks says (specification 1.0.0)."""

import hmac
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable

PREFIX = "whsec_"
SECRET_OCTETS = 32
_FEWEST_OCTETS, _MOST_OCTETS = 24, 64  # that the specification allows


class UnusableWebhookSecret(ValueError):
    """The text says what is allowed, and not what was seen."""


def secret_text(secret: bytes) -> str:
    """*secret* as receivers are given it."""
    return PREFIX + b64encode(secret).decode()


def secret_in(text: str) -> bytes:
    """The opposite. Raises UnusableWebhookSecret."""
    try:
        secret = b64decode(text.removeprefix(PREFIX), validate=True)
    except (Error, ValueError):
        secret = b""
    if not _FEWEST_OCTETS <= len(secret) <= _MOST_OCTETS:
        raise UnusableWebhookSecret(
            f"a secret is {_FEWEST_OCTETS} to {_MOST_OCTETS} octets in base64, "
            f"with or without {PREFIX!r} before it"
        )
    return secret


def signature_fields(
    id_: str, seconds: int, body: bytes, secrets: Iterable[bytes]
) -> dict[str, str]:
    """The header fields of a request; with several *secrets*, each of which would do.

    *id_* is the same for each retry, *seconds* since 1970 are those of this one: a receiver
    refuses what is more than some minutes old, so that nobody can send it once more.
    """
    signed = f"{id_}.{seconds}.".encode() + body
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(
            f"v1,{b64encode(hmac.digest(secret, signed, 'sha256')).decode()}" for secret in secrets
        ),
    }
