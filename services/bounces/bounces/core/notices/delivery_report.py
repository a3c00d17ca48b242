"""Reports to senders on what became of their recipients (RFC 3464; RFC 3461 section 6)."""

import re
from collections.abc import Iterable, Iterator

from bounces.core.notices.composing import (
    Entity,
    headers_only,
    message,
    plain,
    reply_fields,
    status_fields,
    whole_message,
    words,
)
from bounces.core.notices.notice_text import (
    Frame,
    common_fields,
    date_text,
    failure_in_words,
    reply_in,
    words_of_other_side,
)
from posthouse.mail.dsn_action import Action
from posthouse.mail.dsn_request import RecipientRequest, international
from posthouse.mail.due_results import DueResults, Means, UntoldResult
from posthouse.mail.events import EventKind
from posthouse.mail.message import Header
from posthouse.mail.seven_bit import seven_bit

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_HOST = re.compile(r"[\[ :]")  # ends the name in mx.example[192.0.2.1]:25
_MOST_IN_WORDS = 100  # recipients; the fields below name all of them

_TITLES = {
    Action.FAILED: "Not delivered",
    Action.DELAYED: "Delayed",
    Action.RELAYED: "Relayed",
    Action.DELIVERED: "Delivered",
    Action.EXPANDED: "Delivered to a list",
}
_CLASSES = {Action.FAILED: "5", Action.DELAYED: "4"}  # of Status; that of all others is 2


def delivery_report(told: DueResults, frame: Frame) -> tuple[bytes, bytes]:
    """Header and body of the report on *told*, with the message as far as *told* has it."""
    header = Header.parse(told.header)
    first, *others = told.results
    more = f" and {len(others)} more" if others else ""
    parts = [
        words(_explanation(told, frame.hostname)),
        status_fields(_groups(told, frame.hostname)),
    ]
    if told.header:
        parts.append(_returned(told))
    subject = f"{_TITLES[told.action]}: {plain(first.recipient)}{more}"
    return message(
        [
            *common_fields(frame, told.address, subject),
            ("Auto-Submitted", "auto-replied"),
            *reply_fields(header.first("Message-ID")),
        ],
        "report; report-type=delivery-status",
        parts,
        frame.id,
    )


def _returned(told: DueResults) -> Entity:
    """What comes back of the message: all of it, as far as that can be sent, or its header.

    To a bounce address it goes as it came. A report to a sender has to pass every server, so it is
    in seven bits; no transfer encoding may hide that within (RFC 2046 section 5.2.1).
    """
    if told.body is not None and told.means is Means.FORWARD:
        return whole_message(told.header + told.body)
    if told.body is not None and (whole := seven_bit(told.header, told.body)) is not None:
        return whole_message(whole)
    return headers_only(told.header.removesuffix(b"\r\n"))


# In words.


def _explanation(told: DueResults, hostname: str) -> Iterator[str]:
    count = len(told.results)
    yield f"This is the mail system at {plain(hostname)}."
    yield ""
    yield f"Your message was accepted on {date_text(told.accepted_at)}."
    yield from _result(told.action, "this recipient" if count == 1 else f"these {count} recipients")
    for one in told.results[:_MOST_IN_WORDS]:
        yield ""
        yield from failure_in_words(one) if told.action is Action.FAILED else _in_words(one)
    if count > _MOST_IN_WORDS:
        yield ""
        yield f"and {count - _MOST_IN_WORDS} more, which the delivery report below names."
    yield ""
    yield f"Its number here is {told.submission_id.hex}."
    if not told.header:
        yield "Its text is no longer kept."


def _result(action: Action, to: str) -> Iterable[str]:
    match action:
        case Action.FAILED:
            return (f"It could not be delivered to {to}, and will not be tried again:",)
        case Action.DELAYED:
            return (
                f"It could not be delivered to {to} yet.",
                "It is still being tried: you need not send it again.",
            )
        case Action.RELAYED:
            return (
                f"It was passed on for {to} to a system that",
                "sends no reports of success: you will hear again only if it fails.",
            )
        case Action.DELIVERED:
            return (f"It was delivered to {to}:",)
        case Action.EXPANDED:
            return (f"It was delivered to {to}, and from there passed on to others:",)


def _in_words(one: UntoldResult) -> Iterator[str]:
    host = one.detail.get("reporting_mta") or one.detail.get("host")
    said = f", says {plain(host)}:" if host else ":"
    yield f"  {one.recipient}"
    yield f"      On {date_text(one.at)}{said}"
    yield from words_of_other_side(one)


# For programs.


def _groups(told: DueResults, hostname: str) -> Iterator[list[tuple[str, str]]]:
    """The fields of the message, then those of each recipient (RFC 3464 section 2)."""
    asked = told.dsn
    yield [
        *([("Original-Envelope-Id", asked.envelope_id)] if asked and asked.envelope_id else []),
        ("Reporting-MTA", f"dns; {hostname}"),
        ("X-Posthouse-Queue-Id", told.submission_id.hex),
        ("Arrival-Date", date_text(told.accepted_at)),
    ]
    for one in told.results:
        about = asked.of(one.recipient) if asked else RecipientRequest()
        yield list(_of_recipient(one, told.action, about.original))


def _of_recipient(one: UntoldResult, action: Action, original: str) -> Iterator[tuple[str, str]]:
    """*original*: its ORCPT."""
    detail = one.detail
    if original:
        yield "Original-Recipient", original.replace(";", "; ", 1)
    yield "Final-Recipient", _typed(one.recipient)
    yield "Action", action
    yield "Status", _status_of(one, action)
    if host := detail.get("host") or detail.get("remote_mta"):
        yield "Remote-MTA", f"dns; {_HOST.split(plain(host), 1)[0]}"
    if reply := reply_in(detail):
        kind = "smtp" if detail.get("code") else "x-unknown"
        yield "Diagnostic-Code", f"{kind}; {reply}"
    if one.kind is not EventKind.SUPPRESSED:
        yield "Last-Attempt-Date", date_text(one.at)


def _typed(address: str) -> str:
    """An address with its type (RFC 3464 section 2.1.2, RFC 6533 section 3)."""
    return f"rfc822; {address}" if address.isascii() else f"utf-8; {international(address)}"


def _status_of(one: UntoldResult, action: Action) -> str:
    """The enhanced code; a failure that was only temporary has expired (RFC 3463 X.4.7)."""
    if one.kind is EventKind.EXPIRED:
        return "4.4.7"
    if one.kind is EventKind.SUPPRESSED:
        return "5.7.1"
    given = str(one.detail.get("enhanced") or one.detail.get("status") or "")
    if action is Action.FAILED:
        return given if _STATUS.fullmatch(given) and given[0] != "2" else "5.0.0"
    wanted = _CLASSES.get(action, "2")
    return given if _STATUS.fullmatch(given) and given[0] == wanted else f"{wanted}.0.0"
