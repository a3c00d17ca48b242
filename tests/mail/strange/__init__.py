"""Messages of kinds that broke some mail program at some time, all of our own making.

Each is legal enough to be accepted: one readable From, lines that end in CRLF, no NUL. What policy
does to one is known by its fields alone, so that a test can say what has to come out.
"""

from collections.abc import Iterator
from typing import NamedTuple

from mail.strange import bodies, fields, headers, structures


class Strange(NamedTuple):
    """A message, and what is strange about it."""

    name: str
    content: bytes


def messages() -> Iterator[Strange]:
    """Every kind once; names are unique."""
    for module in (headers, fields, bodies, structures):
        for name, content in module.kinds():
            yield Strange(f"{module.__name__.rpartition('.')[2]}: {name}", content)
