"""The signed envelope sender: a bounce finds its delivery, and no one else can make one up.

``b+<48 base32 digits>@host`` carries delivery id, day and a keyed hash over both. It is the only
thing by which returned mail is recognised; text inside a DSN never is (FAULTS 3.3).
"""

import hmac
from base64 import b32decode
from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import blake2b
from itertools import product
from uuid import UUID

_PREFIX = "b+"  # greylisting strips "+detail": each retry and message looks like one sender
_EPOCH = date(2020, 1, 1)
_VALID = timedelta(days=14)
# 16 octets of id, 2 of day, 12 of hash: 30 octets are 48 digits exactly, without padding or
# spare bits, so each token has one spelling but for case.
_LENGTH = len(_PREFIX) + 48
_SIGNED = 18
_HASH = 12
# Two digits at a time, in lower case: base64.b32encode takes twice as long, for every recipient.
_PAIRS = tuple(map("".join, product("abcdefghijklmnopqrstuvwxyz234567", repeat=2)))
_SHIFTS = tuple(range(230, -1, -10))


class InvalidReturnPath(ValueError):
    """The local part is no return path of ours, or not any more."""


class ExpiredReturnPath(InvalidReturnPath):
    """It is one of ours, from more than 14 days ago."""


def sign(delivery_id: UUID, host: str, key: bytes, today: date) -> str:
    """The return path of a delivery, at *host*; valid for 14 days from *today* (UTC)."""
    signed = delivery_id.bytes + (today - _EPOCH).days.to_bytes(2, "big")
    number = int.from_bytes(signed + _hash(signed, key), "big")
    token = "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
    return f"{_PREFIX}{token}@{host}"


def is_like_ours(local_part: str) -> bool:
    """Whether *local_part* has the form of a return path; only `verify` says whether it is one."""
    return local_part[: len(_PREFIX)].lower() == _PREFIX and len(local_part) == _LENGTH


def verify(local_part: str, keys: Sequence[bytes], today: date) -> UUID:
    """The delivery that *local_part* was signed for, under any of *keys* (the newest first).

    Case does not matter: some servers fold it. A day to come is as good as one gone: only we can
    have signed it, while a clock of ours was ahead. Raises InvalidReturnPath, or
    ExpiredReturnPath.
    """
    token = local_part[len(_PREFIX) :].upper()
    if not is_like_ours(local_part):
        raise InvalidReturnPath("not a return path of this relay")
    try:
        data = b32decode(token)
    except ValueError as error:
        raise InvalidReturnPath("not a return path of this relay") from error
    signed, digest = data[:_SIGNED], data[_SIGNED:]
    if not any(hmac.compare_digest(digest, _hash(signed, key)) for key in keys):
        raise InvalidReturnPath("the signature does not fit")

    age = today - (_EPOCH + timedelta(days=int.from_bytes(signed[16:], "big")))
    if abs(age) > _VALID:
        raise ExpiredReturnPath(f"signed {age.days} days ago, valid for {_VALID.days}")
    return UUID(bytes=signed[:16])


def _hash(signed: bytes, key: bytes) -> bytes:
    return blake2b(signed, key=key, digest_size=_HASH, person=b"return path").digest()
