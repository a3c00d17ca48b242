"""Values that applications give of a message, whichever JSON they stand in.

Each is checked, and WrongValue says where it stands, what was seen and what is allowed.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from mimetypes import MimeTypes
from typing import Any

import msgspec

from ingest.core.json_field import shown
from ingest.core.message_options import NamedAddress
from ingest.core.new_message import WrongValue, escaped
from ingest.core.own_headers import MOST_METADATA_OCTETS
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.mailbox import mailboxes
from posthouse.mail.message_id import is_message_id

_BASE64_AT_ONCE = 262_144  # characters, so that a thread can be interrupted

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
_WORD = r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+"
_MEDIA_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:; ?{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*"))*')
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")

# What is made of the other fields, or by servers on the way (RFC 5322, RFC 2045).
_MADE_BY_US = re.compile(
    r"from|to|cc|bcc|reply-to|subject|date|mime-version|content-.*|resent-.*|received(?:-spf)?"
    r"|return-path|delivered-to|dkim-signature|domainkey-signature|arc-.*|authentication-results"
    r"|x-posthouse-.*",
    re.IGNORECASE,
)
_TYPES = MimeTypes()  # as Python knows them, and not a file of this machine


def line(text: str, pointer: str) -> str:
    """*text*, which is one line."""
    if found := _CONTROL.search(text):
        raise WrongValue(pointer, f"{shown(text)} holds the control character {found[0]!a}")
    return text


def mailbox(text: str, pointer: str) -> NamedAddress:
    """One address, alone or as `Name <address>`."""
    try:
        found = mailboxes(line(text, pointer).strip())
    except InvalidAddress as error:
        raise WrongValue(pointer, str(error)) from error
    if len(found) > 1:
        raise WrongValue(pointer, f"{len(found)} addresses seen: give each by itself")
    return NamedAddress(found[0].address, line(found[0].name, pointer).strip())


def named_address(address: str, name: str, pointer: str) -> NamedAddress:
    """*address*, with the *name* that readers see beside it."""
    try:
        found = Address.parse(address.strip())
    except InvalidAddress as error:
        raise WrongValue(pointer, str(error)) from error
    return NamedAddress(found, line(name, pointer).strip())


def media_type(given: str, filename: str, pointer: str) -> str:
    """The type of a file, and its parameters; of what has none, what its *filename* means."""
    found = given or _meant_by(filename)
    if not _MEDIA_TYPE.fullmatch(found) or found.lower().startswith("multipart/"):
        raise WrongValue(pointer, f"{shown(found)} seen, a type such as application/pdf is allowed")
    return found


def _meant_by(filename: str) -> str:
    kind, packed = _TYPES.guess_type(filename)
    # What is packed, as in a.csv.gz, is not of the type of what it holds.
    return kind if kind and not packed else "application/octet-stream"


def content_id(given: str, pointer: str) -> str:
    """A Content-ID without its angle brackets; "" for none."""
    found = given.removeprefix("<").removesuffix(">")
    if given and not _CONTENT_ID.fullmatch(found):
        raise WrongValue(pointer, f"{shown(given)} seen, printable characters of ASCII are allowed")
    return found


def from_base64(text: str, pointer: str) -> bytes:
    """The octets; line ends between the characters are allowed."""
    text = text.replace("\r", "").replace("\n", "") if "\n" in text else text
    pieces = []
    for at in range(0, len(text), _BASE64_AT_ONCE):
        try:
            pieces.append(b64decode(text[at : at + _BASE64_AT_ONCE], validate=True))
        except ValueError as error:
            raise WrongValue(pointer, f"it is no base64 (RFC 4648 section 4): {error}") from error
        if len(pieces[-1]) % 3 and at + _BASE64_AT_ONCE < len(text):
            raise WrongValue(pointer, "it is no base64: padding stands in the middle")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def header_fields(given: Mapping[str, str], pointer: str) -> tuple[tuple[str, str], ...]:
    """Fields that stand beside those which are made of other values; *pointer*: to all of them."""
    seen: set[str] = set()
    for name, value in given.items():
        here = f"{pointer}/{escaped(name)}"
        if not _FIELD_NAME.fullmatch(name):
            raise WrongValue(pointer, f"{shown(name)} is no name of a header field")
        if _MADE_BY_US.fullmatch(name):
            raise WrongValue(here, f"{name} is made of the other fields: it is not allowed here")
        if name.lower() in seen:
            raise WrongValue(here, f"{name} is given twice, in another case")
        if name.lower() == "message-id" and not is_message_id(value):
            raise WrongValue(here, f"{shown(value)} is not of the form <local@domain>")
        seen.add(name.lower())
    return tuple(given.items())


def metadata(given: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
    """What comes back with events."""
    octets = len(msgspec.json.encode(given)) if given else 0
    if octets > MOST_METADATA_OCTETS:
        allowed = f"at most {MOST_METADATA_OCTETS} are allowed"
        raise WrongValue(pointer, f"{octets} octets of JSON seen, {allowed}")
    return given
