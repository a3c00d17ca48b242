"""The notices that we send: their frame, digests, and forwarded mail."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from uuid import UUID

from bounces.core.notices.composing import message, plain, whole_message, words
from posthouse.mail.due_results import Digest, UntoldResult
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header
from posthouse.mail.submission import OWN_CREDENTIAL, Submission

_MOST_CHARACTERS_OF_REPLY = 1_000


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


def _listed(told: Digest, hostname: str) -> Iterator[str]:
    yield f"This is the mail system at {plain(hostname)}."
    yield ""
    yield "More of your messages could not be delivered than there are reports for in an hour."
    yield f"These are the {told.count} recipients that you were not told of yet:"
    for submission_id, failure in told.failures:
        yield ""
        yield from failure_in_words(failure)
        yield f"      message {submission_id.hex}"
    if (left := told.count - len(told.failures)) > 0:
        yield ""
        yield f"and {left} more: see the timelines of the messages."


def failure_in_words(failure: UntoldResult) -> Iterator[str]:
    """The recipient, who says what, and the words of the other side as they came."""
    yield f"  {failure.recipient}"
    detail, when = failure.detail, date_text(failure.at)
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
    yield from words_of_other_side(failure)


def words_of_other_side(result: UntoldResult) -> Iterator[str]:
    """The lines of its reply, if it said anything."""
    for line in reply_in(result.detail).split("\n"):
        if line.strip():
            yield f"        {line}"


def reply_in(detail: Any) -> str:
    """What the other side said; a line break stays one."""
    said = detail.get("reply") or detail.get("diagnostic") or ""
    parts = (detail.get("code") or "", detail.get("enhanced") or "", said)
    reply = " ".join(str(part) for part in parts if part)[:_MOST_CHARACTERS_OF_REPLY]
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in reply)


def date_text(when: datetime) -> str:
    """*when*, to the second."""
    return format_datetime(when.replace(microsecond=0))
