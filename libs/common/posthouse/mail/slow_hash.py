"""Secrets that can be guessed are kept by scrypt, so that each guess costs (RFC 7914).

What is hashed is the keyed hash of the secret: who has the database alone cannot even begin.
"""

import hmac
from hashlib import scrypt

SALT_OCTETS = 16

# OWASP's Password Storage Cheat Sheet, as good as its others: 16 MiB for a moment.
_LOG_N, _R, _P = 14, 8, 5
_KEY_OCTETS = 32
_OCTETS = 3 + SALT_OCTETS + _KEY_OCTETS
_MOST_MEMORY = 64 << 20  # of parameters that a later version stored


def slow_hash(keyed: bytes, salt: bytes) -> bytes:
    """What is stored of a secret whose `hash_secret` is *keyed*; *salt*: 16 octets drawn for it.

    Parameters, salt and key. It takes tenths of a second.
    """
    return _made(keyed, bytes((_LOG_N, _R, _P)) + salt)


def is_slow(stored: bytes) -> bool:
    """Whether `slow_hash` made it; `hash_secret` makes another length."""
    return len(stored) == _OCTETS


def slow_matches(keyed: bytes, stored: bytes) -> bool:
    """Whether *stored* was made of *keyed*; as slow as making it."""
    return hmac.compare_digest(_made(keyed, stored[:-_KEY_OCTETS]), stored)


def _made(keyed: bytes, head: bytes) -> bytes:
    log_n, r, p = head[:3]
    key = scrypt(
        keyed, salt=head[3:], n=1 << log_n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=_KEY_OCTETS
    )
    return head + key
