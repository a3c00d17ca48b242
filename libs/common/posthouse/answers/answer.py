"""An answer of a remote mail system, and what it was judged to mean."""

from dataclasses import dataclass
from enum import StrEnum

from posthouse.mail.scope import Scope


class Stage(StrEnum):
    """What an answer answers; the first eleven also name what a connection may wait for."""

    GREETING = "greeting"
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    DOT = "final dot"
    QUIT = "QUIT"
    REPORT = "report"  # a diagnostic inside a delivery report, about one recipient
    REPORT_OF_DOT = "report of final dot"  # the same, where the report says what was answered
    PROSE = "prose"  # free text of a returned message


class AnswerClass(StrEnum):
    """What is the matter, in one of a closed list; stored, counted and shown under this name."""

    NO_SUCH_MAILBOX = "no such mailbox"
    MAILBOX_DISABLED = "mailbox disabled"
    MAILBOX_FULL = "mailbox full"
    MAILBOX_RATE = "mailbox over a rate"
    DOMAIN_GONE = "domain gone"
    POLICY = "policy"
    REPUTATION = "reputation"  # of our address or name
    CONTENT = "content"
    SENDER_AUTHENTICATION = "sender authentication"  # SPF, DKIM, DMARC, reverse DNS
    SENDER_VERIFICATION = "sender verification"  # our sender's address was not accepted
    RELAY_DENIED = "relay denied"
    GREYLISTED = "greylisted"
    RATE = "rate of ours"
    TOO_BIG = "too big"
    TLS = "TLS"
    PROTOCOL = "protocol"
    NETWORK = "network"  # connection, DNS, routing
    SYSTEM = "system"  # the remote host has trouble of its own
    UNCLEAR = "unclear"


# Of recipients that do not exist: many of them say that a list is old, guessed or bought.
HARD_CLASSES = (AnswerClass.NO_SUCH_MAILBOX, AnswerClass.DOMAIN_GONE)


class Evidence(StrEnum):
    """What a list may make of it."""

    HARD = "hard"  # alone enough to suppress the recipient
    SOFT = "soft"  # counts, and only its repetition suppresses
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a remote system said, and where."""

    stage: Stage
    code: int | None  # of the reply (RFC 5321 section 4.2); None if there is none to see
    enhanced: tuple[str, ...]  # every enhanced code in it (RFC 3463), in order
    text: str
    provider: str = ""  # as `provider_of` names it
    recipients: int = 1  # for how many it speaks


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer means, and which rule says so."""

    kind: AnswerClass
    scope: Scope
    permanent: bool  # trying the same again is pointless
    evidence: Evidence
    rule: str
    why: str

    @property
    def suppresses(self) -> bool:
        """Whether this alone puts the recipient on a list: it says "no such mailbox"."""
        return self.evidence is Evidence.HARD
