"""A message for one server, and the commands that hand it over."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dispatcher.core.content import flaw
from dispatcher.core.judge import Stage, unsendable
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.outcome import Bounced

# What needs no second look before it stands between "<" and ">": printable ASCII without blank,
# angle bracket and quote.
_HARMLESS = re.compile(r"[!#-;=?-~]+@[!#-;=?A-~]+")


class Unsendable(Exception):
    """This message must not or cannot be sent over this conversation; *outcome* says why."""

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.outcome: Bounced = unsendable(code, enhanced, text)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message for one server."""

    sender: str  # "" for the null reverse-path
    recipients: tuple[str, ...]  # at least one
    header: bytes  # with the empty line that ends it
    body: bytes

    @property
    def size(self) -> int:
        """Octets of the message, before dots are doubled."""
        return len(self.header) + len(self.body)


def commands(envelope: Envelope, extensions: Mapping[str, str]) -> list[tuple[Stage, str]]:
    """MAIL, RCPT for each recipient, DATA, for a server that offers *extensions*.

    Raises Unsendable for what must not leave, or is more than the server can take.
    """
    if problem := flaw(envelope.header, envelope.body):
        raise Unsendable(554, "5.6.0", f"the message was not sent: {problem}")
    sender = _path(envelope.sender) if envelope.sender else ""
    recipients = [_path(recipient) for recipient in envelope.recipients]
    addresses_are_ascii = sender.isascii() and all(map(str.isascii, recipients))
    parameters = _parameters(envelope, extensions, addresses_are_ascii=addresses_are_ascii)
    return [
        (Stage.MAIL, f"MAIL FROM:<{sender}>{parameters}\r\n"),
        *[(Stage.RCPT, f"RCPT TO:<{path}>\r\n") for path in recipients],
        (Stage.DATA, "DATA\r\n"),
    ]


def _path(address: str) -> str:
    """The address as it may stand in a command, with an A-label domain if that saves SMTPUTF8."""
    if _HARMLESS.fullmatch(address):
        return address
    try:
        parsed = Address.parse(address)
    except InvalidAddress as error:
        raise Unsendable(553, "5.1.3", f"the message was not sent: {error}") from error
    if parsed.local.isascii():
        return f"{parsed.local}@{parsed.ascii_domain}"
    return str(parsed)


def _parameters(
    envelope: Envelope, extensions: Mapping[str, str], *, addresses_are_ascii: bool
) -> str:
    """What follows the reverse-path in MAIL."""
    parameters = ""
    size = envelope.size
    if (limit := extensions.get("SIZE")) is not None:
        # RFC 1870 section 3: no number, or 0, is no fixed limit.
        if limit.isdigit() and 0 < int(limit) < size:
            raise Unsendable(552, "5.3.4", f"{size} octets, and the host takes {limit}")
        parameters += f" SIZE={size}"
    header_is_ascii = envelope.header.isascii()
    if not (header_is_ascii and envelope.body.isascii()):
        # RFC 6152 section 3: without the extension 8-bit content must not be sent.
        if "8BITMIME" not in extensions:
            raise Unsendable(554, "5.6.3", "8-bit content, and the host does not offer 8BITMIME")
        parameters += " BODY=8BITMIME"
    if not (header_is_ascii and addresses_are_ascii):
        if "SMTPUTF8" not in extensions:
            what, enhanced = ("header", "5.6.9") if addresses_are_ascii else ("address", "5.6.7")
            raise Unsendable(553, enhanced, f"UTF-8 {what}, and the host does not offer SMTPUTF8")
        parameters += " SMTPUTF8"
    return parameters
