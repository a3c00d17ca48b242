"""Messages that reports do not tell apart: a set has counts of its own.

Subject, tags and author are chosen by clients, who may make up new ones for each message. So an
account may have only so many new sets a day. The nearer it is to that, the less is told apart:
first the subject and then its pattern are given up, at the end also tags and author. What the
operator makes (streams, domains, users) is told apart always.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable
from datetime import date
from typing import NamedTuple
from uuid import UUID

import msgspec

# A word with a digit, and an address: what differs between messages of one template. Looked for
# where words begin only, so that a long subject costs one pass.
_VARIABLE = re.compile(r"(?<!\S)[^\s0-9@]*+[0-9@]\S*")


class MessageSet(NamedTuple):
    """What its messages have in common; None where they are not told apart."""

    account_id: UUID
    month: date  # of the counts: its first day, in UTC
    stream: str
    domain: str  # of the sender
    credential_id: UUID | None
    lane: int | None
    tags: tuple[str, ...] | None  # in alphabetical order
    subject: str | None
    pattern: str | None  # of the subject
    author: str | None
    author_name: str | None

    @property
    def digest(self) -> bytes:
        """Of all but account and month: sets that share those and the digest are the same."""
        return hashlib.blake2b(msgspec.json.encode(self[2:]), digest_size=16).digest()

    def coarser(self, level: int) -> "MessageSet":
        """The set that it is counted with where less is told apart: from level to level less."""
        if level == 0:
            return self
        common, (tags, _, pattern, author, author_name) = self[:6], self[6:]
        if level == 1:
            return MessageSet(*common, tags, None, pattern, author, author_name)
        if level == 2:  # noqa: PLR2004 -- of the levels below
            return MessageSet(*common, tags, None, None, author, author_name)
        return MessageSet(*common, None, None, None, None, None)


def limits(most: int) -> tuple[int | None, ...]:
    """For each level of `MessageSet.coarser`, up to how many new sets a day are counted so.

    *most*: how many an account may have in all; None for any number, which the operator bounds.
    """
    return most // 2, most * 3 // 4, most, None


def told_apart(
    sets: Iterable[MessageSet],
    level: int,
    found: Collection[MessageSet],
    today: Counter[UUID],
    limit: int | None,
) -> tuple[dict[MessageSet, MessageSet], list[MessageSet]]:
    """As what those of *sets* are counted that are at that *level*, and those that are not.

    A set that is *found* is never too many. *today* counts the new sets of each account, also those
    that this makes.
    """
    counted_as: dict[MessageSet, MessageSet] = {}
    new: set[MessageSet] = set()
    left = []
    for each in sets:
        one = each.coarser(level)
        if one not in found and one not in new:
            if limit is not None and today[each.account_id] >= limit:
                left.append(each)
                continue
            new.add(one)
            today[each.account_id] += 1
        counted_as[each] = one
    return counted_as, left


def pattern_of(subject: str) -> str:
    """*subject* with "#" for each word that has a digit or is an address (U22, dynamic subject)."""
    return _VARIABLE.sub("#", subject)
