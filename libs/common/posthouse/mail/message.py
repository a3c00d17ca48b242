"""A message as bytes: its header can be edited field by field, its body is never touched.

Fields that no step edited leave exactly as they came: foreign signatures survive, and no other
program's idea of a header is imposed on the sender's (RFC 5322 section 2.2).
"""

import re
from dataclasses import dataclass
from io import IncrementalNewlineDecoder
from typing import NamedTuple, Self

# A field: a name of printable ASCII without colon, a colon, and lines that continue it. Blanks
# before the colon and lines of nothing but blanks are obsolete but legal (RFC 5322 section 4).
# Possessive, so that a hostile header costs one pass; but no group is, which Python before 3.11.5
# gets wrong. None needs to be: what follows one never matches where it could give way.
_REST_OF_FIELD = rb"[ \t]*+:[^\r\n]*+\r\n(?:[ \t][^\r\n]*+\r\n)*"
_FIELD = rb"([!-9;-~]++)" + _REST_OF_FIELD
# Without that group, which nothing asks for, it takes a third of the time.
_HEADER = re.compile(rb"(?:[!-9;-~]++" + _REST_OF_FIELD + rb")*")
# One field, or one line that is none: whatever is there is kept.
_PIECE = re.compile(rb"(" + _FIELD + rb"|[^\n]*+\n|[^\n]++)")
_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_NAME = re.compile(r"[!-9;-~]+")
# Everything that any reader takes for the end of a line, or that cannot be written.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_WORDS = re.compile(rb"[ \t]*+[^ \t]++")

_OCTETS_AT_ONCE = 65_536

_FOLD_AT = 78  # RFC 5322 section 2.1.1: SHOULD
LINE_LIMIT = 998  # RFC 5322 section 2.1.1: MUST


class HeaderInjection(ValueError):
    """A name or value would end the header line it was given for."""


class HeaderTooLong(ValueError):
    """A value has no blank to fold at within 998 octets."""


def split(content: bytes) -> tuple[bytes, bytes]:
    """Header with the empty line that ends it, and body, of *content* with CRLF line ends.

    The first line that is neither a field nor the continuation of one begins the body, also when
    no empty line stands before it; the missing empty line is then supplied. So a header that came
    from here consists of fields only.
    """
    end = _HEADER.match(content).end()  # type: ignore[union-attr]  # the empty string matches
    if content.startswith(b"\r\n", end):
        return content[: end + 2], content[end + 2 :]
    return content[:end] + b"\r\n", content[end:]


def has_bare_line_end(content: bytes | bytearray) -> bool:
    """Whether *content* holds a CR or LF without the other, or a NUL (RFC 5321 section 2.3.8).

    Receivers disagree about where lines and messages end at such an octet (SMTP smuggling).
    """
    # The decoder of text files notes which kinds of line ends it sees: one pass in C, 7 us for
    # 10 KB, a third of what counting CRLF alone costs. Piece by piece, so as to copy no large
    # message; a CRLF cut in two is the decoder's business.
    ends = IncrementalNewlineDecoder(None, translate=False)
    for at in range(0, len(content), _OCTETS_AT_ONCE):
        ends.decode(content[at : at + _OCTETS_AT_ONCE].decode("latin-1"))
    ends.decode("", final=True)
    return ends.newlines not in (None, "\r\n") or b"\0" in content


class Field(NamedTuple):
    """A header field as it is in the message (a tuple: policy makes twenty per message)."""

    name: bytes  # in lower case; empty for a line that is no field
    raw: bytes  # all of it, with the CRLF that ends it

    @property
    def value(self) -> str:
        """The value after the colon, unfolded, without blanks around it.

        Octets that are not UTF-8 read as U+FFFD, so a value can be logged and stored.
        """
        unfolded = self.raw.partition(b":")[2].replace(b"\r\n", b"")
        return unfolded.decode("utf-8", "replace").strip(" \t")


