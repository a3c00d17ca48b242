"""What the door says: reply texts with their enhanced codes (RFC 3463, RFC 5248)."""

from collections.abc import Collection
from functools import lru_cache
from uuid import UUID

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
NEEDS_MAIL = Reply(503, "Send MAIL first", "5.5.1")
NESTED_MAIL = Reply(503, "Sender already given", "5.5.1")
NO_VALID_RECIPIENTS = Reply(554, "No valid recipients", "5.5.1")

NEEDS_TLS = Reply(530, "Must issue a STARTTLS command first", "5.7.0")
NEEDS_AUTH = Reply(530, "Authentication required", "5.7.0")
NO_TLS_HERE = Reply(502, "STARTTLS is not offered here", "5.5.1")
ALREADY_TLS = Reply(503, "TLS is already active", "5.5.1")
ALREADY_AUTHENTICATED = Reply(503, "Already authenticated", "5.5.1")
AUTH_SYNTAX = Reply(501, "Syntax: AUTH mechanism [initial-response]", "5.5.4")
AUTH_MECHANISM = Reply(504, "Mechanisms are PLAIN and LOGIN", "5.5.4")
AUTH_ABORTED = Reply(501, "Authentication cancelled", "5.7.0")
AUTH_GARBLED = Reply(501, "Cannot decode the response", "5.5.2")
AUTH_FAILED = Reply(535, "Authentication credentials invalid", "5.7.8")
AUTH_UNAVAILABLE = Reply(454, "Temporary authentication failure", "4.7.0")

NULL_SENDER = Reply(550, "The null reverse-path is not open to clients: give a sender", "5.7.1")
TOO_MANY_RECIPIENTS = Reply(452, "Too many recipients", "4.5.3")
BARE_LINE_END_IN_DATA = Reply(550, "Lines end with <CR><LF>; bare CR, bare LF or NUL seen", "5.5.2")
NO_AUTHOR = Reply(550, "The message has no From header", "5.6.0")
SEVERAL_AUTHOR_FIELDS = Reply(550, "The message has more than one From header", "5.6.0")
LOOP = Reply(554, "Too many Received headers: this message is in a loop", "5.4.6")

FAULT = Reply(451, "Internal fault, try again later", "4.3.0")
FULL = Reply(452, "Insufficient storage, try again later", "4.3.1")
STOPPING = Reply(421, "Service shutting down", "4.3.2")
TIMED_OUT = Reply(421, "Timeout", "4.4.2")
TOO_MANY_CONNECTIONS = Reply(421, "Too many connections, try again later", "4.7.0")
TOO_MANY_ERRORS = Reply(421, "Too many errors", "4.7.0")
TOO_MANY_IDLE_COMMANDS = Reply(421, "Too many commands without a message", "4.7.0")
TOO_MANY_LOGINS = Reply(421, "Too many failed logins, try again later", "4.7.0")

_DOMAINS_NAMED = 8


def queued(submission: UUID) -> Reply:
    """The message is committed under this id."""
    return Reply(250, f"Ok: queued as {submission.hex}", "2.0.0")


def malformed_address(why: object) -> Reply:
    """An address in MAIL or RCPT cannot be read; *why* quotes it."""
    return Reply(501, str(why), "5.1.3")


def needs_smtputf8(address: str) -> Reply:
    """A non-ASCII address came without the SMTPUTF8 parameter (RFC 6531 section 3.5)."""
    return Reply(553, f"Address {address!a} needs the SMTPUTF8 parameter of MAIL", "5.6.7")


def unknown_parameter(verb: str, name: str) -> Reply:
    """RFC 5321 section 4.1.1.11."""
    return Reply(555, f"{verb} parameter {name!a} not recognized", "5.5.4")


def bad_parameter(verb: str, name: str) -> Reply:
    """A known parameter with a value it cannot have."""
    return Reply(501, f"Bad value for {verb} parameter {name}", "5.5.4")


def too_big(limit: int) -> Reply:
    """Declared or found to be larger than SIZE."""
    return Reply(552, f"Message larger than {limit} octets", "5.3.4")


def header_too_big(octets: int, limit: int) -> Reply:
    """The header alone is larger than we parse."""
    return Reply(552, f"Header of {octets} octets; at most {limit} are taken", "5.3.4")


def line_too_long(limit: int) -> Reply:
    """A line of the message is longer than anything in use."""
    return Reply(550, f"A line is longer than {limit} octets (RFC 5322 allows 998)", "5.6.0")


def unreadable_author(why: object) -> Reply:
    """The From header is there but cannot be read."""
    return Reply(550, f"The From header cannot be read: {why}", "5.6.0")


def foreign_domain(role: str, domain: str, allowed: Collection[str]) -> Reply:
    """*role* ("Sender", "From") is at a domain that the account has not verified."""
    return Reply(
        550,
        f"{role} domain {domain} is not one of this account's verified domains: {_named(allowed)}",
        "5.7.1",
    )


def _named(domains: Collection[str]) -> str:
    if not domains:
        return "it has none"
    names = sorted(domains)
    more = len(names) - _DOMAINS_NAMED
    listed = ", ".join(names[:_DOMAINS_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed


@lru_cache(maxsize=16)  # one for each stage of a listener's sessions
def ehlo(hostname: str, *, size: int, starttls: bool, auth: bool) -> Reply:
    """Our extensions (RFC 5321 section 4.1.1.1); no enhanced code by RFC 2034 section 4."""
    extensions = [
        "PIPELINING",
        f"SIZE {size}",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        *(["STARTTLS"] if starttls else []),
        *(["AUTH PLAIN LOGIN"] if auth else []),
    ]
    return Reply(250, "\n".join((hostname, *extensions)))


@lru_cache(maxsize=256)  # of the few there are, most are said over and over
def wire(reply: Reply) -> bytes:
    """*reply* as it is sent: ASCII, one line for each line of its text (RFC 5321 section 4.2)."""
    code = f"{reply.enhanced} " if reply.enhanced else ""
    *lines, last = reply.text.split("\n")
    text = "".join(f"{reply.code}-{code}{line}\r\n" for line in lines)
    return f"{text}{reply.code} {code}{last}\r\n".encode("ascii", "backslashreplace")


def is_protocol_error(reply: Reply) -> bool:
    """Whether the client broke the protocol, or did what it first has to be allowed to."""
    code = reply.enhanced
    return reply.is_permanent and code is not None and (code.startswith("5.5.") or code == "5.7.0")
