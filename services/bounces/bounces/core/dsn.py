"""Reads a returned message: delivery status notification, complaint, automatic reply, or neither.

Reports of RFC 3464 and RFC 6533 are read by their structure. Of older, free-text formats only the
plainest are recognised. No input makes it raise.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from enum import StrEnum
from itertools import islice

from bounces.core.mime import Part, clean, decode, fields, known_charset, leaves, top

_MOST_RECIPIENTS = 1000  # of one report; further ones are ignored
_MOST_OCTETS_OF_TEXT = 1 << 16  # of readable text; what follows is ignored
_MOST_CHARACTERS_OF_EXCERPT = 1000  # kept of a message that was not recognised

CODE = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
"""An enhanced status code (RFC 3463): class, subject, detail."""

_STATUS_PARTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RECEIPT_PARTS = frozenset(
    {"message/disposition-notification", "message/global-disposition-notification"}
)
_AUTO_REPLY_FIELDS = ("x-autoreply", "x-autorespond", "x-autoresponse", "x-auto-reply-from")
_AUTO_REPLY_SUBJECT = re.compile(
    r"(?:auto(?:matic|mated)?[ -]?(?:reply|response)|out of (?:the )?office|vacation\b"
    r"|away from (?:the|my) office|abwesenheit|absence du bureau)",
    re.IGNORECASE,
)
_FAILURE_SUBJECT = re.compile(
    r"(?:undeliver(?:ed|able)|returned mail|failure notice|mail system error - returned"
    r"|delivery (?:status notification \(failure\)|failure|failed|has failed)"
    r"|(?:message|mail) delivery (?:failed|failure))",
    re.IGNORECASE,
)
_FAILURE_TEXT = re.compile(r"\b(55[0-4])[ -]+(?:#?(5\.\d{1,3}\.\d{1,3})\b)?[^\n]*")
_DAEMON = re.compile(r"(?:mailer-daemon|postmaster|mail delivery (?:sub)?system)", re.IGNORECASE)


class ReportKind(StrEnum):
    """What kind of message came back."""

    DSN = "dsn"  # RFC 3464: fields give the result for each recipient
    FREE_TEXT = "free_text"  # says in words that delivery failed; a hint, not a proof
    AUTO_REPLY = "auto_reply"  # vacation message or read receipt; the mail arrived
    COMPLAINT = "complaint"  # RFC 5965: a recipient reported the message as unwanted
    UNRECOGNISED = "unrecognised"


class Action(StrEnum):
    """What the reporting server did with the recipient (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


_ACTIONS = {str(action): action for action in Action}
_ACTION_OF_CLASS = {"5": Action.FAILED, "4": Action.DELAYED, "2": Action.DELIVERED}


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """One group of a report's fields, as its sender wrote them; "" where one is missing."""

    action: Action
    status: str = ""
    diagnostic: str = ""
    final_recipient: str = ""
    original_recipient: str = ""
    remote_mta: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A returned message, read."""

    kind: ReportKind
    recipients: tuple[RecipientStatus, ...] = ()
    reporting_mta: str = ""
    subject: str = ""
    excerpt: str = ""  # start of the readable text, of an unrecognised message only


def read(content: bytes) -> Report:
    """What the message *content* reports; time and memory are bounded."""
    header = top(content)
    subject = _unencoded(header.get("subject", ""))
    parts = tuple(leaves(content))
    # Structure decides first: reports carry "Auto-Submitted: auto-replied" too (RFC 3464 2).
    for part in parts:
        if part.media_type in _STATUS_PARTS:
            return _notification(part, subject)
        if part.media_type == "message/feedback-report":
            return Report(ReportKind.COMPLAINT, subject=subject)
        if part.media_type in _RECEIPT_PARTS:
            return Report(ReportKind.AUTO_REPLY, subject=subject)
    if _is_auto_reply(header, subject):
        return Report(ReportKind.AUTO_REPLY, subject=subject)
    return _free_text(header, subject, parts)


def _notification(part: Part, subject: str) -> Report:
    groups = islice(_groups(part.decoded()), _MOST_RECIPIENTS + 1)
    reporting_mta, recipients = "", []
    for group in groups:
        reporting_mta = reporting_mta or _behind_type(group.get("reporting-mta", ""))
        if status := _recipient(group):
            recipients.append(status)
    kind = ReportKind.DSN if recipients else ReportKind.UNRECOGNISED
    return Report(kind, tuple(recipients[:_MOST_RECIPIENTS]), reporting_mta, subject)


def _groups(body: bytes) -> Iterator[Mapping[str, str]]:
    """The groups of fields that empty lines divide (RFC 3464 section 2.1)."""
    begin = 0
    text = body.replace(b"\r\n", b"\n")
    while begin < len(text):
        end = text.find(b"\n\n", begin)
        end = len(text) if end < 0 else end
        if group := fields(text[begin:end].lstrip(b"\n")):
            yield group
        begin = end + 2


def _recipient(group: Mapping[str, str]) -> RecipientStatus | None:
    """The recipient that *group* is about; None if it is about the message or says nothing."""
    found = CODE.search(group.get("status", ""))
    status = found[0] if found else ""
    action = _action(group.get("action", ""), status)
    if action is None or not ("final-recipient" in group or "action" in group):
        return None
    return RecipientStatus(
        action=action,
        status=status,
        diagnostic=clean(group.get("diagnostic-code", ""), 1000),
        final_recipient=_mailbox(group.get("final-recipient", "")),
        original_recipient=_mailbox(group.get("original-recipient", "")),
        remote_mta=clean(_behind_type(group.get("remote-mta", "")), 255),
    )


def _action(word: str, status: str) -> Action | None:
    """The action; from the class of *status* if the action is missing or unknown."""
    named = _ACTIONS.get(word.lower().partition(" ")[0])
    return named or _ACTION_OF_CLASS.get(status[:1])


def _behind_type(value: str) -> str:
    """What follows the type in a typed field: "dns; mx.example" (RFC 3464 section 2.1.2)."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and " " not in kind.strip() else value


def _mailbox(value: str) -> str:
    return clean(_behind_type(value).strip("<> "), 320)


def _is_auto_reply(header: Mapping[str, str], subject: str) -> bool:
    """Whether it is an automatic reply (RFC 3834 section 5, and older conventions)."""
    submitted = header.get("auto-submitted", "").lower()
    precedence = header.get("precedence", "").lower()
    if _is_from_daemon(header):
        return False  # mail servers mark their bounces in this way too
    return (
        submitted.startswith("auto-replied")
        or precedence == "auto_reply"
        or any(name in header for name in _AUTO_REPLY_FIELDS)
        or _AUTO_REPLY_SUBJECT.match(subject) is not None
    )


def _is_from_daemon(header: Mapping[str, str]) -> bool:
    return "x-failed-recipients" in header or _DAEMON.search(header.get("from", "")) is not None


def _free_text(header: Mapping[str, str], subject: str, parts: tuple[Part, ...]) -> Report:
    """A failure in words: its subject says so, or a mail server quotes an SMTP refusal."""
    text = next(
        (part.text(_MOST_OCTETS_OF_TEXT) for part in parts if part.media_type == "text/plain"), ""
    )
    refusal = _FAILURE_TEXT.search(text)
    named = "x-failed-recipients" in header or _FAILURE_SUBJECT.search(subject)
    if named or (refusal and _is_from_daemon(header)):
        status = (refusal[2] or "") if refusal else ""
        diagnostic = clean(refusal[0], 1000) if refusal else ""
        hint = RecipientStatus(Action.FAILED, status=status, diagnostic=diagnostic)
        return Report(ReportKind.FREE_TEXT, (hint,), subject=subject)
    return Report(
        ReportKind.UNRECOGNISED, subject=subject, excerpt=clean(text, _MOST_CHARACTERS_OF_EXCERPT)
    )


def _unencoded(value: str) -> str:
    """*value* with its encoded words (RFC 2047) decoded; unchanged if they cannot be."""
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
    except HeaderParseError:
        return value
    text = "".join(
        piece if isinstance(piece, str) else decode(piece, known_charset(charset or ""))
        for piece, charset in pieces
    )
    return clean(text, 500)
