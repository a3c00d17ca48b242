"""Where keys come from: the one place that makes them."""

from typing import assert_never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from posthouse.mail.dkim_key import Algorithm, PrivateKey

_RSA_BITS = 2048  # RFC 8301 section 3.2: longer ones do not fit every resolver's answer


def generate(algorithm: Algorithm) -> bytes:
    """A new DKIM private key as PKCS#8 (DER), not encrypted: seal it before it is stored.

    RSA takes some 100 ms of CPU; call it from a thread where that matters.
    """
    key: PrivateKey
    match algorithm:
        case Algorithm.RSA:
            key = generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        case Algorithm.ED25519:
            key = Ed25519PrivateKey.generate()
        case _:
            assert_never(algorithm)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
