"""From names the envelope sender, under the name that the client gave (RULES M08, M09)."""

from policy.core.draft import Draft
from policy.core.facts import Facts
from posthouse.mail.address import InvalidAddress
from posthouse.mail.header_text import encode_text
from posthouse.mail.mailbox import mailboxes
from posthouse.mail.mailbox_text import mailbox_text, phrase_as_written
from posthouse.mail.message import Field, Header, HeaderInjection, HeaderTooLong, field
from posthouse.mail.subject_text import text_of_octets


def rewrite_from_envelope(draft: Draft, facts: Facts) -> Draft:
    """Put MAIL FROM in place of the address in From; the display name stays as it is written.

    One in octets that are not UTF-8 is read as a Subject is (C11).
    """
    del facts
    author, submission = draft.request.author, draft.request.submission
    value = _text(author, draft.request.header) if author else ""
    written = _author(value, submission.sender)
    if not submission.smtputf8:
        written = encode_text(written)
    return draft.edit_headers(lambda header: _with_author(header, written))


def _with_author(header: Header, written: Field) -> Header:
    """*header* with that From where the topmost one stood; admission lets no second one pass."""
    fields = header.fields
    at = next((i for i, old in enumerate(fields) if old.name == written.name), len(fields))
    return Header((*fields[:at], written, *fields[at + 1 :]))


def _text(author: Field, header: Header) -> str:
    if author.raw.isascii() and b"\x1b" not in author.raw:
        return author.value
    octets = author.raw.partition(b":")[2].replace(b"\r\n", b"").strip(b" \t")
    return text_of_octets(octets, header.first("Content-Type") or "")


def _author(value: str, sender: str) -> Field:
    """From with *sender*, and the display name of the first mailbox in *value*.

    Left out is a name that no field can hold (a word of more than 998 octets, a control character),
    and one that is the address which *sender* replaces.
    """
    try:
        first = mailboxes(value)[0]
        is_name = first.name.lower() != str(first.address).lower()
        return field("From", mailbox_text(phrase_as_written(first) if is_name else "", sender))
    except (InvalidAddress, HeaderInjection, HeaderTooLong):
        return field("From", sender)
