"""Our own control headers, X-Posthouse-*: what a message asks for beside its envelope.

Policy removes them from every message, whatever its profile. A value that cannot be read is
refused, so that nothing is sent otherwise than its client meant.
"""

import re
from collections.abc import Callable
from dataclasses import replace as with_changes
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import NamedTuple

from ingest.core import refusals
from ingest.core.admission import Admission, Incoming
from ingest.core.json_field import UnreadableJson, json_object
from ingest.core.refusals import Refusal
from ingest.core.tagging import sorted_out, split_tags
from posthouse.mail.date_field import is_date
from posthouse.mail.message_flag import Flags, MessageFlag
from posthouse.mail.terms import IdempotencyKey

MOST_METADATA_OCTETS = 1000
_MOST_KEY_OCTETS = 255
_SHOWN = 60  # characters of a value in a reply

_KEY = re.compile(r"[ -~]+")
_SECONDS = re.compile(r"[0-9]{1,11}")  # up to the year 5138
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRACKED = {"opens": MessageFlag.OPEN_TRACKING, "clicks": MessageFlag.CLICK_TRACKING}

# Made for each try, by libraries that build the message when it is sent: the boundary is in
# Content-Type. The same message has the others unchanged.
_MADE_EACH_TIME = frozenset(
    (b"content-type", b"date", b"dkim-signature", b"message-id", b"received", b"return-path")
)


class Unreadable(ValueError):
    """Why a value is refused: what is allowed."""


class _OwnHeader(NamedTuple):
    name: str
    apply: Callable[[Incoming, Admission, str], Admission]
    is_list: bool = False  # several are one, with commas between them


def read_own_headers(message: Incoming, decided: Admission) -> Admission | Refusal:
    """What our control headers ask for; as a rule."""
    if not message.head.has_any(_OWN.keys()):
        return decided
    for key, header in _OWN.items():
        fields = message.head.fields(key)
        if not fields:
            continue
        if len(fields) > 1 and not header.is_list:
            return refusals.unreadable_control(header.name, f"{len(fields)} seen, one is allowed")
        value = ",".join(field.value for field in fields)
        try:
            decided = header.apply(message, decided, value)
        except Unreadable as error:
            shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
            return refusals.unreadable_control(header.name, f"{shown!a} seen, {error}")
    return decided


def _tags(message: Incoming, decided: Admission, value: str) -> Admission:
    knobs = message.session.profile.tags
    tags, bad = sorted_out(split_tags(value), knobs)
    if bad:
        raise Unreadable(bad[0].allowed)
    attributes = with_changes(decided.attributes, tags=tags)
    return decided._replace(attributes=attributes)


def _metadata(message: Incoming, decided: Admission, value: str) -> Admission:
    if len(value.encode()) > MOST_METADATA_OCTETS:
        raise Unreadable(f"at most {MOST_METADATA_OCTETS} octets are allowed")
    try:
        found = json_object(message.head.fields(b"x-posthouse-metadata")[0])
    except UnreadableJson as error:
        raise Unreadable(f"a JSON object is allowed: {error}") from error
    attributes = with_changes(decided.attributes, metadata=found)
    return decided._replace(attributes=attributes)


def _track(message: Incoming, decided: Admission, value: str) -> Admission:
    words = {word.strip().lower() for word in value.split(",")}
    if words != {"none"} and not words <= _TRACKED.keys():
        raise Unreadable('"opens", "clicks", both with a comma, or "none" is allowed')
    return tracked(message, decided, {flag: word in words for word, flag in _TRACKED.items()})


def tracked(message: Incoming, decided: Admission, flags: Flags) -> Admission:
    """*flags* win over what was decided, where the profile lets a message say so."""
    if not message.session.profile.tracking.header_overrides:
        return decided
    flags = {**decided.attributes.flags, **flags}
    return decided._replace(attributes=with_changes(decided.attributes, flags=flags))


def _send_at(message: Incoming, decided: Admission, value: str) -> Admission:
    return scheduled(message, decided, moment(value))


def scheduled(message: Incoming, decided: Admission, at: datetime) -> Admission:
    """Not to be sent before *at*, which may be past; Unreadable says that it is too far ahead."""
    now, most_ahead = (
        _UNIX_EPOCH + timedelta(seconds=message.arrived_at),
        message.session.most_ahead,
    )
    if at - now > most_ahead:
        raise Unreadable(f"that is more than {most_ahead.days} days ahead")
    if at <= now:
        return decided
    return decided._replace(terms=with_changes(decided.terms, send_at=at))


def moment(value: str) -> datetime:
    """The time that *value* names, in UTC; raises Unreadable."""
    if _SECONDS.fullmatch(value):
        return _UNIX_EPOCH + timedelta(seconds=int(value))
    try:
        # "-0000" says nothing about the zone of its writer, but the time is that of UTC.
        at = parsedate_to_datetime(value) if is_date(value) else datetime.fromisoformat(value)
        if at.tzinfo is None and not is_date(value):
            raise Unreadable("the zone is missing: add Z or +00:00")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(
            "a date as in Date, one of ISO 8601 with its zone, or seconds since 1970 is allowed"
        ) from error


def _key(message: Incoming, decided: Admission, value: str) -> Admission:
    key = idempotency_key(value, digest(message))
    return decided._replace(terms=with_changes(decided.terms, key=key))


def idempotency_key(text: str, digest: bytes) -> IdempotencyKey:
    """The key *text* for what has that *digest*; raises Unreadable."""
    if not _KEY.fullmatch(text) or len(text) > _MOST_KEY_OCTETS:
        raise Unreadable(f"1 to {_MOST_KEY_OCTETS} printable characters of ASCII are allowed")
    return IdempotencyKey(text, digest)


def digest(message: Incoming) -> bytes:
    """The same for a message that is sent again: of its envelope and header.

    Left out is what a library makes for each try: its date, its Message-ID, its boundary.
    """
    made = blake2b(digest_size=16)
    for part in (message.sender, *message.recipients):
        made.update(b"%s\0" % part.encode(errors="surrogateescape"))
    for field in message.head.header.fields:
        if field.name not in _MADE_EACH_TIME:
            made.update(field.raw)
    return made.digest()


_OWN = {
    header.name.lower().encode(): header
    for header in (
        _OwnHeader("X-Posthouse-Tag", _tags, is_list=True),
        _OwnHeader("X-Posthouse-Metadata", _metadata),
        _OwnHeader("X-Posthouse-Track", _track),
        _OwnHeader("X-Posthouse-Send-At", _send_at),
        _OwnHeader("X-Posthouse-Idempotency-Key", _key),
    )
}
