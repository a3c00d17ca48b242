"""The octets of a message that an application described (RFC 5322, RFC 2045 to 2047, RFC 2231).

Text is written in ASCII, in quoted-printable or base64, whichever is shortest; multiparts nest as
readers expect it: mixed (alternative (text, AMP, related (html, inline files), others), files).
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import NamedTuple
from urllib.parse import quote

from ingest.core.message_options import NamedAddress
from ingest.core.new_message import Attachment, NewMessage, WrongValue, escaped
from posthouse.mail.header_text import encode_unstructured, encoded_words, holds_text
from posthouse.mail.long_lines import has_long_line
from posthouse.mail.mailbox_text import mailbox_text, phrase_of
from posthouse.mail.message import HeaderInjection, HeaderTooLong, field, has_bare_line_end
from posthouse.mail.transfer_encoding import base64_lines, quoted_printable

_PLAIN_LINE = 78  # octets of a line of text that is left as it is
_AT_ONCE = 65_536  # octets of text that are encoded at one time
_PARAMETER_OCTETS = 50  # of a filename, or of a piece of one
_CONTROLS = bytes(set(range(32)) - set(b"\t\r\n")) + b"\x7f"
_ESCAPED = bytes(range(128, 256)) + _CONTROLS + b"="
_ATTR_CHAR = "!#$&+-.^_`|~"  # RFC 5987; quote() adds letters and digits
# At most that long, with no escape cut in two.
_EXTENDED_PIECE = re.compile(r"(?:%..|[^%]){1,16}")


class _Part(NamedTuple):
    """An entity: the lines of its header, and the pieces of its body, which end with a line end."""

    header: bytes
    body: Sequence[bytes]


class Making(NamedTuple):
    """What a message has beside its application's words."""

    message_id: str  # with angle brackets
    date: datetime
    token: str  # in boundaries: nobody can foresee it


def made(message: NewMessage, making: Making) -> bytes:
    """The message, with CRLF line ends; raises WrongValue for what no header can hold."""
    lines = [*_addresses(message), _unstructured("Subject", "/subject", message.subject)]
    given = {name.lower() for name, _ in message.headers}
    lines += [_other(name, value) for name, value in message.headers]
    lines.append(f"Date: {format_datetime(making.date)}\r\n".encode())
    if "message-id" not in given:
        lines.append(f"Message-ID: {making.message_id}\r\n".encode())
    lines.append(b"MIME-Version: 1.0\r\n")
    whole = _whole(message, making.token)
    return b"".join([*lines, whole.header, b"\r\n", *whole.body])


# The header.


def _addresses(message: NewMessage) -> list[bytes]:
    fields = (
        ("From", "/from", (message.author,)),
        ("To", "/to", message.to),
        ("Cc", "/cc", message.cc),
        ("Reply-To", "/reply_to", message.reply_to),
    )
    return [
        _field(name, pointer, ", ".join(map(_mailbox, people)))
        for name, pointer, people in fields
        if people
    ]


def _mailbox(one: NamedAddress) -> str:
    return mailbox_text(phrase_of(one.name), one.address.portable)


def _other(name: str, value: str) -> bytes:
    pointer = f"/headers/{escaped(name)}"
    if holds_text(name.lower().encode()):
        return _unstructured(name, pointer, value)
    if not value.isascii():  # ids, URIs
        raise WrongValue(pointer, f"{value[:80]!a} seen, {name} is in ASCII")
    return _field(name, pointer, value)


def _unstructured(name: str, pointer: str, value: str) -> bytes:
    try:
        field(name, value)  # before any of it is encoded
    except HeaderTooLong:  # a word that no line can hold, unless it is encoded
        value = encoded_words(value)
    except HeaderInjection as error:
        raise WrongValue(pointer, str(error)) from error
    return _field(name, pointer, encode_unstructured(value))


def _field(name: str, pointer: str, value: str) -> bytes:
    try:
        return field(name, value).raw
    except (HeaderInjection, HeaderTooLong) as error:
        raise WrongValue(pointer, str(error)) from error


# The parts.


def _whole(message: NewMessage, token: str) -> _Part:
    inline: list[_Part] = []
    files: list[_Part] = []
    for number, one in enumerate(message.attachments):
        within = one.is_inline and one.content_id and message.html is not None
        (inline if within else files).append(_file(one, f"/attachments/{number}"))
    texts = list(_texts(message, inline, token))
    body = texts[:1] if len(texts) < 2 else [_multipart("alternative", texts, token)]  # noqa: PLR2004 -- a choice
    return _multipart("mixed", [*body, *files], token) if files or not body else body[0]


