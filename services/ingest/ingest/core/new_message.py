"""A message as an application describes it, of which we make the octets."""

from dataclasses import dataclass

from ingest.core.message_options import NamedAddress


class WrongValue(ValueError):
    """A value that no message can be made of; the text says what was seen and what is allowed."""

    def __init__(self, pointer: str, text: str) -> None:
        """*pointer*: where it stands in what the application sent (RFC 6901)."""
        super().__init__(text)
        self.pointer = pointer


def escaped(name: str) -> str:
    """*name* as one token of a pointer."""
    return name.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message."""

    filename: str
    media_type: str  # and its parameters, as in Content-Type
    content: bytes
    content_id: str = ""  # without angle brackets; by which the HTML names it
    is_inline: bool = False  # it is to be shown with the text, else as a file
    description: str = ""


@dataclass(frozen=True, slots=True)
class Alternative:
    """The text once more in another type than text/plain and text/html, such as text/calendar."""

    media_type: str  # of text, without parameters
    text: str


@dataclass(frozen=True, slots=True)
class NewMessage:
    """What an application says of a message; it was checked when it was read."""

    author: NamedAddress
    to: tuple[NamedAddress, ...] = ()
    cc: tuple[NamedAddress, ...] = ()
    bcc: tuple[NamedAddress, ...] = ()
    reply_to: tuple[NamedAddress, ...] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    alternatives: tuple[Alternative, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def recipients(self) -> tuple[str, ...]:
        """Who gets it, each once."""
        everybody = (*self.to, *self.cc, *self.bcc)
        return tuple(dict.fromkeys(one.address.portable for one in everybody))

    @property
    def needs_utf8(self) -> bool:
        """Whether an address in it can only be written with SMTPUTF8 (RFC 6531)."""
        everybody = (self.author, *self.to, *self.cc, *self.bcc, *self.reply_to)
        return not all(one.address.local.isascii() for one in everybody)
