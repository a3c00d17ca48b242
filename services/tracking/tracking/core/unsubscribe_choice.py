"""What a POST to the page to unsubscribe asks for."""

from collections.abc import Iterator
from email import message_from_bytes
from enum import Enum, auto
from urllib.parse import parse_qsl

_MOST_FIELDS = 20


class UnsubscribeChoice(Enum):
    """What is asked for."""

    ONE_CLICK = auto()  # a button of a mail program, for which a program asks (RFC 8058)
    LEAVE = auto()
    LEAVE_EVERYTHING = auto()
    RETURN = auto()


def choice_in(media_type: str, body: bytes) -> UnsubscribeChoice | None:
    """What *body* of that Content-Type asks for; None if it is nothing that the page offers.

    RFC 8058 section 3.2 lets programs send both kinds of forms. It never raises.
    """
    fields = {name.lower(): value.strip().lower() for name, value in _fields(media_type, body)}
    if fields.get("list-unsubscribe") == "one-click":
        return UnsubscribeChoice.ONE_CLICK
    match fields.get("action"):
        case "unsubscribe":
            everything = fields.get("everything") == "yes"
            return UnsubscribeChoice.LEAVE_EVERYTHING if everything else UnsubscribeChoice.LEAVE
        case "resubscribe":
            return UnsubscribeChoice.RETURN
        case _:
            return None


def _fields(media_type: str, body: bytes) -> Iterator[tuple[str, str]]:
    if media_type.partition(";")[0].strip().lower() == "multipart/form-data":
        head = f"Content-Type: {media_type}\r\n\r\n".encode("latin-1", "replace")
        for part in message_from_bytes(head + body).walk():
            name = part.get_param("name", header="content-disposition")
            value = part.get_payload(decode=True)  # octets: a charset may be any nonsense
            if isinstance(name, str) and isinstance(value, bytes):
                yield name, value.decode("utf-8", "replace")
        return
    text = body.decode("utf-8", "replace")
    try:
        yield from parse_qsl(text, max_num_fields=_MOST_FIELDS)
    except ValueError:  # too many fields
        return
