"""Reads a returned message: notification, complaint, automatic reply, or neither.

Structure decides first (RFC 3464, RFC 6533, RFC 5965, RFC 8098), then what the text says. No input
makes it raise; time and memory are bounded.
"""

from collections.abc import Mapping
from dataclasses import replace

from bounces.core.automatic import (
    asks_the_sender,
    is_auto_reply,
    is_challenge,
    is_receipt,
    machine_report,
)
from bounces.core.failed_recipients import recipients_in
from bounces.core.feedback import bounded, original_fields, read_feedback
from bounces.core.json_notice import read_json_notice
from bounces.core.mime import Part, leaves, top
from bounces.core.named_addresses import addresses_in
from bounces.core.notice import (
    Notice,
    failed_in,
    is_delay,
    is_failure,
    is_from_daemon,
    says_failure,
    split_notice,
    status_of,
)
from bounces.core.plain_text import clean, clean_lines, of_html, unencoded
from bounces.core.report import RecipientStatus, Report, ReportKind
from bounces.core.status_fields import read_status_fields

_MOST_OCTETS_OF_TEXT = 1 << 16  # of readable text; what follows is ignored
_MOST_OCTETS_OF_HTML = 1 << 18
_MOST_OCTETS_OF_STATUS = 1 << 20
_MOST_PROSE = 4000  # characters about one recipient
_MOST_EXPLAINED = 50  # recipients of a report that its text is searched for
_MOST_TEXTS = 3  # parts of readable text that are looked at
_MOST_CHARACTERS_OF_EXCERPT = 1000  # kept of a message that was not recognised

_STATUS_PARTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_STARTS_STATUS = (b"reporting-mta:", b"final-recipient:", b"original-recipient:", b"action:")


def read(content: bytes) -> Report:
    """What the message *content* reports."""
    header = top(content)
    subject = unencoded(header.get("subject", ""))
    parts = tuple(leaves(content))
    return (
        read_feedback(header, parts, subject)
        or _notification(header, parts, subject)
        or _for_programs(parts, subject)
        or _wrapped(header, parts)
        or _in_words(header, parts, subject)
    )


def _wrapped(header: Mapping[str, str], parts: tuple[Part, ...]) -> Report | None:
    """What a report says that a gateway has put into a message of its own: a hint, no proof."""
    if not parts or parts[0].media_type != "message/rfc822" or not is_from_daemon(header):
        return None
    inner = parts[0].body
    inner_header, inner_parts = top(inner), tuple(leaves(inner))
    if not is_from_daemon(inner_header):
        return None
    subject = unencoded(inner_header.get("subject", ""))
    report = _notification(inner_header, inner_parts, subject)
    return replace(report, kind=ReportKind.FREE_TEXT) if report else None


def _for_programs(parts: tuple[Part, ...], subject: str) -> Report | None:
    kind = machine_report(parts, subject)
    if kind is None and is_receipt(parts):
        kind = ReportKind.RECEIPT
    return Report(kind, subject=subject) if kind else None


def _notification(
    header: Mapping[str, str], parts: tuple[Part, ...], subject: str
) -> Report | None:
    """What a delivery status part says; None if there is none, or it says nothing."""
    for part in parts:
        if not _is_status(part):
            continue
        body = part.decoded(_MOST_OCTETS_OF_STATUS).replace(b"\r\n", b"\n")
        reporting_mta, recipients = read_status_fields(body)
        if not recipients:
            continue
        if all(asks_the_sender(status.diagnostic) for status in recipients):
            return Report(ReportKind.CHALLENGE, subject=subject)
        original, notices = original_fields(parts), _notices(parts)
        recipients = _explained(recipients, notices, header, original)
        return Report(ReportKind.DSN, recipients, reporting_mta, subject, original=original)
    return None


def _is_status(part: Part) -> bool:
    """Whether it is a delivery status part, by its type or, under a wrong one, by its fields."""
    if part.media_type in _STATUS_PARTS:
        return True
    if part.media_type.startswith(("multipart/", "message/rfc822")):
        return False
    return part.body[:200].lstrip().lower().startswith(_STARTS_STATUS)


def _explained(
    recipients: tuple[RecipientStatus, ...],
    notices: tuple[Notice, ...],
    header: Mapping[str, str],
    original: Mapping[str, str],
) -> tuple[RecipientStatus, ...]:
    """*recipients* with what the readable text says about each, and an address if it has none."""
    if not notices:
        return recipients
    text, ours = notices[0], _ours(header, original)
    listed = tuple(address for status in recipients if (address := status.address))
    if listed:
        named = recipients_in(text, listed[:_MOST_EXPLAINED], ours, ())
        prose = {address: clean_lines(words, _MOST_PROSE) for address, words in named}
        return tuple(replace(one, prose=prose.get(one.address, "")) for one in recipients)
    named = recipients_in(text, failed_in(header), ours, _sent_to(original))
    if len(recipients) > 1 or len(named) != 1:
        return recipients
    ((address, words),) = named
    prose_of_one = clean_lines(words, _MOST_PROSE)
    return (replace(recipients[0], final_recipient=address, prose=prose_of_one),)


