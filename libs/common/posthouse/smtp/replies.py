"""Replies about the protocol itself, and how a reply is written (RFC 5321 section 4.2).

Enhanced codes are those of RFC 3463 and RFC 5248.
"""

from collections.abc import Iterator
from functools import lru_cache

from posthouse.mail.reply import Reply

OK = Reply(250, "Ok", "2.0.0")
SENDER_OK = Reply(250, "Ok", "2.1.0")
RECIPIENT_OK = Reply(250, "Ok", "2.1.5")
GOODBYE = Reply(221, "Goodbye", "2.0.0")
HELP = Reply(214, "RFC 5321, RFC 6409", "2.0.0")
READY_FOR_TLS = Reply(220, "Ready to start TLS", "2.0.0")
SEND_DATA = Reply(354, "End data with <CR><LF>.<CR><LF>")  # RFC 2034: 3yz has no enhanced code
LOGGED_IN = Reply(235, "Authentication successful", "2.7.0")
CANNOT_VERIFY = Reply(252, "Cannot verify, but will take mail for it", "2.5.0")

UNKNOWN_COMMAND = Reply(500, "Command not recognized", "5.5.1")
BARE_LINE_END = Reply(500, "Commands end with <CR><LF>", "5.5.2")
CONTROL_CHARACTER = Reply(500, "Commands hold no control characters", "5.5.2")
NOT_UTF8 = Reply(500, "Commands are ASCII or UTF-8", "5.5.2")
LINE_TOO_LONG = Reply(500, "Command line too long", "5.5.2")
NO_ARGUMENT = Reply(501, "This command takes no argument", "5.5.4")
NEEDS_NAME = Reply(501, "Say your name: EHLO host.example", "5.5.4")
MAIL_SYNTAX = Reply(501, "Syntax: MAIL FROM:<address> [parameters]", "5.5.4")
RCPT_SYNTAX = Reply(501, "Syntax: RCPT TO:<address> [parameters]", "5.5.4")
NOT_IMPLEMENTED = Reply(502, "Command not implemented", "5.5.1")
NEEDS_EHLO = Reply(503, "Send EHLO first", "5.5.1")
AUTH_NEEDS_EHLO = Reply(503, "AUTH is an extension: say EHLO in place of HELO first", "5.5.1")
NEEDS_MAIL = Reply(503, "Send MAIL first", "5.5.1")
NESTED_MAIL = Reply(503, "Sender already given", "5.5.1")
IN_CHUNKS = Reply(503, "The message comes in chunks: BDAT or RSET is next", "5.5.1")
# Not counted as an error: RFC 3030 section 2 lets a client have sent it before it read of another.
CHUNK_DISCARDED = Reply(503, "Discarded: an earlier chunk of the message was refused", "5.0.0")
# What follows cannot be told from commands.
BDAT_SYNTAX = Reply(501, "Syntax: BDAT octets [LAST]; closing", "5.5.4")
NO_BINARYMIME = Reply(555, "BODY=BINARYMIME is not offered: use 8BITMIME", "5.6.3")
NO_VALID_RECIPIENTS = Reply(554, "No valid recipients", "5.5.1")
TOO_MANY_RECIPIENTS = Reply(452, "Too many recipients", "4.5.3")

NEEDS_TLS = Reply(530, "Must issue a STARTTLS command first", "5.7.0")
NEEDS_AUTH = Reply(530, "Authentication required", "5.7.0")
NO_TLS_HERE = Reply(502, "STARTTLS is not offered here", "5.5.1")
ALREADY_TLS = Reply(503, "TLS is already active", "5.5.1")
ALREADY_AUTHENTICATED = Reply(503, "Already authenticated", "5.5.1")
AUTH_SYNTAX = Reply(501, "Syntax: AUTH mechanism [initial-response]", "5.5.4")
AUTH_ABORTED = Reply(501, "Authentication cancelled", "5.7.0")
AUTH_GARBLED = Reply(501, "Cannot decode the response", "5.5.2")
TOO_MANY_ERRORS = Reply(421, "Too many errors", "4.7.0")
TOO_MANY_IDLE_COMMANDS = Reply(421, "Too many commands without a message", "4.7.0")

_NOT_TAKEN = 550  # says something of a mailbox or a message, not of the protocol
_SHOWN = 80  # characters of what a client gave that are quoted back
CLOSING = 421  # the code of a reply with which the server leaves (RFC 5321 section 3.8)
_SHORT = 256  # characters that fit into one line with any code
_LINE_LIMIT = 512  # octets of a line of a reply with its end (RFC 5321 section 4.5.3.1.5)


