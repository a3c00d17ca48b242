"""What a body differs in from another one: octets in place of others, by their offset.

A body that is like another but for its links is stored as these, a tenth of it (decision 0049).
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

_LENGTH = struct.Struct("!I")
_PLACE = struct.Struct("!III")  # offset, octets that go away, octets that come
_MOST_COMMON = 500  # octets
_BEGINS = 1 << 31  # in the last: these follow what is common


BodyEdit: TypeAlias = tuple[int, int, bytes]
"""Start, end and octets: what stands in place of ``body[start:end]``."""


def edited(body: bytes, edits: Iterable[BodyEdit]) -> bytes:
    """*body* with all *edits*, which follow each other."""
    pieces: list[bytes] = []
    at = 0
    for start, end, octets in edits:
        pieces += (body[at:start], octets)
        at = end
    pieces.append(body[at:])
    return b"".join(pieces)


def packed(edits: Sequence[BodyEdit]) -> bytes:
    """*edits* as they are stored: what links of one message begin with is there once."""
    begin = _common(edits[0][2], edits[1][2]) if len(edits) > 1 else b""
    pieces = [_LENGTH.pack(len(begin)), begin]
    for start, end, octets in edits:
        if begin and octets.startswith(begin):
            rest = octets[len(begin) :]
            pieces += (_PLACE.pack(start, end - start, len(rest) | _BEGINS), rest)
        else:
            pieces += (_PLACE.pack(start, end - start, len(octets)), octets)
    return b"".join(pieces)


def _common(one: bytes, other: bytes) -> bytes:
    length = min(len(one), len(other), _MOST_COMMON)
    differing = int.from_bytes(one[:length]) ^ int.from_bytes(other[:length])
    return one[: length - (differing.bit_length() + 7) // 8]


def with_packed(body: bytes, stored: bytes | None) -> bytes:
    """*body* with the edits that were *stored*; itself where there are none.

    Raises ValueError for what `packed` did not make for a body like that.
    """
    if stored is None:
        return body
    try:
        return edited(body, list(_unpacked(stored, len(body))))
    except struct.error as error:
        raise ValueError("edits are cut") from error


def _unpacked(stored: bytes, size: int) -> Iterator[BodyEdit]:
    (length,) = _LENGTH.unpack_from(stored)
    place, at = _LENGTH.size + length, 0
    begin = stored[_LENGTH.size : place]
    while place < len(stored):
        start, gone, length = _PLACE.unpack_from(stored, place)
        first, place = place + _PLACE.size, place + _PLACE.size + (length & ~_BEGINS)
        if not at <= start <= start + gone <= size or place > len(stored):
            raise ValueError("edits lie outside of the body")
        octets = stored[first:place]
        yield start, start + gone, begin + octets if length & _BEGINS else octets
        at = start + gone
