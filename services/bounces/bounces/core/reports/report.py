"""What a returned message says: values that the readers make and `bounces.core.verdict` judges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from posthouse.mail.dsn_action import Action


class ReportKind(StrEnum):
    """What kind of message came back."""

    DSN = "dsn"  # RFC 3464: fields give the result for each recipient
    FREE_TEXT = "free_text"  # says in words that delivery failed or waits; a hint, not a proof
    AUTO_REPLY = "auto_reply"  # vacation message and the like; the mail arrived
    CHALLENGE = "challenge"  # asks the sender to prove that he is a person
    RECEIPT = "receipt"  # RFC 8098: read, or deleted unread; the mail arrived
    COMPLAINT = "complaint"  # RFC 5965: abuse, fraud or virus
    NOT_SPAM = "not_spam"  # RFC 6430: the opposite of a complaint
    AUTH_FAILURE = "auth_failure"  # RFC 6591: our domain's SPF, DKIM or DMARC failed there
    OPT_OUT = "opt_out"  # a recipient unsubscribes by way of his provider
    FEEDBACK = "feedback"  # RFC 5965 with a type that says none of these
    TLS_REPORT = "tls_report"  # RFC 8460
    DMARC_REPORT = "dmarc_report"  # RFC 7489 section 7.2: an aggregate
    UNRECOGNISED = "unrecognised"


# What RFC 5965 reports say.
FEEDBACK = frozenset(
    {
        ReportKind.COMPLAINT,
        ReportKind.NOT_SPAM,
        ReportKind.AUTH_FAILURE,
        ReportKind.OPT_OUT,
        ReportKind.FEEDBACK,
    }
)


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """What is said about one recipient, as its sender wrote it; "" where something is missing."""

    action: Action
    status: str = ""
    diagnostic: str = ""
    final_recipient: str = ""
    original_recipient: str = ""
    remote_mta: str = ""
    remark: str = ""  # the words behind the code in Status
    prose: str = ""  # what the readable text of the report says about this recipient

    @property
    def address(self) -> str:
        """The recipient: the final one if it is a mail address, else the original one."""
        wanted = (self.final_recipient, self.original_recipient)
        return next((address for address in wanted if "@" in address), "")


@dataclass(frozen=True, slots=True)
class Feedback:
    """The fields of a feedback report (RFC 5965 section 3); "" and () where one is missing."""

    type: str = ""
    original_mail_from: str = ""
    original_recipients: tuple[str, ...] = ()
    reported_domains: tuple[str, ...] = ()
    source_ip: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A returned message, read."""

    kind: ReportKind
    recipients: tuple[RecipientStatus, ...] = ()
    reporting_mta: str = ""
    subject: str = ""
    excerpt: str = ""  # start of the readable text, of an unrecognised message only
    feedback: Feedback | None = None  # of a feedback report only
    original: Mapping[str, str] = field(default_factory=dict)
    """Header fields of the message that it is about, by lower-case name, the first of each."""