def field(name: str, value: str) -> Field:
    """A field of our own making, folded at blanks (RFC 5322 section 2.2.3), UTF-8 if need be.

    Raises HeaderInjection for anything that could end the line early, HeaderTooLong for a value
    that cannot be folded.
    """
    if not _NAME.fullmatch(name):
        raise HeaderInjection(f"{name!r} is no name of a header field")
    if found := _CONTROL.search(value):
        raise HeaderInjection(f"the value for {name} holds the control character {found[0]!r}")
    return Field(name.lower().encode(), folded(f"{name}: {value.strip()}".encode()))


def folded(line: bytes) -> bytes:
    """*line*, a field, with CRLF line ends: broken before blanks so that it has 78 octets a line.

    Unfolding gives back every blank but those at the end. The first word stays beside the name, and
    no line consists of blanks only (RFC 5322 section 3.2.2). Raises HeaderTooLong if a line would
    still exceed 998 octets.
    """
    first, *words = _WORDS.findall(line[line.index(b":") + 1 :]) or [b" "]
    lines = [line[: line.index(b":") + 1] + first]
    for word in words:
        if len(lines[-1]) + len(word) > _FOLD_AT:
            lines.append(word)
        else:
            lines[-1] += word

    if max(map(len, lines)) > LINE_LIMIT:
        raise HeaderTooLong(f"a line of {line[:40]!r}... would exceed {LINE_LIMIT} octets")
    return b"\r\n".join(lines) + b"\r\n"


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a message; every edit gives a new one. Names are compared without case."""

    fields: tuple[Field, ...]

    @classmethod
    def parse(cls, header: bytes) -> Self:
        """Read *header*; ``bytes()`` of the result is *header* again, whatever it holds.

        (The one exception: a missing empty line at the end is supplied.) Lines that are no field
        are kept under the empty name.
        """
        # Only the last CRLF is the empty line; one further up is a line that is no field.
        ends = header.endswith(b"\r\n\r\n") or header == b"\r\n"
        block = header[:-2] if ends else header
        return cls(tuple([Field(name.lower(), raw) for raw, name in _PIECE.findall(block)]))

    @classmethod
    def read(cls, content: bytes) -> tuple[Self, int]:
        """The header at the front of *content*, as `split` finds it, and where its last field ends.

        Faster than `split` and `parse`, because what `split` found needs no second look.
        """
        end = _HEADER.match(content).end()  # type: ignore[union-attr]  # the empty string matches
        fields = _FIELD_END.split(content[:end])
        fields.pop()  # after the last line end there is nothing
        new = tuple.__new__  # half the time of Field(...), for each field of each message
        return cls(
            tuple(
                [
                    new(Field, (raw.partition(b":")[0].rstrip(b" \t").lower(), raw + b"\r\n"))
                    for raw in fields
                ]
            )
        ), end

    def __bytes__(self) -> bytes:
        return b"".join([raw for _, raw in self.fields]) + b"\r\n"

    def values(self, name: str) -> tuple[str, ...]:
        """The unfolded value of each field called *name*, from the top."""
        wanted = name.lower().encode()
        return tuple(field.value for field in self.fields if field.name == wanted)

    def first(self, name: str) -> str | None:
        """The unfolded value of the topmost field called *name*, None when there is none."""
        wanted = name.lower().encode()
        for field in self.fields:
            if field.name == wanted:
                return field.value
        return None

    def without(self, *names: str) -> "Header":
        """This header without any field called one of *names*."""
        unwanted = {name.lower().encode() for name in names}
        return Header(tuple(field for field in self.fields if field.name not in unwanted))

    def prepend(self, name: str, value: str) -> "Header":
        """This header with a new field at the top, where trace fields belong (RFC 5321 4.4)."""
        return Header((field(name, value), *self.fields))

    def append(self, name: str, value: str) -> "Header":
        """This header with a new field at the end."""
        return Header((*self.fields, field(name, value)))

    def replace(self, name: str, value: str) -> "Header":
        """This header with exactly one field called *name*, where the first one stood, or last."""
        new = field(name, value)
        at = next((i for i, old in enumerate(self.fields) if old.name == new.name), None)
        if at is None:
            return Header((*self.fields, new))
        rest = tuple(old for old in self.fields[at + 1 :] if old.name != new.name)
        return Header((*self.fields[:at], new, *rest))
