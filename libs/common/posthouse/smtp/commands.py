"""What a client sends: command lines, the arguments of MAIL and RCPT, AUTH responses."""

import re
from base64 import b64decode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from posthouse.mail.address import Address, InvalidAddress, unseen
from posthouse.mail.dsn_request import DsnRequest, RecipientRequest
from posthouse.mail.reply import Reply
from posthouse.smtp import dsn_parameters, replies

LINE_LIMIT = 2_048  # octets; RFC 5321 has 512, to which its extensions add
AUTH_LINE_LIMIT = 12_288  # RFC 4954 section 4
_USER_NAME_LIMIT = 255  # characters

# No group is possessive, which Python before 3.11.5 gets wrong; their parts exclude each other, so
# that a hostile line still costs one pass.
_PATH = r'(?:<((?:"(?:[^"\\]|\\.)*"|[^<>"]++)*)>|([^\s<>"]++))(?: ++(.*+))?'
_MAIL = re.compile("FROM: *+" + _PATH, re.IGNORECASE)
_RCPT = re.compile("TO: *+" + _PATH, re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SIZE = re.compile("[0-9]{1,20}")  # RFC 1870 section 4

# AUTH= (RFC 4954 section 5) is ignored: we know who has logged in.
_MAIL_PARAMETERS = frozenset(("SIZE", "BODY", "SMTPUTF8", "AUTH", "RET", "ENVID"))
_RCPT_PARAMETERS = frozenset(("NOTIFY", "ORCPT"))


Command: TypeAlias = tuple[str, str]
"""A well-formed command line: its verb in upper case, its argument or ""."""


class Mail(NamedTuple):
    """The argument of MAIL, and the event that asks whether this sender may send."""

    sender: Address | None  # None: the null reverse-path
    size: int = 0  # declared octets, 0 when not declared
    smtputf8: bool = False
    dsn: DsnRequest | None = None  # RET and ENVID


# The argument of RCPT: the recipient, and what NOTIFY and ORCPT ask about it.
Rcpt: TypeAlias = tuple[Address, RecipientRequest | None]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client logs in with; the secret is never shown."""

    username: str
    secret: str
    authorization_id: str = ""  # whom to act for (RFC 4616); "": the user itself

    @property
    def can_be_known(self) -> bool:
        """Whether any directory may have them: else they are wrong without asking it.

        No user may act for another (RFC 4616 section 2).
        """
        return is_user_name(self.username) and self.authorization_id in ("", self.username)

    def __repr__(self) -> str:
        return f"Credentials({self.username!r}, ...)"


def is_user_name(text: str) -> bool:
    """Whether a user may be called so: no control characters, and not endless."""
    return len(text) <= _USER_NAME_LIMIT and text.isprintable()


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
        return text if text is replies.BARE_LINE_END else _read_odd(line, text)
    verb, _, argument = text.partition(" ")
    verb = verb.upper()
    if len(line) > (AUTH_LINE_LIMIT if verb == "AUTH" else LINE_LIMIT):
        return replies.LINE_TOO_LONG
    return verb, argument.strip()


def _read_odd(line: bytes, refusal: Reply) -> Command | Reply:
    """A command with octets that *refusal* is about; where they matter less, they are told apart.

    The name behind EHLO may be in any (RFC 5321 section 4.1.4: no mail is refused for it): Windows
    gives that of the machine in its own code page. In an address they are told by their number.
    """
    text = line[:-2].decode(errors="replace")
    verb, _, argument = text.partition(" ")
    verb = verb.upper()
    if verb in ("EHLO", "HELO") and len(line) <= LINE_LIMIT:
        return verb, _cleaned(argument.strip(" "))
    is_text = refusal is replies.CONTROL_CHARACTER and _CONTROL.search(text) is None
    if verb in ("MAIL", "RCPT") and is_text and (what := unseen(argument)):
        return replies.unseen_in_address(argument.partition(":")[2].strip(" "), what)
    return refusal


def _cleaned(name: str) -> str:
    """*name* with "?" for everything that cannot be printed."""
    return "".join(c if c.isprintable() and c != "\ufffd" else "?" for c in name)


def read_mail(argument: str) -> Mail | Reply:
    """The argument of MAIL; a Reply says what is wrong with it."""
    match = _MAIL.fullmatch(argument)
    if match is None:
        return _name_before_address("MAIL FROM", argument) or replies.MAIL_SYNTAX
    parameters = _parameters("MAIL", match[3], _MAIL_PARAMETERS)
    if isinstance(parameters, Reply):
        return _name_before_address("MAIL FROM", argument) or parameters
    if parameters and (bad := _bad_value(parameters)):
        return bad

    size = int(parameters.get("SIZE", 0))
    smtputf8 = "SMTPUTF8" in parameters
    dsn = dsn_parameters.of_message(parameters) if parameters else None
    if isinstance(dsn, Reply):
        return dsn
    if match[1] == "":
        return Mail(None, size, smtputf8, dsn)
    sender = _address(match[1] or match[2], smtputf8=smtputf8)
    return sender if isinstance(sender, Reply) else Mail(sender, size, smtputf8, dsn)


def _bad_value(parameters: Mapping[str, str]) -> Reply | None:
    """What is wrong with the value of a MAIL parameter."""
    if not _SIZE.fullmatch(parameters.get("SIZE", "0")):
        return replies.bad_parameter("MAIL", "SIZE")
    body = parameters.get("BODY", "7BIT").upper()
    if body == "BINARYMIME":
        return replies.NO_BINARYMIME
    if body not in ("7BIT", "8BITMIME"):
        return replies.bad_parameter("MAIL", "BODY")
    return replies.bad_parameter("MAIL", "SMTPUTF8") if parameters.get("SMTPUTF8") else None


def read_rcpt(argument: str, *, smtputf8: bool) -> Rcpt | Reply:
    """The argument of RCPT; a Reply says what is wrong with it."""
    match = _RCPT.fullmatch(argument)
    if match is None:
        return _name_before_address("RCPT TO", argument) or replies.RCPT_SYNTAX
    parameters = _parameters("RCPT", match[3], _RCPT_PARAMETERS)
    if isinstance(parameters, Reply):
        return _name_before_address("RCPT TO", argument) or parameters
    recipient = _address(match[1] or match[2] or "", smtputf8=smtputf8)
    if isinstance(recipient, Reply):
        return recipient
    if not parameters:
        return recipient, None
    dsn = dsn_parameters.of_recipient(parameters, smtputf8=smtputf8)
    return dsn if isinstance(dsn, Reply) else (recipient, dsn)


def _name_before_address(command: str, argument: str) -> Reply | None:
    """What is wrong with "Shop <shop@a.example>"; None if *argument* is not of that kind."""
    given = argument.partition(":")[2].strip()
    name, _, rest = given.partition("<")
    if not name.strip() or "=" in name or ">" not in rest:  # a parameter may be AUTH=<>
        return None
    return replies.name_before_address(command, given, rest.partition(">")[0])


def _address(text: str, *, smtputf8: bool) -> Address | Reply:
    try:
        address = Address.parse(text)
    except InvalidAddress as error:
        return replies.malformed_address(error)
    if not (smtputf8 or text.isascii() or address.is_ascii):  # UTS 46 makes ASCII of some text
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
        if name in parameters:
            return replies.repeated_parameter(verb, name)
        if equals and not value:
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
