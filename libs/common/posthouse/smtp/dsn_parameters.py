"""Reads the parameters of DSN (RFC 3461 section 4, RFC 6533 section 3)."""

import re
from collections.abc import Mapping

from posthouse.mail.dsn_request import (
    DsnRequest,
    Notify,
    RecipientRequest,
    Return,
    international,
)
from posthouse.mail.reply import Reply
from posthouse.smtp import replies

# Characters of a value as it is sent (RFC 3461 sections 4.2 and 4.4).
_MOST_OF_ENVID = 100
_MOST_OF_ORCPT = 500

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_HEX = re.compile(r"\+([0-9A-F]{2})")
_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*/?^_`{|}~-]{1,60}")  # an atom, in a value
_UNITEXT = re.compile(r"(?:[!-*,-<>-\[\]-~\u0080-\U0010ffff]|\\x\{[0-9A-F]{2,6}\})+")
_EMBEDDED = re.compile(r"\\x\{([0-9A-F]+)\}")
_LAST_CHARACTER = 0x10FFFF


class _BadValue(ValueError):
    """A parameter has a value that it cannot have."""

    def __init__(self, name: str, value: str, allowed: str) -> None:
        super().__init__(allowed)
        self.name, self.value, self.allowed = name, value, allowed


def of_message(parameters: Mapping[str, str]) -> DsnRequest | Reply | None:
    """What those of MAIL ask for, None for nothing; a Reply says what is wrong with one."""
    if "RET" not in parameters and "ENVID" not in parameters:
        return None
    try:
        return DsnRequest(
            _returned(parameters["RET"]) if "RET" in parameters else None,
            _envelope_id(parameters["ENVID"]) if "ENVID" in parameters else "",
        )
    except _BadValue as error:
        return replies.bad_value("MAIL", error.name, error.value, error.allowed)


def of_recipient(parameters: Mapping[str, str], *, smtputf8: bool) -> RecipientRequest | Reply:
    """What those of RCPT ask for, as `of_message`; there is one, and there are no others."""
    try:
        return RecipientRequest(
            _notify(parameters["NOTIFY"]) if "NOTIFY" in parameters else None,
            _original(parameters["ORCPT"], smtputf8=smtputf8) if "ORCPT" in parameters else "",
        )
    except _BadValue as error:
        return replies.bad_value("RCPT", error.name, error.value, error.allowed)


def _returned(value: str) -> Return:
    try:
        return Return(value.lower())
    except ValueError as error:
        raise _BadValue("RET", value, "FULL or HDRS is allowed") from error


def _envelope_id(value: str) -> str:
    _limit("ENVID", value, _MOST_OF_ENVID)
    return _decoded("ENVID", value, value)


def _notify(value: str) -> tuple[Notify, ...]:
    """In the order of `Notify`; () for NEVER."""
    words = value.lower().split(",")
    if words == ["never"]:
        return ()
    if not set(words) <= set(Notify):
        allowed = "NEVER, or a list of SUCCESS, FAILURE and DELAY is allowed"
        raise _BadValue("NOTIFY", value, allowed)
    return tuple(each for each in Notify if each in words)


def _original(value: str, *, smtputf8: bool) -> str:
    """As a report shows it, "type;address": printable ASCII."""
    _limit("ORCPT", value, _MOST_OF_ORCPT)
    kind, _, address = value.partition(";")
    if not _TYPE.fullmatch(kind):
        raise _BadValue("ORCPT", value, "rfc822;address or utf-8;address is allowed")
    if kind.lower() == "utf-8":
        return f"{kind};{_international(value, address, smtputf8=smtputf8)}"
    return f"{kind};{_decoded('ORCPT', value, address)}"


def _limit(name: str, value: str, most: int) -> None:
    if len(value) > most:
        raise _BadValue(name, value, f"{len(value)} characters seen, {most} are allowed")


def _decoded(name: str, value: str, text: str) -> str:
    """*text*, the whole *value* or its end, decoded: printable ASCII, because a report shows it."""
    if not _XTEXT.fullmatch(text):
        allowed = "printable ASCII is allowed, with +20 for a blank, +2B for + and +3D for ="
        raise _BadValue(name, value, allowed)
    decoded = _HEX.sub(lambda found: chr(int(found[1], 16)), text)
    if not (decoded.isascii() and decoded.isprintable()):
        raise _BadValue(name, value, "it stands for more than printable ASCII (RFC 3461)")
    return decoded


def _international(value: str, text: str, *, smtputf8: bool) -> str:
    """*text*, the end of *value*, in the form that is ASCII (RFC 6533, utf-8-addr-xtext)."""
    if not _UNITEXT.fullmatch(text) or not (smtputf8 or text.isascii()):
        also = " or UTF-8" if smtputf8 else ""
        allowed = rf"printable ASCII{also} is allowed, with \x{{E9}} for other characters"
        raise _BadValue("ORCPT", value, allowed)
    decoded = _EMBEDDED.sub(_embedded, text)
    if not decoded.isprintable():
        raise _BadValue("ORCPT", value, "it stands for characters that are not printable")
    return international(decoded)


def _embedded(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if number <= _LAST_CHARACTER else "\0"
