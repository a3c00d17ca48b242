"""What DNS says of a name."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class NoSuchName:
    """DNS is certain that the name does not exist (NXDOMAIN)."""


@dataclass(frozen=True, slots=True)
class NoRecords:
    """The name exists and has no record of the type asked for."""


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """DNS gave no answer to rely on: SERVFAIL, timeout, nonsense."""

    reason: str


NoAnswer: TypeAlias = NoSuchName | NoRecords | LookupFailed


@dataclass(frozen=True, slots=True)
class Found:
    """The records of a name, at least one, in the order of the answer."""

    values: tuple[str, ...]  # hosts in lower case without the last dot; the strings of TXT joined
    aliases: tuple[str, ...] = ()  # where CNAME records led, in order


DnsAnswer: TypeAlias = Found | NoAnswer


def values_of(answer: DnsAnswer) -> tuple[str, ...]:
    """The records that were found."""
    return answer.values if isinstance(answer, Found) else ()
