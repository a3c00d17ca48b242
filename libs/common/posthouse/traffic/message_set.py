"""Messages that reports do not tell apart: a set has counts of its own.

Subject, tags and author are chosen by clients, who may make up new ones for each message. So an
account may have only so many new sets a day. The nearer it is to that, the less is told apart:
first the subject and then its pattern are given up, at the end also tags and author. What the
operator makes (streams, domains, users) is told apart always.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import NamedTuple
from uuid import UUID

# A word with a digit, and an address: what differs between messages of one template.
_VARIABLE = re.compile(r"[^\s]*[0-9][^\s]*|[^\s@]+@[^\s@]+")


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
        user = None if self.credential_id is None else self.credential_id.hex
        told = json.dumps((self.stream, self.domain, user, *self[5:]))
        return hashlib.blake2b(told.encode(), digest_size=16).digest()

    def coarser(self) -> tuple["MessageSet", "MessageSet", "MessageSet"]:
        """Sets that tell less and less apart."""
        without_subject = self._replace(subject=None)
        without_pattern = without_subject._replace(pattern=None)
        return (
            without_subject,
            without_pattern,
            without_pattern._replace(tags=None, author=None, author_name=None),
        )


def told_apart(
    missing: Iterable[MessageSet],
    there: Collection[MessageSet],
    today: Mapping[UUID, int],
    most: int,
) -> dict[MessageSet, MessageSet]:
    """As which set each of those *missing* is counted: itself, or a coarser one.

    Those that are *there* are never too many. *today*: how many new ones each account has already,
    of *most* that it may have.
    """
    found = set(there)
    new = Counter(today)
    limits = most // 2, most * 3 // 4, most, None
    counted_as = {}
    for each in missing:
        counted_as[each] = next(
            one
            for one, limit in zip((each, *each.coarser()), limits, strict=True)
            if one in found or limit is None or new[each.account_id] < limit
        )
        if counted_as[each] not in found:
            found.add(counted_as[each])
            new[each.account_id] += 1
    return counted_as


def pattern_of(subject: str) -> str:
    """*subject* with "#" for each word that has a digit or is an address (U22, dynamic subject)."""
    return _VARIABLE.sub("#", subject)
