"""Composes messages of our own: header fields and MIME parts as octets with CRLF line ends."""

import quopri
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from posthouse.mail.message import Field, Header, field, has_bare_line_end

_LINE_LIMIT = 998  # octets without CRLF (RFC 5322 section 2.1.1)
_MOST_PLAIN = 900  # of them, those of a value beside its name
_LINE_END = re.compile(rb"\r\n|\r|\n")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")


@dataclass(frozen=True, slots=True)
class Entity:
    """One part of a multipart message (RFC 2046)."""

    content_type: str
    body: bytes  # CRLF line ends
    description: str
    encoding: str = "7bit"


def message(
    fields: Iterable[tuple[str, str]], kind: str, parts: Sequence[Entity], id_: UUID
) -> tuple[bytes, bytes]:
    """Header and body of a multipart message; the boundary contains *id_*, as no part can."""
    boundary = f"=_{id_.hex}"
    header = Header(
        (
            *(field(name, value) for name, value in fields),
            field("MIME-Version", "1.0"),
            field("Content-Type", f'multipart/{kind}; boundary="{boundary}"'),
        )
    )
    pieces: list[bytes] = []
    for part in parts:
        pieces += (f"--{boundary}\r\n".encode(), _part_header(part), part.body, b"\r\n")
    return bytes(header), b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _part_header(part: Entity) -> bytes:
    return bytes(
        Header(
            (
                field("Content-Type", part.content_type),
                field("Content-Transfer-Encoding", part.encoding),
                field("Content-Description", part.description),
            )
        )
    )


def words(lines: Iterable[str]) -> Entity:
    """A part for people to read."""
    text = "".join(f"{line}\r\n" for line in lines).encode()
    return Entity("text/plain; charset=utf-8", *_seven_bit(text, "What happened"))


def headers_only(header: bytes) -> Entity:
    """The header of a message that is not returned whole (RFC 6522 section 4)."""
    return Entity("text/rfc822-headers", *_seven_bit(header, "Header of the message"))


def whole_message(content: bytes) -> Entity:
    """A message within ours (RFC 2046 section 5.2.1), which no encoding may hide.

    What came from strangers may have lines that must not be sent: those too long are cut, other
    line ends become CRLF, and NUL goes.
    """
    sendable = _sendable(content)
    encoding = "7bit" if sendable.isascii() else "8bit"
    return Entity("message/rfc822", sendable, "The message", encoding)


def status_fields(groups: Iterable[Iterable[tuple[str, str]]]) -> Entity:
    """The part that programs read: groups of fields, divided by empty lines (RFC 3464)."""
    blocks = (b"".join(_status(name, value).raw for name, value in group) for group in groups)
    return Entity("message/delivery-status", b"\r\n".join(blocks), "Delivery report")


def _status(name: str, value: str) -> Field:
    # What is printable ASCII stays as it is: a sender compares it with what it gave.
    is_plain = value.isascii() and value.isprintable() and len(value) <= _MOST_PLAIN
    return field(name, value if is_plain else plain(value))


def plain(text: str) -> str:
    """*text* on one line of printable ASCII that can be folded; what is neither, by its number."""
    shown = "".join(
        c if " " <= c <= "~" else " " if c.isspace() else f"\\x{{{ord(c):X}}}" for c in text
    )
    return " ".join(word[:_MOST_PLAIN] for word in shown.split())


def reply_fields(message_id: str | None) -> list[tuple[str, str]]:
    """The fields that make mail programs show an answer below the message (RFC 5322 3.6.4)."""
    if message_id is None or not _MESSAGE_ID.fullmatch(message_id):
        return []
    return [("In-Reply-To", message_id), ("References", message_id)]


def _seven_bit(text: bytes, description: str) -> tuple[bytes, str, str]:
    """*text* as a body, its description and its transfer encoding."""
    if text.isascii() and not _has_unsendable_line(text):
        return text, description, "7bit"
    encoded = quopri.encodestring(text.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return encoded, description, "quoted-printable"


def _has_unsendable_line(text: bytes) -> bool:
    return has_bare_line_end(text) or any(len(line) > _LINE_LIMIT for line in text.split(b"\r\n"))


def _sendable(content: bytes) -> bytes:
    if not _has_unsendable_line(content):
        return content
    return b"\r\n".join(
        line[at : at + _LINE_LIMIT]
        for line in _LINE_END.split(content.replace(b"\0", b""))
        for at in range(0, max(len(line), 1), _LINE_LIMIT)
    )
