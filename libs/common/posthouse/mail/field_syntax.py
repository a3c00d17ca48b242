"""Whether structured fields can be read as RFC 5322 writes them (RULES C10)."""

from collections.abc import Callable, Mapping

from posthouse.mail.address import InvalidAddress
from posthouse.mail.date_field import is_date
from posthouse.mail.mailbox import address_list, mailboxes
from posthouse.mail.message import Field
from posthouse.mail.message_id import is_message_id

_SHOWN = 80  # characters of a value that are quoted back


def problem(field: Field) -> str | None:
    """Why *field* cannot be read, "the Date field: ..."; None if it can, or has free text.

    Letters beyond ASCII are no problem here: where they may stand depends on SMTPUTF8.
    """
    read = _READERS.get(field.name)
    why = read(field.value) if read else None
    return why and f"the {field.raw.partition(b':')[0].decode().rstrip()} field: {why}"


def _one_or_more(value: str) -> str | None:
    try:
        mailboxes(value)
    except InvalidAddress as error:
        return str(error)
    return None


def _one(value: str) -> str | None:
    try:
        found = len(mailboxes(value))
    except InvalidAddress as error:
        return str(error)
    return None if found == 1 else f"{found} mailboxes, one is allowed"


def _some(value: str) -> str | None:
    """Of To and Cc: a list, which may be a group with nobody in it, but not empty."""
    try:
        found = address_list(value)
    except InvalidAddress as error:
        return str(error)
    return None if found or ":" in value else "it is empty"


def _any(value: str) -> str | None:
    return None if not value.strip() else _some(value)


def _date(value: str) -> str | None:
    return None if is_date(value) else f"{_shown(value)} is not a date and time"


def _message_id(value: str) -> str | None:
    good = is_message_id(value, utf8=True)
    return None if good else f"{_shown(value)} is not an identifier, as in <local@domain>"


def _shown(value: str) -> str:
    return ascii(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")


_READERS: Mapping[bytes, Callable[[str], str | None]] = {
    b"from": _one_or_more,
    b"sender": _one,
    b"reply-to": _some,
    b"to": _some,
    b"cc": _some,
    b"bcc": _any,
    b"resent-from": _one_or_more,
    b"resent-sender": _one,
    b"resent-to": _some,
    b"resent-cc": _some,
    b"resent-bcc": _any,
    b"date": _date,
    b"resent-date": _date,
    b"message-id": _message_id,
    b"resent-message-id": _message_id,
}
