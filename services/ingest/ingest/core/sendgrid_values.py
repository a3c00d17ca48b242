"""Values in the JSON of SendGrid's POST /v3/mail/send, read and checked.

WrongValue says where each stands.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ingest.core.json_field import shown
from ingest.core.message_options import NamedAddress
from ingest.core.message_values import (
    content_id,
    from_base64,
    header_fields,
    line,
    media_type,
    named_address,
)
from ingest.core.new_message import Attachment, WrongValue
from ingest.core.sendgrid_body import (
    MOST_OCTETS,
    MOST_RECIPIENTS,
    AddressBody,
    FileBody,
    MailSendBody,
    PersonalizationBody,
    TrackingSettingsBody,
)
from ingest.core.substitutions import MOST_TAGS
from posthouse.mail.message_flag import MessageFlag

_TEXT_TYPE = re.compile(r"text/[!#$&+.0-9^_a-z-]{1,60}")
_RESERVED = frozenset(("x-sg-id", "x-sg-eid"))  # beside those that no API may give


def characters(subject: str | None, headers: Mapping[str, str]) -> int:
    """How many they have together."""
    return len(subject or "") + sum(len(name) + len(value) for name, value in headers.items())


def address(email: str, name: str, pointer: str) -> NamedAddress:
    """An address, and the name that readers see beside it."""
    found = named_address(email, "", f"{pointer}/email")
    return replace(found, name=line(name, f"{pointer}/name").strip())


def check(body: MailSendBody) -> None:
    """Raise WrongValue for what does not go together."""
    seen = sum(len(one.to) + len(one.cc) + len(one.bcc) for one in body.personalizations)
    if seen > MOST_RECIPIENTS:
        raise WrongValue(
            "/personalizations", f"{seen} recipients seen, at most {MOST_RECIPIENTS} are allowed"
        )
    if body.subject is None and not all(one.subject for one in body.personalizations):
        raise WrongValue("/subject", "it is required, unless each personalization has its own")
    if body.reply_to and body.reply_to_list:
        raise WrongValue("/reply_to_list", "reply_to is given too: one of them is allowed")
    for at, category in enumerate(body.categories):
        if not category.isascii():
            raise WrongValue(f"/categories/{at}", f"{shown(category)} seen, ASCII is allowed")
        if category in body.categories[:at]:
            raise WrongValue(f"/categories/{at}", f"{shown(category)} is given twice")


def texts(body: MailSendBody) -> dict[str, str]:
    """The content by its types."""
    found: dict[str, str] = {}
    for at, one in enumerate(body.content):
        kind = one.type.strip().lower()
        if not _TEXT_TYPE.fullmatch(kind):
            raise WrongValue(
                f"/content/{at}/type",
                f"{shown(one.type)} seen, a type of text without parameters is allowed:"
                " text/plain, text/html, text/x-amp-html, text/calendar",
            )
        if kind in found:
            raise WrongValue(f"/content/{at}/type", f"{kind} is given twice")
        found[kind] = one.value
    return found


def attachment(given: FileBody, pointer: str) -> Attachment:
    """A file that goes with the messages."""
    filename = line(given.filename, f"{pointer}/filename")
    return Attachment(
        filename,
        media_type(given.type, filename, f"{pointer}/type"),
        from_base64(given.content, f"{pointer}/content"),
        content_id(given.content_id, f"{pointer}/content_id"),
        is_inline=given.disposition == "inline",
    )


def flags(tracking: TrackingSettingsBody | None) -> dict[str, bool]:
    """What is said of tracking, by the words of `MessageFlag`."""
    if tracking is None:
        return {}
    given = {
        MessageFlag.CLICK_TRACKING.value: tracking.click_tracking,
        MessageFlag.OPEN_TRACKING.value: tracking.open_tracking,
    }
    return {flag: setting.enable for flag, setting in given.items() if setting is not None}


def values(one: PersonalizationBody, pointer: str) -> Mapping[str, str]:
    """The substitutions; null stands for nothing."""
    found = {tag: value or "" for tag, value in one.substitutions.items()}
    if found:
        check_octets(found, pointer)
    if "" in found:
        raise WrongValue(pointer, "a tag has to have one character at least")
    if len(found) > MOST_TAGS:
        raise WrongValue(pointer, f"{len(found)} seen, at most {MOST_TAGS} are allowed")
    return found


def check_octets(given: Mapping[str, str], pointer: str) -> None:
    """Raise WrongValue if names and values are too long together."""
    octets = sum(len(name.encode()) + len(value.encode()) for name, value in given.items())
    if octets > MOST_OCTETS:
        raise WrongValue(pointer, f"{octets} octets seen, at most {MOST_OCTETS} are allowed")


def recipients(
    one: PersonalizationBody, pointer: str
) -> tuple[tuple[NamedAddress, ...], tuple[NamedAddress, ...], tuple[NamedAddress, ...]]:
    """Those of to, cc and bcc; nobody is among them twice."""
    seen: set[tuple[str, str]] = set()

    def of(name: str, given: list[AddressBody]) -> Iterator[NamedAddress]:
        for at, each in enumerate(given):
            here = f"{pointer}/{name}/{at}"
            found = address(each.email, each.name, here)
            key = found.address.local.lower(), found.address.ascii_domain
            if key in seen:
                raise WrongValue(
                    f"{here}/email", f"{shown(each.email)} is given twice in to, cc and bcc"
                )
            seen.add(key)
            yield found

    return tuple(of("to", one.to)), tuple(of("cc", one.cc)), tuple(of("bcc", one.bcc))


def headers(
    body: MailSendBody, one: PersonalizationBody, pointer: str
) -> tuple[tuple[str, str], ...]:
    """Those of the personalization, and of the request those that it has not."""
    own = _fields(one.headers, pointer)
    names = {name.lower() for name, _ in own}
    return (*own, *(f for f in _fields(body.headers, "/headers") if f[0].lower() not in names))


def _fields(given: Mapping[str, str], pointer: str) -> tuple[tuple[str, str], ...]:
    for name in given:
        if name.lower() in _RESERVED:
            raise WrongValue(f"{pointer}/{name}", f"{name} is reserved: it is not allowed here")
    return header_fields(given, pointer)
