"""Mailboxes as header fields show them: a display name and an address (RFC 5322 section 3.4)."""

import re

from posthouse.mail.header_text import encoded_words
from posthouse.mail.mailbox import Mailbox

# A display name that reads the same wherever it stands: no separator outside of quotes. Dots are
# obsolete there, and common (RFC 5322 section 4.1).
_SAFE = re.compile(r'(?:[^]()<>@,;:\\"[]|"(?:[^"\\]|\\.)*")*')
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")


def mailbox_text(phrase: str, address: str) -> str:
    """*address* behind a display name in the form that a field has it, "" for none."""
    return f"{phrase} <{address}>" if phrase else address


def phrase_as_written(mailbox: Mailbox) -> str:
    """The display name as its writer wrote it, with quotes and encoded words; "" for none.

    One that has to stand in quotes and does not, as in "Doe, Jo <jo@a.example>", gets them.
    """
    return mailbox.phrase if _SAFE.fullmatch(mailbox.phrase) else phrase_of(mailbox.name)


def phrase_of(name: str) -> str:
    """A plain name as a display name: as it is, in quotes, or in encoded words (RFC 2047)."""
    if not name.isascii() or "=?" in name:
        return encoded_words(name)
    if not name or _ATOMS.fullmatch(name):
        return name
    return '"{}"'.format(name.replace("\\", "\\\\").replace('"', '\\"'))
