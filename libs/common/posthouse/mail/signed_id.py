"""The signed id in every message that leaves: a complaint about it can be believed, or not.

``X-Posthouse-Id`` carries account, submission, copy and day, and a keyed hash over them. It is
made once for each copy, not for each recipient, so that recipients of the same copy share its text
and its DKIM signature. It is valid for 90 days; the rows that it names may be gone by then, and it
still says whose message it was.
"""

import hmac
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import blake2b
from uuid import UUID

from posthouse.mail.message import Field

FIELD = "X-Posthouse-Id"

_NAME = FIELD.lower().encode()
_EPOCH = date(2020, 1, 1)
_VALID = timedelta(days=90)
_ID = 16  # octets
_COPY = 5
_DAY = 2
_HASH = 12
_SIGNED = 2 * _ID + _COPY + _DAY
# 51 octets are 68 letters exactly, without padding or spare bits: each token has one spelling.
_LETTERS = 68


class InvalidSignedId(ValueError):
    """It is no id of ours: never signed by us, or altered since."""


class ExpiredSignedId(InvalidSignedId):
    """It is an id of ours from more than 90 days ago."""


@dataclass(frozen=True, slots=True)
class SignedId:
    """The message that an id names."""

    account_id: UUID
    submission_id: UUID
    copy: bytes  # the last octets of the rendition's id, which are random

    def is_of(self, rendition_id: UUID) -> bool:
        """Whether it was signed for that rendition of its submission."""
        return rendition_id.bytes[-_COPY:] == self.copy


def sign(
    account_id: UUID, submission_id: UUID, rendition_id: UUID, key: bytes, today: date
) -> Field:
    """The field for a rendition; valid for 90 days from *today* (UTC)."""
    copy, day = rendition_id.bytes[-_COPY:], (today - _EPOCH).days.to_bytes(_DAY, "big")
    signed = account_id.bytes + submission_id.bytes + copy + day
    token = urlsafe_b64encode(signed + _hash(signed, key))
    return Field(_NAME, b"X-Posthouse-Id: %b\r\n" % token)


def verify(token: str, keys: Sequence[bytes], today: date) -> SignedId:
    """What *token*, the value of the field, was signed for under any of *keys*.

    A day to come is as good as one gone: only we can have signed it, while a clock of ours was
    ahead. Raises InvalidSignedId, or ExpiredSignedId.
    """
    if len(token) != _LETTERS:
        raise InvalidSignedId(f"an id has {_LETTERS} letters, not {len(token)}")
    try:
        data = b64decode(token, altchars=b"-_", validate=True)
    except ValueError as error:
        raise InvalidSignedId("an id has letters, digits, - and _ only") from error
    signed, digest = data[:_SIGNED], data[_SIGNED:]
    if not any(hmac.compare_digest(digest, _hash(signed, key)) for key in keys):
        raise InvalidSignedId("the signature does not fit")

    age = today - (_EPOCH + timedelta(days=int.from_bytes(signed[-_DAY:], "big")))
    if abs(age) > _VALID:
        raise ExpiredSignedId(f"signed {age.days} days ago, valid for {_VALID.days}")
    ids = signed[:_ID], signed[_ID : 2 * _ID]
    return SignedId(UUID(bytes=ids[0]), UUID(bytes=ids[1]), signed[2 * _ID : -_DAY])


def _hash(signed: bytes, key: bytes) -> bytes:
    return blake2b(signed, key=key, digest_size=_HASH, person=b"signed id").digest()
