"""One message for one server: its envelope, its commands and its octets."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from dispatcher.core.classify import unsendable
from dispatcher.core.second_look import Unconfirmed, unconfirmed
from posthouse.answers import Stage
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.message import has_bare_line_end
from posthouse.mail.outcome import Bounced
from posthouse.mail.scope import Scope

# What is written in one go; of more, this much at most is copied at a time.
PIECE = 256 * 1024

Octets: TypeAlias = bytes | memoryview

# Addresses that go between "<" and ">" without further checks: printable ASCII without blank,
# angle bracket and quote.
_HARMLESS = re.compile(r"[!#-;=?-~]+@[!#-;=?A-~]+")

_RECEIVED = re.compile(rb"^received:(?:[^\r\n]|\r\n[ \t])*", re.IGNORECASE | re.MULTILINE)
_WITH_UTF8SMTP = re.compile(rb"\swith\s+UTF8SMTP")


class Unsendable(Exception):
    """This message must not or cannot be sent over this conversation; *outcome* says why."""

    def __init__(self, outcome: Bounced | Unconfirmed) -> None:
        super().__init__(outcome.reply.text)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message for one server."""

    sender: str  # "" for the null reverse-path
    recipients: tuple[str, ...]  # at least one
    header: bytes  # with the empty line that ends it
    body: bytes
    is_sound: bool = False  # `flaw` was asked before, and has none
    dsn: DsnRequest | None = None  # only for a server that offers DSN

    @property
    def size(self) -> int:
        """Octets of the message, before dots are doubled."""
        return len(self.header) + len(self.body)


def commands(envelope: Envelope, extensions: Mapping[str, str]) -> list[tuple[Stage, str]]:
    """MAIL, RCPT for each recipient, DATA, for a server that offers *extensions*.

    Raises Unsendable if the message must not leave, or is more than the server can take; then its
    outcome has host scope.
    """
    if not envelope.is_sound and (problem := flaw(envelope.header, envelope.body)):
        raise Unsendable(unsendable(554, "5.6.0", problem))
    sender = _path(envelope.sender) if envelope.sender else ""
    dsn = envelope.dsn
    recipients = [
        f"<{_path(to)}>{dsn.of(to).parameters if dsn else ''}" for to in envelope.recipients
    ]
    addresses_are_ascii = sender.isascii() and all(map(str.isascii, recipients))
    parameters = _parameters(envelope, extensions, addresses_are_ascii=addresses_are_ascii)
    parameters += dsn.parameters if dsn else ""
    return [
        (Stage.MAIL, f"MAIL FROM:<{sender}>{parameters}\r\n"),
        *[(Stage.RCPT, f"RCPT TO:{recipient}\r\n") for recipient in recipients],
        (Stage.DATA, "DATA\r\n"),
    ]


def _path(address: str) -> str:
    """The address as written in a command, with an A-label domain if that avoids SMTPUTF8."""
    if _HARMLESS.fullmatch(address):
        return address
    try:
        parsed = Address.parse(address)
    except InvalidAddress as error:
        problem = f"the message was not sent: {error}"
        raise Unsendable(unsendable(553, "5.1.3", problem)) from error
    if parsed.local.isascii():
        return f"{parsed.local}@{parsed.ascii_domain}"
    return str(parsed)


def _parameters(
    envelope: Envelope, extensions: Mapping[str, str], *, addresses_are_ascii: bool
) -> str:
    """The parameters after the reverse-path in MAIL."""
    parameters = ""
    size = envelope.size
    if (limit := extensions.get("SIZE")) is not None:
        # RFC 1870 section 3: no number, or 0, is no fixed limit.
        if limit.isdigit() and 0 < int(limit) < size:
            raise _not_taken(552, "5.3.4", f"{size} octets, and the host takes {limit}")
        parameters += f" SIZE={size}"
    header_is_ascii = envelope.header.isascii()
    if not (header_is_ascii and envelope.body.isascii()):
        # RFC 6152 section 3: without the extension 8-bit content must not be sent.
        if "8BITMIME" not in extensions:
            raise _not_taken(554, "5.6.3", "8-bit content, and the host does not offer 8BITMIME")
        parameters += " BODY=8BITMIME"
    if not addresses_are_ascii or (not header_is_ascii and _is_internationalized(envelope.header)):
        if "SMTPUTF8" not in extensions:
            what, enhanced = ("header", "5.6.9") if addresses_are_ascii else ("address", "5.6.7")
            raise _not_taken(553, enhanced, f"UTF-8 {what}, and the host does not offer SMTPUTF8")
        parameters += " SMTPUTF8"
    return parameters


def _not_taken(code: int, enhanced: str, text: str) -> Unsendable:
    """Another host may take it, or this one later: an overloaded front forgets its extensions."""
    return Unsendable(unconfirmed(unsendable(code, enhanced, text), Scope.HOST))


def _is_internationalized(header: bytes) -> bool:
    """Whether the client asked for SMTPUTF8: our trace field, the topmost, says so (RFC 6531 4.3).

    Octets that are not UTF-8 must not be declared as such, whatever the client said.
    """
    received = _RECEIVED.search(header)
    if received is None or _WITH_UTF8SMTP.search(received[0]) is None:
        return False
    try:
        header.decode()
    except UnicodeDecodeError:
        return False
    return True


def flaw(header: bytes, body: bytes) -> str | None:
    """Why this message must not leave, or None.

    A bare CR, a bare LF or a NUL lets a receiver see another end of data than we do (SMTP
    smuggling), so each may only occur as CRLF or not at all (RFC 5321 section 2.3.8).
    """
    if has_bare_line_end(header) or has_bare_line_end(body):
        return "the message was not sent: it holds a bare CR or LF, or a NUL"
    if not header.endswith(b"\r\n"):
        return "the message was not sent: its header does not end with a line end"
    return None


def on_the_wire(header: bytes, body: bytes) -> Iterator[tuple[Octets, ...]]:
    """The data after 354, header, body and final dot (RFC 5321 section 4.5.2), in portions.

    *header* ends with a line end. A message of up to PIECE octets is one portion; nothing is
    copied but pieces in which a line begins with a dot.
    """
    end = b".\r\n" if body.endswith(b"\r\n") or not body else b"\r\n.\r\n"
    if len(body) <= PIECE:
        return iter(((_stuffed(header), _stuffed(body), end),))
    return _in_pieces(_stuffed(header), body, end)


def _in_pieces(header: bytes, body: bytes, end: bytes) -> Iterator[tuple[Octets, ...]]:
    yield (header,)
    for start in range(0, len(body), PIECE):
        yield (_piece(body, start),)
    yield (end,)


def _stuffed(part: bytes) -> bytes:
    # It begins at the start of a line. Searching backwards takes half the time.
    if part.rfind(b"\r\n.") >= 0:
        part = part.replace(b"\r\n.", b"\r\n..")
    return b"." + part if part.startswith(b".") else part


def _piece(body: bytes, start: int) -> Octets:
    """The piece of *body* from *start* on, stuffed, wherever lines were cut."""
    if not start:
        return _stuffed(body[:PIECE])
    end = start + PIECE
    line_end = start - 2  # a dot that begins the piece may begin a line
    if body.rfind(b"\r\n.", line_end, end) < 0:
        return memoryview(body)[start:end]
    return body[line_end:end].replace(b"\r\n.", b"\r\n..")[2:]