def _in_words(header: Mapping[str, str], parts: tuple[Part, ...], subject: str) -> Report:
    """What the readable text says."""
    notices = _notices(parts)
    original = original_fields(parts) or (bounded(notices[0].original) if notices else {})
    text = notices[0].text if notices else ""
    if is_challenge(subject, text):
        return Report(ReportKind.CHALLENGE, subject=subject, original=original)
    for notice in notices:
        if found := read_json_notice(notice.text):
            return Report(ReportKind.FREE_TEXT, found, subject=subject, original=original)
    # The reports of mail systems are marked as automatic replies too.
    replies = is_auto_reply(header, subject) and not is_from_daemon(header)
    if not (replies and not says_failure(header, subject)) and (
        found := _failures(notices, header, subject, original, hint=not replies)
    ):
        return Report(ReportKind.FREE_TEXT, found, subject=subject, original=original)
    if replies:
        return Report(ReportKind.AUTO_REPLY, subject=subject)
    return Report(
        ReportKind.UNRECOGNISED, subject=subject, excerpt=clean(text, _MOST_CHARACTERS_OF_EXCERPT)
    )


def _failures(
    notices: tuple[Notice, ...],
    header: Mapping[str, str],
    subject: str,
    original: Mapping[str, str],
    *,
    hint: bool,
) -> tuple[RecipientStatus, ...]:
    """The recipients of the first notice of a failure; with *hint*, one even if it names none."""
    returns = bool(original)
    failures = [n for n in notices if is_failure(header, subject, n, returns=returns)]
    for notice in failures:
        if found := _recipients_of(notice, header, subject, original):
            return found
    if not (failures and hint):
        return ()
    text = failures[0].text
    return (status_of("", text, delayed=is_delay(subject, text)),)


def _recipients_of(
    notice: Notice, header: Mapping[str, str], subject: str, original: Mapping[str, str]
) -> tuple[RecipientStatus, ...]:
    text = notice.text
    _, recipients = read_status_fields(_status_lines(text))
    if recipients and any(status.address for status in recipients):
        return _explained(recipients, (notice,), header, original)
    named = recipients_in(
        notice,
        failed_in(header),
        _ours(header, original),
        _sent_to(original or notice.original),
        _domain_of(header),
    )
    delayed = is_delay(subject, text)
    return tuple(status_of(address, prose, delayed=delayed) for address, prose in named)


def _status_lines(text: str) -> bytes:
    """The text from the first field of a delivery status in it; b"" if there is none."""
    lower = text.lower()
    starts = [at for name in _STARTS_STATUS[1:3] if (at := lower.find("\n" + name.decode())) >= 0]
    if not starts:
        return b""
    begin = lower.rfind("\n\n", 0, min(starts))
    return text[max(0, begin) :].encode("utf-8", "replace")


def _notices(parts: tuple[Part, ...]) -> tuple[Notice, ...]:
    """The readable texts in front of the original, plain ones first."""
    plain: list[Notice] = []
    html: list[Notice] = []
    for part in parts:
        if part.media_type.startswith("message/rfc822") and (plain or html):
            break
        if part.media_type == "text/html" and len(html) < _MOST_TEXTS:
            html.append(split_notice(of_html(part.text(_MOST_OCTETS_OF_HTML))))
        elif _is_text(part) and len(plain) < _MOST_TEXTS:
            plain.append(split_notice(part.text(_MOST_OCTETS_OF_TEXT)))
    return tuple(notice for notice in (*plain, *html) if notice.text.strip() or notice.original)


def _is_text(part: Part) -> bool:
    return part.media_type.startswith(("text/plain", "multipart/")) or "/" not in part.media_type


def _ours(header: Mapping[str, str], original: Mapping[str, str]) -> frozenset[str]:
    """The addresses of the sender, in lower case: failures are told to him."""
    values = (
        header.get("to", ""), header.get("delivered-to", ""), header.get("from", ""),
        original.get("from", ""), original.get("return-path", ""), original.get("sender", ""),
        original.get("reply-to", ""),
    )  # fmt: skip
    return frozenset(found.lower() for value in values for found in addresses_in(value[:2000]))


def _domain_of(header: Mapping[str, str]) -> str:
    """The domain of the mail system that writes."""
    author = next(addresses_in(header.get("from", "")[:2000]), "")
    return author.rpartition("@")[2]


def _sent_to(original: Mapping[str, str]) -> tuple[str, ...]:
    found = (a for name in ("to", "cc") for a in addresses_in(original.get(name, "")[:4000]))
    return tuple(dict.fromkeys(found))
