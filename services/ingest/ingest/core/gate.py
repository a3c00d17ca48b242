"""Which commands are open to a client at which stage of a session."""

from dataclasses import dataclass

from ingest.core import replies
from posthouse.mail.reply import Reply

_BEFORE_TLS = frozenset(("EHLO", "HELO", "NOOP", "QUIT", "RSET", "HELP", "STARTTLS"))
_AFTER_EHLO = frozenset(("AUTH", "MAIL", "RCPT", "DATA", "VRFY"))
_AFTER_AUTH = frozenset(("MAIL", "RCPT", "DATA", "VRFY"))


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a session has come."""

    must_start_tls: bool  # required here, and not done yet
    greeted: bool
    authenticated: bool


def refuse(verb: str, stage: Stage) -> Reply | None:
    """Why *verb* has to wait, None when it is open now."""
    if stage.must_start_tls and verb not in _BEFORE_TLS:
        return replies.NEEDS_TLS
    if not stage.greeted and verb in _AFTER_EHLO:
        return replies.NEEDS_EHLO
    if not stage.authenticated and verb in _AFTER_AUTH:
        return replies.NEEDS_AUTH
    return None
