"""The envelope of a message that was given as it is: as told beside it, or else by its header."""

from collections.abc import Sequence
from typing import NamedTuple

from ingest.core.message_head import front_of, refusal_of
from ingest.core.new_message import WrongValue
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.mailbox import address_list, mailboxes
from posthouse.mail.message import Header

SENDER, RECIPIENTS = "Posthouse-Sender", "Posthouse-Recipients"

_RECIPIENTS = ("To", "Cc", "Bcc")
_RESENT = ("Resent-To", "Resent-Cc", "Resent-Bcc", "Resent-From")


class RawEnvelope(NamedTuple):
    """Sender and recipients."""

    sender: str  # "" for the null reverse-path
    recipients: tuple[str, ...]  # each once

    @property
    def needs_utf8(self) -> bool:
        """Whether it can only be written with SMTPUTF8."""
        return not all(one.isascii() for one in (self.sender, *self.recipients))


def raw_envelope(
    pieces: Sequence[bytes], limit: int, sender: str | None, recipients: str | None
) -> RawEnvelope:
    """The envelope of a message: *sender* and *recipients*, where they are told, win over fields.

    *limit*: the octets that its header may have. Raises WrongValue.
    """
    header = Header(())
    if sender is None or recipients is None:
        header = header_of(pieces, limit)
    return RawEnvelope(
        author_of(header, SENDER) if sender is None else _told_sender(sender),
        named_in(header, RECIPIENTS)
        if recipients is None
        else _each_once(RECIPIENTS, (recipients,), RECIPIENTS),
    )


def header_of(pieces: Sequence[bytes], limit: int) -> Header:
    """The header of a message; of one above *limit* octets, which is refused later, a part.

    Raises WrongValue for one that is not read.
    """
    front = front_of(pieces, limit)[0][:limit]
    if refusal := refusal_of(front):
        raise WrongValue("", refusal.reply.text)
    return Header.read(front)[0]


def _told_sender(text: str) -> str:
    text = text.strip()
    if text == "<>":
        return ""
    try:
        return Address.parse(text.removeprefix("<").removesuffix(">")).portable
    except InvalidAddress as error:
        raise WrongValue("", f"{SENDER}: {error}") from error


def author_of(header: Header, other: str) -> str:
    """The address in From; *other*: what may be given in its place. Raises WrongValue."""
    fields = header.values("From")
    if not fields:
        raise WrongValue("", f"there is no From, of which the sender is taken: add it, or {other}")
    try:
        return mailboxes(fields[0])[0].address.portable
    except InvalidAddress as error:
        raise WrongValue("", f"From: {error}") from error


def named_in(header: Header, other: str) -> tuple[str, ...]:
    """Those in To, Cc and Bcc, each once; *other*: what may name them. Raises WrongValue."""
    if any(header.first(name) is not None for name in _RESENT):
        raise WrongValue("", f"it was resent, so that To may be another's: add {other}")
    values = tuple(value for name in _RECIPIENTS for value in header.values(name))
    return _each_once("To, Cc and Bcc", values, other)


def _each_once(name: str, values: tuple[str, ...], other: str) -> tuple[str, ...]:
    try:
        found = [one.address.portable for value in values for one in address_list(value)]
    except InvalidAddress as error:
        raise WrongValue("", f"{name}: {error}") from error
    if not found:
        raise WrongValue("", f"{name} name no recipient: add one, or {other}")
    return tuple(dict.fromkeys(found))