def _texts(message: NewMessage, inline: Sequence[_Part], token: str) -> Iterator[_Part]:
    """The alternatives; of those that a reader knows it shows the last (RFC 2046 section 5.1.4)."""
    if message.text is not None:
        yield _text(message.text, "text/plain")
    # Readers without AMP that show the last one, whatever it is, have to find the HTML there.
    before = [one for one in message.alternatives if one.media_type.lower() == "text/x-amp-html"]
    yield from (_text(one.text, one.media_type) for one in before)
    if message.html is not None:
        html = _text(message.html, "text/html")
        yield _multipart("related", [html, *inline], token) if inline else html
    yield from (
        _text(one.text, one.media_type) for one in message.alternatives if one not in before
    )


def _multipart(kind: str, parts: Sequence[_Part], token: str) -> _Part:
    boundary = f"=_{kind}_{token}"  # "=_" is in no encoded text
    root = ' type="text/html";' if kind == "related" else ""  # RFC 2387
    header = f'Content-Type: multipart/{kind};{root}\r\n boundary="{boundary}"\r\n'
    delimiter = f"--{boundary}\r\n".encode()
    pieces: list[bytes] = []
    for part in parts:
        # The line end before a delimiter is no part of what comes before it (RFC 2046).
        pieces += (delimiter, part.header, b"\r\n", *part.body, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return _Part(header.encode(), pieces)


def _text(text: str, kind: str) -> _Part:
    # Not by a pattern, which holds up all others for long.
    lines = text.encode().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    octets = (lines if lines.endswith(b"\n") else lines + b"\n").replace(b"\n", b"\r\n")
    charset = "us-ascii" if octets.isascii() else "utf-8"
    encoding, body = _transferred(octets)
    header = f"Content-Type: {kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return _Part(header.encode(), body)


def _transferred(octets: bytes) -> tuple[str, Sequence[bytes]]:
    """How text is transferred, and it so: as it is, or else in the shorter encoding."""
    plain = octets.isascii() and len(octets.translate(None, _CONTROLS)) == len(octets)
    if plain and not has_long_line(octets, _PLAIN_LINE):
        return "7bit", (octets,)
    to_escape = len(octets) - len(octets.translate(None, _ESCAPED))  # each becomes three octets
    if to_escape > len(octets) // 6 or has_long_line(octets, _AT_ONCE):
        return "base64", (base64_lines(octets),)
    return "quoted-printable", tuple(map(quoted_printable, _whole_lines(octets)))


def _whole_lines(octets: bytes) -> Iterator[bytes]:
    """Pieces of whole lines that a thread is not long at."""
    start = 0
    while len(octets) - start > _AT_ONCE:
        end = octets.rfind(b"\r\n", start, start + _AT_ONCE + 2) + 2
        yield octets[start:end]
        start = end
    yield octets[start:]


def _file(one: Attachment, pointer: str) -> _Part:
    kind = "inline" if one.is_inline else "attachment"
    encoding, body = "base64", base64_lines(one.content)
    if one.media_type.lower().startswith("message/rfc822"):  # must not be encoded (RFC 2046)
        encoding, body = "7bit", _plain_message(one.content, pointer)
    lines = [
        _field("Content-Type", f"{pointer}/content_type", one.media_type),
        f"Content-Transfer-Encoding: {encoding}\r\n".encode(),
        _field(
            "Content-Disposition",
            f"{pointer}/filename",
            "; ".join((kind, *_filename(one.filename))),
        ),
    ]
    if one.description:
        about = _unstructured("Content-Description", f"{pointer}/description", one.description)
        lines.append(about)
    if one.content_id:
        lines.append(f"Content-ID: <{one.content_id}>\r\n".encode())
    return _Part(b"".join(lines), (body,))


def _plain_message(content: bytes, pointer: str) -> bytes:
    content = content if content.endswith(b"\r\n") else content + b"\r\n"
    if not content.isascii() or has_bare_line_end(content) or has_long_line(content):
        raise WrongValue(
            f"{pointer}/content",
            "a message/rfc822 is in ASCII, with lines of at most 998 octets that end in CRLF:"
            " send another as application/octet-stream",
        )
    return content


def _filename(name: str) -> Iterator[str]:
    """The parameters that say *name*; none for "" (RFC 2231)."""
    if name.isascii() and len(name) <= _PARAMETER_OCTETS:
        if name:
            yield 'filename="{}"'.format(name.replace("\\", "\\\\").replace('"', '\\"'))
        return
    pieces = _EXTENDED_PIECE.findall(quote(name, safe=_ATTR_CHAR))
    if len(pieces) == 1:
        yield f"filename*=utf-8''{pieces[0]}"
        return
    for number, piece in enumerate(pieces):
        charset = "utf-8''" if number == 0 else ""
        yield f"filename*{number}*={charset}{piece}"