def malformed_address(why: object) -> Reply:
    """An address in MAIL or RCPT cannot be read; *why* quotes it."""
    return Reply(501, str(why), "5.1.3")


def unseen_in_address(given: str, what: str) -> Reply:
    """The argument of MAIL or RCPT holds *what*, which came with it from somewhere by a paste."""
    return Reply(501, f"{_shown(given)} is not a mail address: it holds {what}", "5.1.3")


def name_before_address(command: str, given: str, address: str) -> Reply:
    """MAIL or RCPT has a mailbox as From has it."""
    text = f"{_shown(given)} has a name before the address: give {command}:<{_shown(address, '')}>"
    return Reply(501, text, "5.1.3")


def _shown(text: str, quote: str = "'") -> str:
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"{quote}{cut.encode('ascii', 'backslashreplace').decode()}{quote}"


def needs_smtputf8(address: str) -> Reply:
    """A non-ASCII address came without the SMTPUTF8 parameter (RFC 6531 section 3.5)."""
    return Reply(553, f"Address {address!a} needs the SMTPUTF8 parameter of MAIL", "5.6.7")


def unknown_parameter(verb: str, name: str) -> Reply:
    """RFC 5321 section 4.1.1.11."""
    return Reply(555, f"{verb} parameter {name!a} not recognized", "5.5.4")


def too_many_messages(most: int) -> Reply:
    """A connection has had its *most* messages."""
    return Reply(CLOSING, f"One connection takes {most} messages: connect again", "4.7.0")


def chunk_taken(octets: int) -> Reply:
    """One chunk of several has come (RFC 3030 section 2)."""
    return Reply(250, f"{octets} octets received", "2.0.0")


def auth_mechanism(offered: tuple[str, ...]) -> Reply:
    """AUTH names a mechanism that is not offered."""
    return Reply(504, f"Mechanisms are {', '.join(offered)}", "5.5.4")


def bad_parameter(verb: str, name: str) -> Reply:
    """A known parameter with a value it cannot have."""
    return Reply(501, f"Bad value for {verb} parameter {name}", "5.5.4")


def bad_value(verb: str, name: str, value: str, allowed: str) -> Reply:
    """The same, with what is allowed; of a long value the start is shown."""
    return Reply(501, f"{verb} parameter {name}={_shown(value)}: {allowed}", "5.5.4")


def repeated_parameter(verb: str, name: str) -> Reply:
    """A parameter is given more often than once."""
    return Reply(501, f"{verb} parameter {name} seen twice, once is allowed", "5.5.4")


@lru_cache(maxsize=64)  # one for each listener, stage of a session and size limit
def ehlo(
    hostname: str, *, max_octets: int, limits: str, starttls: bool, mechanisms: tuple[str, ...]
) -> Reply:
    """Our extensions (RFC 5321 section 4.1.1.1); no enhanced code by RFC 2034 section 4."""
    extensions = [
        "PIPELINING",
        "CHUNKING",
        f"LIMITS {limits}",
        f"SIZE {max_octets}",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "DSN",
        *(["STARTTLS"] if starttls else []),
        *([f"AUTH {' '.join(mechanisms)}"] if mechanisms else []),
    ]
    return Reply(250, "\n".join((hostname, *extensions)))


@lru_cache(maxsize=256)  # a few replies are sent over and over
def written(reply: Reply) -> bytes:
    """*reply* as it is sent: ASCII, a line of at most 512 octets for each line of its text."""
    code = f"{reply.enhanced} " if reply.enhanced else ""
    if len(reply.text) <= _SHORT and reply.text.isascii() and "\n" not in reply.text:
        return f"{reply.code} {code}{reply.text}\r\n".encode("ascii")
    room = _LINE_LIMIT - len(f"{reply.code} {code}\r\n")
    *lines, last = _lines(reply.text.encode("ascii", "backslashreplace").decode("ascii"), room)
    text = "".join([f"{reply.code}-{code}{line}\r\n" for line in lines])
    return f"{text}{reply.code} {code}{last}\r\n".encode("ascii")


def _lines(text: str, room: int) -> Iterator[str]:
    """The lines of *text*, those longer than *room* broken, at a blank if there is one."""
    for line in text.split("\n"):
        rest = line
        while len(rest) > room:
            blank = rest.rfind(" ", 1, room + 1)
            cut = blank if blank > 0 else room
            yield rest[:cut]
            rest = rest[cut:].lstrip(" ")
        yield rest


def is_protocol_error(reply: Reply) -> bool:
    """Whether the client broke the protocol, or did what it first has to be allowed to."""
    code = reply.enhanced
    if not reply.is_permanent or reply.code == _NOT_TAKEN or code is None:
        return False
    return code.startswith("5.5.") or code == "5.7.0"
