"""Repairs: what a sound message has, and this one lacks or has wrong (RFC 6409 section 8).

What is replaced stays in the message under another name.
"""

from collections.abc import Callable
from functools import partial

from policy.core.draft import Copy, Draft, from_domains
from policy.core.facts import Facts, naming_domain
from policy.core.request import Request
from policy.core.trace_field import date_text
from posthouse.mail.date_field import is_date
from posthouse.mail.header_text import encode_text
from posthouse.mail.long_lines import fold_long_lines, reencode_long_lines
from posthouse.mail.message import Field, Header, field
from posthouse.mail.message_id import is_message_id
from posthouse.mail.repeated_fields import repeated, without_copies
from posthouse.mail.subject_text import repair_subject

_ORIGINAL = b"X-Original-"  # before the name of a field that was replaced
_is_utf8_message_id = partial(is_message_id, utf8=True)


def drop_copies(draft: Draft, facts: Facts) -> Draft:
    """Of copies of a field that a message may have once one stays (RFC 5322 section 3.6)."""
    del facts
    for copy in draft.copies:
        if repeated(copy.header):
            return draft.edit_headers(without_copies)
    return draft


def encode_subject(draft: Draft, facts: Facts) -> Draft:
    """A Subject in octets or charsets that readers would not understand is encoded again (C11).

    One in UTF-8 stays as it is if the client asked for SMTPUTF8.
    """
    del facts
    smtputf8 = draft.request.submission.smtputf8

    def edit(header: Header) -> Header:
        content_type = header.first("Content-Type") or ""
        fields = [
            repair_subject(f, content_type)
            if f.name == b"subject" and not (smtputf8 and _is_utf8(f.raw))
            else f
            for f in header.fields
        ]
        return Header(tuple(fields))

    return draft.edit_headers(edit)


def _is_utf8(octets: bytes) -> bool:
    try:
        return not octets.decode().isascii()
    except UnicodeDecodeError:
        return False


def encode_header_text(draft: Draft, facts: Facts) -> Draft:
    """Write 8-bit text as encoded words (RFC 2047), if the client did not ask for SMTPUTF8.

    No server needs an extension for such a header. Octets that are not UTF-8 stay as they came.
    """
    del facts
    submission = draft.request.submission
    if submission.smtputf8 or submission.header.isascii():
        return draft
    return draft.edit_headers(lambda h: Header(tuple([encode_text(f) for f in h.fields])))


def repair_date(draft: Draft, facts: Facts) -> Draft:
    """A message without a Date that can be read was written when we got it (section 8.2)."""
    del facts
    return draft.edit_headers(
        lambda header: _repaired(
            header, "Date", is_date, lambda: date_text(draft.request.received_at)
        )
    )


def repair_message_id(draft: Draft, facts: Facts) -> Draft:
    """A message without a valid Message-ID gets one under its sender's domain (section 8.3).

    It holds the submission's id, so that preparing it again gives the same one.
    """
    is_valid = _is_utf8_message_id if draft.request.submission.smtputf8 else is_message_id
    return draft.edit_headers(
        lambda header: _repaired(
            header, "Message-ID", is_valid, lambda: _message_id(header, draft.request, facts)
        )
    )


def _message_id(header: Header, request: Request, facts: Facts) -> str:
    domain = naming_domain(from_domains(header, request), facts)
    return f"<{request.submission.id}@{domain}>"


def _repaired(
    header: Header, name: str, is_valid: Callable[[str], bool], value: Callable[[], str]
) -> Header:
    """*header* with a valid field *name*."""
    key = name.lower().encode()
    for at, old in enumerate(header.fields):
        if old.name == key:
            return header if is_valid(old.value) else _replaced(header, at, field(name, value()))
    return Header((*header.fields, field(name, value())))


def _replaced(header: Header, at: int, new: Field) -> Header:
    """*header* with *new* for the field there, which comes behind it as an original, if any."""
    old = header.fields[at]
    fields = [*header.fields[:at], new]
    if old.value:
        name, value = new.raw.partition(b":")[0], old.raw.partition(b":")[2]
        fields.append(Field(_ORIGINAL.lower() + new.name, _ORIGINAL + name + b":" + value))
    return Header((*fields, *header.fields[at + 1 :]))


def reencode_lines(draft: Draft, facts: Facts) -> Draft:
    """Lines of over 998 octets are folded, and parts that have them written in another encoding."""
    del facts
    came = draft.request.submission.body
    copies: list[Copy] = []
    for copy in draft.copies:
        before = came if copy.body is None else copy.body
        header, after = reencode_long_lines(fold_long_lines(copy.header), before)
        body = copy.body if after is before else after
        copies.append(Copy(header, copy.recipients, body))
    return draft._replace(copies=tuple(copies))
