"""The notices that we send: reports to senders (RFC 3464), digests, and forwarded mail."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from uuid import UUID

from bounces.core.composing import (
    headers_only,
    message,
    plain,
    reply_fields,
    status_fields,
    whole_message,
    words,
)
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header
from posthouse.mail.submission import Submission
from posthouse.mail.undelivered import OWN_CREDENTIAL, Digest, Means, Undelivered, UntoldFailure

_STATUS = re.compile(r"[45]\.\d{1,3}\.\d{1,3}")
_HOST = re.compile(r"[\[ :]")  # ends the name in mx.example[192.0.2.1]:25
_MOST_IN_WORDS = 100  # recipients; the fields below name all of them
_MOST_CHARACTERS_OF_REPLY = 1_000
# Characters that an address in a report must not show as themselves (RFC 6533 section 3).
_NOT_QCHAR = re.compile(r"[^!-*,-<>-\[\]-~]")


@dataclass(frozen=True, slots=True)
class Frame:
    """What all notices have in their header."""

    id: UUID
    from_domain: str
    hostname: str  # of this relay

    def submission(
        self, account_id: UUID, to: str, lane: Lane, message: tuple[bytes, bytes]
    ) -> Submission:
        """*message*, header and body, from the null reverse-path (RFC 5321 section 4.5.5).

        Nothing is ever sent in answer to it, by us least of all.
        """
        header, body = message
        return Submission(
            id=self.id,
            account_id=account_id,
            credential_id=OWN_CREDENTIAL,
            profile="native",
            lane=lane,
            sender="",
            recipients=(to,),
            smtputf8=not to.isascii(),
            client="",
            helo=self.hostname,
            tls="",
            header=header,
            body=body,
        )


def non_delivery(told: Undelivered, frame: Frame) -> tuple[bytes, bytes]:
    """Header and body of the report on *told*; to be forwarded it contains the whole message."""
    header = Header.parse(told.header)
    first, *others = told.failures
    more = f" and {len(others)} more" if others else ""
    parts = [
        words(_explanation(told, frame.hostname)),
        status_fields(_groups(told, frame.hostname)),
    ]
    if told.means is Means.FORWARD and told.header:
        parts.append(whole_message(told.header + told.body))
    elif told.header:
        parts.append(headers_only(told.header.removesuffix(b"\r\n")))
    return message(
        [
            *common_fields(frame, told.address, f"Not delivered: {plain(first.recipient)}{more}"),
            ("Auto-Submitted", "auto-replied"),
            *reply_fields(header.first("Message-ID")),
        ],
        "report; report-type=delivery-status",
        parts,
        frame.id,
    )


def digest(told: Digest, frame: Frame) -> tuple[bytes, bytes]:
    """Header and body of a message that lists failures of many messages."""
    return message(
        [
            *common_fields(frame, told.address, f"Not delivered: {told.count} more recipients"),
            ("Auto-Submitted", "auto-generated"),
        ],
        "mixed",
        [words(_listed(told, frame.hostname))],
        frame.id,
    )


def forwarded(
    content: bytes, to: str, subject: str, why: Iterable[str], frame: Frame
) -> tuple[bytes, bytes]:
    """Header and body of a message that contains *content*, a message that came to us."""
    return message(
        [
            *common_fields(frame, to, plain(subject)[:200]),
            ("Auto-Submitted", "auto-generated"),
        ],
        "mixed",
        [words(why), whole_message(content)],
        frame.id,
    )


def forwarded_by_us(content: bytes, hostname: str) -> bool:
    """Whether *content* is a message that we forwarded, on its way in a circle."""
    header = Header.parse(content[: content.find(b"\r\n\r\n") + 4])
    return hostname in header.values("X-Loop")


def common_fields(frame: Frame, to: str, subject: str) -> list[tuple[str, str]]:
    """The header fields that all messages of ours begin with."""
    return [
        ("From", f"Mail Delivery System <mailer-daemon@{frame.from_domain}>"),
        ("To", to),
        ("Subject", subject),
        ("Precedence", "bulk"),
        ("X-Loop", frame.hostname),
    ]


# In words.


def _explanation(told: Undelivered, hostname: str) -> Iterator[str]:
    count = len(told.failures)
    to = "this recipient" if count == 1 else f"these {count} recipients"
    yield f"This is the mail system at {plain(hostname)}."
    yield ""
    yield f"Your message was accepted on {_date(told.accepted_at)}."
    yield f"It could not be delivered to {to}, and will not be tried again:"
    for failure in told.failures[:_MOST_IN_WORDS]:
        yield ""
        yield from _failure(failure)
    if count > _MOST_IN_WORDS:
        yield ""
        yield f"and {count - _MOST_IN_WORDS} more, which the delivery report below names."
    yield ""
    yield f"Its number here is {told.submission_id.hex}."
    if not told.header:
        yield "Its text is no longer kept."


def _listed(told: Digest, hostname: str) -> Iterator[str]:
    yield f"This is the mail system at {plain(hostname)}."
    yield ""
    yield "More of your messages could not be delivered than there are reports for in an hour."
    yield f"These are the {told.count} recipients that you were not told of yet:"
    for submission_id, failure in told.failures:
        yield ""
        yield from _failure(failure)
        yield f"      message {submission_id.hex}"
    if (left := told.count - len(told.failures)) > 0:
        yield ""
        yield f"and {left} more: see the timelines of the messages."


def _failure(failure: UntoldFailure) -> Iterator[str]:
    """The recipient, who says what, and the words of the other side as they came."""
    yield f"  {failure.recipient}"
    detail, when = failure.detail, _date(failure.at)
    host = detail.get("host") or detail.get("remote_mta") or detail.get("reporting_mta")
    server = f"the server {plain(host)}" if host else "this mail system"
    match failure.kind:
        case EventKind.SUPPRESSED:
            on = detail.get("list", "suppression")
            why = f" ({plain(detail['reason'])})" if detail.get("reason") else ""
            yield f"      It is on the {on} list of your account{why},"
            yield "      so it was not tried."
        case EventKind.EXPIRED:
            yield f"      No server took the message until {when}. The last answer, of {server}:"
        case _ if "code" not in detail:
            yield f"      On {when} {server} reported that it failed:"
        case _:
            yield f"      On {when} {server} refused it:"
    for line in _reply(detail).split("\n"):
        if line.strip():
            yield f"        {line}"


def _reply(detail: Any) -> str:
    """What the other side said; a line break stays one."""
    said = detail.get("reply") or detail.get("diagnostic") or ""
    parts = (detail.get("code") or "", detail.get("enhanced") or "", said)
    reply = " ".join(str(part) for part in parts if part)[:_MOST_CHARACTERS_OF_REPLY]
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in reply)


def _date(when: datetime) -> str:
    return format_datetime(when.replace(microsecond=0))


# For programs.


def _groups(told: Undelivered, hostname: str) -> Iterator[list[tuple[str, str]]]:
    """The fields of the message, then those of each recipient (RFC 3464 section 2)."""
    yield [
        ("Reporting-MTA", f"dns; {hostname}"),
        ("X-Posthouse-Queue-Id", told.submission_id.hex),
        ("Arrival-Date", _date(told.accepted_at)),
    ]
    for failure in told.failures:
        yield list(_of_recipient(failure))


def _of_recipient(failure: UntoldFailure) -> Iterator[tuple[str, str]]:
    detail = failure.detail
    yield "Final-Recipient", _typed(failure.recipient)
    yield "Action", "failed"
    yield "Status", _status_of(failure)
    if host := detail.get("host") or detail.get("remote_mta"):
        yield "Remote-MTA", f"dns; {_HOST.split(plain(host), 1)[0]}"
    if reply := _reply(detail):
        kind = "smtp" if detail.get("code") else "x-unknown"
        yield "Diagnostic-Code", f"{kind}; {reply}"
    if failure.kind is not EventKind.SUPPRESSED:
        yield "Last-Attempt-Date", _date(failure.at)


def _typed(address: str) -> str:
    """An address with its type (RFC 3464 section 2.1.2, RFC 6533 section 3)."""
    if address.isascii():
        return f"rfc822; {address}"
    return "utf-8; " + _NOT_QCHAR.sub(lambda found: f"\\x{{{ord(found[0]):X}}}", address)


def _status_of(failure: UntoldFailure) -> str:
    """The enhanced code; a failure that was only temporary has expired (RFC 3463 X.4.7)."""
    if failure.kind is EventKind.EXPIRED:
        return "4.4.7"
    if failure.kind is EventKind.SUPPRESSED:
        return "5.7.1"
    given = str(failure.detail.get("enhanced") or failure.detail.get("status") or "")
    return given if _STATUS.fullmatch(given) else "5.0.0"
