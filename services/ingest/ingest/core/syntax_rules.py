"""Whether a header can be read, and in one way (RFC 5322 section 3.6; RULES C10, C11, X11)."""

from dataclasses import dataclass

from ingest.core import refusals
from ingest.core.admission import Admission, Incoming
from ingest.core.refusals import Refusal
from posthouse.mail.field_syntax import problem
from posthouse.mail.repeated_fields import are_copies
from posthouse.mail.subject_text import repair_subject

_ADDRESSES = tuple(
    prefix + name
    for prefix in (b"", b"resent-")
    for name in (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc")
)


@dataclass(frozen=True, slots=True)
class RefuseRepeatedFields:
    """No field that a message may have once is there more often."""

    copies_count_once: bool  # policy removes them; only fields that differ are refused

    def __call__(self, message: Incoming, decided: Admission) -> Admission | Refusal:
        """As a rule."""
        for fields in message.head.repeated():
            name = fields[0].raw.partition(b":")[0].decode().rstrip()
            if not self.copies_count_once:
                return refusals.several_fields(name)
            # Who else gets the message is told to no recipient.
            if fields[0].name != b"bcc" and not are_copies(fields):
                return refusals.contradictory_fields(name)
        return decided


def refuse_unreadable(message: Incoming, decided: Admission) -> Admission | Refusal:
    """Every line of the header is a field, and every field of addresses can be read (C10)."""
    if message.head.stray_line is not None:
        return refusals.stray_line(message.head.stray_line)
    for name in _ADDRESSES:
        for field in message.head.fields(name):
            if why := problem(field):
                return refusals.malformed(why)
    return decided


@dataclass(frozen=True, slots=True)
class RequireValid:
    """The field is there, and can be read."""

    name: str
    key: bytes

    def __call__(self, message: Incoming, decided: Admission) -> Admission | Refusal:
        """As a rule."""
        fields = message.head.fields(self.key)
        if not fields:
            return refusals.no_field(self.name)
        why = problem(fields[0])
        return refusals.malformed(why) if why else decided


REQUIRE_DATE = RequireValid("Date", b"date")


def refuse_eight_bit(message: Incoming, decided: Admission) -> Admission | Refusal:
    """No field has octets above 127, unless the client asked for SMTPUTF8 (RFC 6532)."""
    if message.smtputf8 or message.head.octets.isascii():
        return decided
    wrong = next(field for field in message.head.header.fields if not field.raw.isascii())
    return refusals.eight_bit_field(wrong.raw.partition(b":")[0].decode().rstrip())


def refuse_wrong_subject(message: Incoming, decided: Admission) -> Admission | Refusal:
    """Subject is encoded as RFC 2047 says, where there is one."""
    for field in message.head.fields(b"subject"):
        if repair_subject(field) is not field:
            return refusals.wrong_subject()
    return decided
