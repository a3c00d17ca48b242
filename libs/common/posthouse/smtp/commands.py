"""What a client sends: command lines, the arguments of MAIL and RCPT, AUTH responses."""

import re
from base64 import b64decode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.reply import Reply
from posthouse.smtp import replies

LINE_LIMIT = 2_048  # octets; RFC 5321 has 512, to which its extensions add
AUTH_LINE_LIMIT = 12_288  # RFC 4954 section 4

# No group is possessive, which Python before 3.11.5 gets wrong; their parts exclude each other, so
# that a hostile line still costs one pass.
_PATH = r'(?:<((?:"(?:[^"\\]|\\.)*"|[^<>"]++)*)>|([^\s<>"]++))(?: ++(.*+))?'
_MAIL = re.compile("FROM: *+" + _PATH, re.IGNORECASE)
_RCPT = re.compile("TO: *+" + _PATH, re.IGNORECASE)
_SIZE = re.compile("[0-9]{1,20}")  # RFC 1870 section 4

# Parameters of the DSN extension (RFC 3461) are ignored: we do not offer it, but some clients
# send them all the same. So is AUTH= (RFC 4954 section 5): we know who has logged in.
_MAIL_PARAMETERS = frozenset(("SIZE", "BODY", "SMTPUTF8", "AUTH", "RET", "ENVID"))
_RCPT_PARAMETERS = frozenset(("NOTIFY", "ORCPT"))


class Command(NamedTuple):
    """A well-formed command line (a named tuple: cheap to make, and there are four a message)."""

    verb: str  # in upper case
    argument: str  # "" when there is none


class Mail(NamedTuple):
    """The argument of MAIL, and the event that asks whether this sender may send."""

    sender: Address | None  # None: the null reverse-path
    size: int = 0  # declared octets, 0 when not declared
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client logs in with; the secret is never shown."""

    username: str
    secret: str
    authorization_id: str = ""  # whom to act for (RFC 4616); "": the user itself

    @property
    def can_be_known(self) -> bool:
        """Whether any directory may have them: else they are wrong without asking it.

        No user name has control characters in it, and no user may act for another.
        """
        return self.username.isprintable() and self.authorization_id in ("", self.username)

    def __repr__(self) -> str:
        return f"Credentials({self.username!r}, ...)"


def read_line(line: bytes) -> str | Reply:
    """The text of one line from the client; a Reply says what is wrong with it."""
    if line[-2:] != b"\r\n":
        return replies.BARE_LINE_END
    try:
        text = line[:-2].decode()
    except UnicodeDecodeError:
        return replies.NOT_UTF8
    # Nothing invisible may reach a log, a header or the store, in whatever encoding.
    return text if text.isprintable() else replies.CONTROL_CHARACTER


def read_command(line: bytes) -> Command | Reply:
    """One command; a Reply says why it is none."""
    text = read_line(line)
    if isinstance(text, Reply):
        return text
    verb, _, argument = text.partition(" ")
    verb = verb.upper()
    if len(line) > (AUTH_LINE_LIMIT if verb == "AUTH" else LINE_LIMIT):
        return replies.LINE_TOO_LONG
    return Command(verb, argument.strip())


def read_mail(argument: str) -> Mail | Reply:
    """The argument of MAIL; a Reply says what is wrong with it."""
    match = _MAIL.fullmatch(argument)
    if match is None:
        return replies.MAIL_SYNTAX
    parameters = _parameters("MAIL", match[3], _MAIL_PARAMETERS)
    if isinstance(parameters, Reply):
        return parameters
    if parameters and (bad := _bad_value(parameters)):
        return replies.bad_parameter("MAIL", bad)

    size = int(parameters.get("SIZE", 0))
    smtputf8 = "SMTPUTF8" in parameters
    if match[1] == "":
        return Mail(None, size, smtputf8)
    sender = _address(match[1] or match[2], smtputf8=smtputf8)
    return sender if isinstance(sender, Reply) else Mail(sender, size, smtputf8)


def _bad_value(parameters: Mapping[str, str]) -> str | None:
    """The name of a MAIL parameter whose value it cannot have."""
    if not _SIZE.fullmatch(parameters.get("SIZE", "0")):
        return "SIZE"
    if parameters.get("BODY", "7BIT").upper() not in ("7BIT", "8BITMIME"):
        return "BODY"
    return "SMTPUTF8" if parameters.get("SMTPUTF8") else None


def read_rcpt(argument: str, *, smtputf8: bool) -> Address | Reply:
    """The argument of RCPT; a Reply says what is wrong with it."""
    match = _RCPT.fullmatch(argument)
    if match is None:
        return replies.RCPT_SYNTAX
    parameters = _parameters("RCPT", match[3], _RCPT_PARAMETERS)
    if isinstance(parameters, Reply):
        return parameters
    return _address(match[1] or match[2] or "", smtputf8=smtputf8)


def _address(text: str, *, smtputf8: bool) -> Address | Reply:
    try:
        address = Address.parse(text)
    except InvalidAddress as error:
        return replies.malformed_address(error)
    if not (smtputf8 or address.is_ascii):
        return replies.needs_smtputf8(text)
    return address


def _parameters(verb: str, text: str | None, known: Collection[str]) -> dict[str, str] | Reply:
    """Names in upper case with their values, "" for those without."""
    if text is None:
        return {}
    parameters = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        name = name.upper()
        if name not in known:
            return replies.unknown_parameter(verb, name)
        if name in parameters or (equals and not value):
            return replies.bad_parameter(verb, name)
        parameters[name] = value
    return parameters


def read_response(text: str) -> bytes | Reply:
    """What a client sent for AUTH, as an initial response or on a line (RFC 4954 section 4)."""
    if text == "*":
        return replies.AUTH_ABORTED
    if text == "=":
        return b""
    try:
        return b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        return replies.AUTH_GARBLED


def read_plain(response: bytes) -> Credentials | Reply:
    """The message of the PLAIN mechanism: authorization identity, user name, secret (RFC 4616)."""
    parts = response.split(b"\0")
    if len(parts) != 3:  # noqa: PLR2004
        return replies.AUTH_GARBLED
    authorization_id, username, secret = parts
    return read_login(username, secret, authorization_id)


def read_login(
    username: bytes, secret: bytes, authorization_id: bytes = b""
) -> Credentials | Reply:
    """User name and secret as both mechanisms carry them."""
    try:
        return Credentials(username.decode(), secret.decode(), authorization_id.decode())
    except UnicodeDecodeError:
        return replies.AUTH_GARBLED
