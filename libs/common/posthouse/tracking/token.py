"""The signed token in a link or a pixel: which delivery it belongs to, and which link it is.

It holds no address, and nothing of a link's target: that is stored (`posthouse.tracking.link_set`),
so no token leads anywhere that a message of ours did not. It ends with a keyed hash, and has no
end of validity: what it names is found for as long as it is kept.
"""

import hmac
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import NamedTuple, TypeAlias
from uuid import UUID

from posthouse.mail.secret import Purpose, derive

MOST_LINKS = 1 << 16
"""Links of one set that tokens can number."""

KEY_NUMBERS = 16
"""Keys that tokens can name."""

LINK_SET_OCTETS = 10

_ID = 16  # octets of a delivery
_NUMBER = 2
_HASH = 10
_PERSON = b"token"
# 27 octets are 36 letters exactly and 39 are 52, without padding or spare bits: each token has one
# spelling.
SHORT_LETTERS = 36
"""Of the token of a pixel, or to unsubscribe by."""

CLICK_LETTERS = 52
"""Of the token of a link."""


_END = CLICK_LETTERS - SHORT_LETTERS  # letters of a link's number and the hash


class TokenKind(IntEnum):
    """What a token is for; no token is good for anything else."""

    OPEN = 1
    CLICK = 2
    UNSUBSCRIBE = 3


class TokenKey(NamedTuple):
    """A key under its number, which tokens name."""

    number: int  # below KEY_NUMBERS
    secret: bytes


@dataclass(frozen=True, slots=True)
class OpenToken:
    """A pixel: who asks for it has opened that copy."""

    delivery_id: UUID


@dataclass(frozen=True, slots=True)
class ClickToken:
    """A link, by its number in a set of targets."""

    delivery_id: UUID
    link_set: bytes  # `posthouse.tracking.link_set.LinkSet.id`
    number: int  # from 0


@dataclass(frozen=True, slots=True)
class UnsubscribeToken:
    """A request to send no more of this kind to the recipient of that delivery."""

    delivery_id: UUID


Token: TypeAlias = OpenToken | ClickToken | UnsubscribeToken


def token_keys(master: bytes, numbers: Sequence[int]) -> tuple[TokenKey, ...]:
    """The keys of those *numbers*, the first of which signs; from the installation's own key."""
    return tuple([TokenKey(n, derive(master, f"{Purpose.TOKENS}-{n}")) for n in numbers])


def sign(token: Token, key: TokenKey) -> str:
    """*token* in letters that may stand in a URL (base64url, RFC 4648 section 5)."""
    match token:
        case OpenToken(delivery_id):
            return _letters(TokenKind.OPEN, delivery_id.bytes, key)
        case ClickToken(delivery_id, link_set, number):
            named = delivery_id.bytes + link_set + number.to_bytes(_NUMBER, "big")
            return _letters(TokenKind.CLICK, named, key)
        case UnsubscribeToken(delivery_id):
            return _letters(TokenKind.UNSUBSCRIBE, delivery_id.bytes, key)


def sign_links(delivery_id: UUID, link_set: bytes, links: int, key: TokenKey) -> list[str]:
    """The tokens of all *links* of a set, as `sign` makes each, in a third of the time."""
    begin = bytes((TokenKind.CLICK << 4 | key.number,)) + delivery_id.bytes + link_set
    hashed = blake2b(begin, key=key.secret, digest_size=_HASH, person=_PERSON)
    ends: list[bytes] = []
    for number in range(links):
        end, digest = number.to_bytes(_NUMBER, "big"), hashed.copy()
        digest.update(end)
        ends += (end, digest.digest())
    # What they begin with is a multiple of three octets, and so is what they end with.
    letters = urlsafe_b64encode(begin).decode()
    rest = urlsafe_b64encode(b"".join(ends)).decode()
    return [letters + rest[at : at + _END] for at in range(0, len(rest), _END)]


def _letters(kind: TokenKind, named: bytes, key: TokenKey) -> str:
    signed = bytes((kind << 4 | key.number,)) + named
    return urlsafe_b64encode(signed + _hash(signed, key.secret)).decode()


def read(letters: str, keys: Sequence[TokenKey]) -> Token | None:
    """The token that was signed as *letters* under one of *keys*; None for anything else.

    It never raises, whatever is given.
    """
    if len(letters) not in (SHORT_LETTERS, CLICK_LETTERS) or not letters.isascii():
        return None
    if "+" in letters or "/" in letters:  # which b64decode takes for "-" and "_"
        return None
    try:
        data = b64decode(letters, altchars=b"-_", validate=True)
    except ValueError:
        return None
    if len(data) * 4 != len(letters) * 3:  # padding is no part of one
        return None
    signed, digest = data[:-_HASH], data[-_HASH:]
    secret = next((key.secret for key in keys if key.number == signed[0] & 15), None)
    if secret is None or not hmac.compare_digest(digest, _hash(signed, secret)):
        return None
    return _named(signed[0] >> 4, signed[1:])


def _named(kind: int, named: bytes) -> Token | None:
    delivery_id, rest = UUID(bytes=named[:_ID]), named[_ID:]
    if kind == TokenKind.CLICK and rest:
        number = int.from_bytes(rest[LINK_SET_OCTETS:], "big")
        return ClickToken(delivery_id, rest[:LINK_SET_OCTETS], number)
    if kind == TokenKind.OPEN and not rest:
        return OpenToken(delivery_id)
    if kind == TokenKind.UNSUBSCRIBE and not rest:
        return UnsubscribeToken(delivery_id)
    return None


def _hash(signed: bytes, secret: bytes) -> bytes:
    return blake2b(signed, key=secret, digest_size=_HASH, person=_PERSON).digest()
