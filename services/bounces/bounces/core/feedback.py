"""Reads feedback reports: complaints and their relatives (RFC 5965, RFC 6430, RFC 6591).

Some providers send the same without the form: Microsoft's programme puts the original alone into a
message from a known address.
"""

import re
from collections.abc import Iterator, Mapping

from bounces.core.json_notice import complained_recipients
from bounces.core.mime import Part, fields, header_of
from bounces.core.notice import is_from_daemon
from bounces.core.plain_text import clean, decode
from bounces.core.report import Feedback, Report, ReportKind
from bounces.core.status_fields import behind_type

_MOST_OCTETS = 1 << 16  # of the fields of a report
_MOST_NAMED = 100  # recipients and domains of one report
_MOST_FIELDS = 150  # of the original, and characters of each
_MOST_CHARACTERS = 1000

_KINDS = {
    "abuse": ReportKind.COMPLAINT, "fraud": ReportKind.COMPLAINT, "virus": ReportKind.COMPLAINT,
    "miscategorized": ReportKind.COMPLAINT, "not-spam": ReportKind.NOT_SPAM,
    "auth-failure": ReportKind.AUTH_FAILURE, "opt-out": ReportKind.OPT_OUT,
    "opt-out-list": ReportKind.OPT_OUT, "unsubscribe": ReportKind.OPT_OUT,
}  # fmt: skip
_FIELD_LINE = re.compile(
    r"^(original-rcpt-to|reported-domain)[ \t]*:[ \t]*(\S[^\n]*)", re.IGNORECASE | re.MULTILINE
)
_STATUS_PARTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_FIELDS_BEGIN = re.compile(rb"^feedback-type:[ \t]*[\w-]+[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_VERSION = re.compile(rb"^(?:version|user-agent):", re.IGNORECASE | re.MULTILINE)
_COMPLAINS = re.compile(
    r"complaint about message from |e-?mail feedback report|\b(?:abuse|spam) (?:report|complaint)"
    r"|feedback loop",
    re.IGNORECASE,
)
# The original of a provider's complaint without a report names the recipient in such a field.
_RECIPIENT_FIELDS = ("x-hmxmroriginalrecipient", "x-original-recipient", "x-rcpt-to")


def read_feedback(
    header: Mapping[str, str], parts: tuple[Part, ...], subject: str
) -> Report | None:
    """The feedback that a message reports; None if it reports none."""
    original = original_fields(parts)
    feedback = next(filter(None, map(_in_part, parts)), None)
    if feedback is None:
        failure = is_from_daemon(header) or any(p.media_type in _STATUS_PARTS for p in parts)
        if failure or not _complains(header, original, subject):
            return None
        feedback = Feedback("abuse")
    named = feedback.original_recipients or tuple(_recipients_in(original))
    feedback = Feedback(
        feedback.type,
        feedback.original_mail_from,
        named,
        feedback.reported_domains,
        feedback.source_ip,
    )
    kind = _KINDS.get(feedback.type, ReportKind.FEEDBACK)
    return Report(kind, subject=subject, feedback=feedback, original=original)


def original_fields(parts: tuple[Part, ...]) -> Mapping[str, str]:
    """The header fields of the returned original, as far as it is a part of its own."""
    for part in parts:
        if part.media_type in ("message/rfc822", "message/global", "text/rfc822-headers",
                               "message/rfc822-headers", "message/global-headers"):  # fmt: skip
            block = header_of(part.decoded(_MOST_OCTETS).replace(b"\r\n", b"\n"))
            return bounded(fields(block))
    return {}


def bounded(found: Mapping[str, str]) -> Mapping[str, str]:
    """The first fields of *found*, cut short."""
    first = list(found.items())[:_MOST_FIELDS]
    return {name: value[:_MOST_CHARACTERS] for name, value in first}


def _in_part(part: Part) -> Feedback | None:
    """The feedback in *part*: as fields, under whatever type, or as a hosted service's JSON."""
    if part.media_type == "message/feedback-report":
        return _feedback(part.decoded(_MOST_OCTETS))
    if not part.media_type.startswith("text/"):
        return None
    body = part.decoded(_MOST_OCTETS)
    begin = _FIELDS_BEGIN.search(body)
    if begin and _VERSION.search(body, begin.start()):
        return _feedback(body[begin.start() :])
    listed = complained_recipients(decode(body)) if body.lstrip().startswith(b"{") else ()
    return Feedback("abuse", original_recipients=listed) if listed else None


def _feedback(body: bytes) -> Feedback:
    body = body.replace(b"\r\n", b"\n")
    found = fields(body)
    named: dict[str, list[str]] = {"original-rcpt-to": [], "reported-domain": []}
    for name, value in _FIELD_LINE.findall(decode(body)):
        if len(named[name.lower()]) < _MOST_NAMED:
            named[name.lower()].append(_bare(value))
    return Feedback(
        type=clean(found.get("feedback-type", "").partition(";")[0].lower(), 40),
        original_mail_from=_bare(found.get("original-mail-from", "")),
        original_recipients=tuple(named["original-rcpt-to"]),
        reported_domains=tuple(named["reported-domain"]),
        source_ip=clean(found.get("source-ip", ""), 60),
    )


def _complains(header: Mapping[str, str], original: Mapping[str, str], subject: str) -> bool:
    """Whether it is a provider's complaint that has no report in it."""
    return bool(original) and (
        "x-hmxmroriginalrecipient" in original
        or _COMPLAINS.search(subject) is not None
        or header.get("x-loop", "").lower() == "scomp"
    )


def _recipients_in(original: Mapping[str, str]) -> Iterator[str]:
    for name in _RECIPIENT_FIELDS:
        if "@" in original.get(name, ""):
            yield _bare(original[name])
            return


def _bare(value: str) -> str:
    return clean(behind_type(value).strip("<> "), 320)
