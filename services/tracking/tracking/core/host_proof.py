"""How a host is known to lead to this installation: it answers for its secret key.

A probe sends a nonce, and what answers returns a hash of it under a key that only this
installation has.
"""

import hmac
import re
from hashlib import blake2b

PROOF_PATH = "/.well-known/posthouse-tracking"
_OCTETS = 32
_NONCE = re.compile(r"[A-Za-z0-9_-]{22,64}")


def is_nonce(text: str) -> bool:
    """Whether *text* may be answered."""
    return _NONCE.fullmatch(text) is not None


def proof(nonce: str, key: bytes) -> str:
    """The answer to *nonce*, in hexadecimal."""
    return blake2b(nonce.encode(), key=key, digest_size=_OCTETS, person=b"host").hexdigest()


def is_proof(answer: bytes, nonce: str, key: bytes) -> bool:
    """Whether *answer* is the one that this installation gives to *nonce*."""
    return hmac.compare_digest(answer, proof(nonce, key).encode())
