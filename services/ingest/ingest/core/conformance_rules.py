"""What a message must have and must not have (RULES X11)."""

from dataclasses import dataclass
from typing import Self

from ingest.core import refusals
from ingest.core.admission import Admission, Incoming
from ingest.core.refusals import Refusal
from posthouse.mail.encoded_words import decoded
from posthouse.mail.message_id import is_message_id

_MAX_HOPS = 50


def refuse_loop(message: Incoming, decided: Admission) -> Admission | Refusal:
    """A message that passed this many servers goes round in circles (RFC 5321 section 6.3)."""
    return refusals.LOOP if len(message.head.fields(b"received")) > _MAX_HOPS else decided


@dataclass(frozen=True, slots=True)
class NamedFields:
    """Header fields by name, as a knob spells them and as a header is asked for them."""

    names: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, names: tuple[str, ...]) -> Self:
        """The fields that a knob names."""
        return cls(tuple((name, name.lower().encode()) for name in names))


class RequireFields(NamedFields):
    """Each of the fields is there, and not empty as a reader sees it (C09, E11, E15)."""

    __slots__ = ()

    def __call__(self, message: Incoming, decided: Admission) -> Admission | Refusal:
        """As a rule."""
        for name, key in self.names:
            fields = message.head.fields(key)
            if not fields:
                return refusals.no_field(name)
            if not decoded(fields[0].value).strip():
                return refusals.empty_field(name)
        return decided


class RefuseFields(NamedFields):
    """None of the fields is there (E14, E20)."""

    __slots__ = ()

    def __call__(self, message: Incoming, decided: Admission) -> Admission | Refusal:
        """As a rule."""
        for name, key in self.names:
            if message.head.fields(key):
                return refusals.unwanted_field(name)
        return decided


def require_message_id(message: Incoming, decided: Admission) -> Admission | Refusal:
    """There is a Message-ID, and it is one (E11)."""
    fields = message.head.fields(b"message-id")
    if not fields:
        return refusals.no_field("Message-ID")
    value = fields[0].value
    return decided if is_message_id(value, utf8=True) else refusals.bad_message_id(value)
