"""The timeline of a message as text."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from command.recipient_text import chosen, read_by
from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.reply import escaped
from posthouse.mail.submission import OWN_CREDENTIAL
from posthouse.store.timeline import Timeline

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORD = 10  # letters of most kinds of events
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
_KILO = 1024
_INDENTED = " " * 16
_MOST_ASKED = 20  # recipients with parameters of their own
_LISTED = {"hard": "hard bounce", "soft": "soft bounce, for some time"}


def tell(timeline: Timeline) -> Iterator[str]:
    """The timeline of one message, a line an event, oldest first.

    Much of it is the text of strangers. What is not printable is escaped, and the further lines of
    a reply of several are indented behind a bar, so that none can look like a line of ours.
    """
    for text in _told(timeline):
        first, *others = text.split("\n")
        yield escaped(first)
        for line in others:
            yield f"{_INDENTED}| {escaped(line)}"


def _told(timeline: Timeline) -> Iterator[str]:
    yield from _introduction(timeline.submission)
    recipients = {delivery["id"]: delivery["recipient"] for delivery in timeline.deliveries}
    # Event and attempt were written by one statement: they carry the same time.
    attempts = {(a["delivery_id"], a["finished_at"]): a for a in timeline.attempts}
    # The decision of policy comes before its consequences, though they were written together.
    for event in sorted(
        timeline.events, key=lambda e: (e["at"], e["kind"] != EventKind.PREPARED.value)
    ):
        key = (event["delivery_id"], event["at"])
        yield _line(event["at"], event["kind"], _event(event, recipients, attempts.pop(key, None)))
    for attempt in attempts.values():
        text = f"{recipients[attempt['delivery_id']]} {_host(attempt)}: {_reply(attempt)}"
        yield _line(attempt["finished_at"], attempt["outcome"], text)
    if timeline.submission.get("send_at") is not None:
        yield f"  scheduled     until {timeline.submission['send_at']:%Y-%m-%d %H:%M:%S}"
    if (reason := timeline.submission.get("hold_reason")) is not None:
        yield f"  held          before it is prepared{_held_for(reason)}"
    for delivery in timeline.deliveries:
        if delivery["due_at"] is not None:
            yield _waiting(delivery)
    if timeline.hold is not None and (
        timeline.hold["waits"] or any(delivery["held"] for delivery in timeline.deliveries)
    ):
        yield _held(timeline.hold)


def duration(seconds: float) -> str:
    """A length of time for people: "4.2 s", "3 min", "2 d"."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0.0):.1f} s"


def _introduction(submission: Mapping[str, Any]) -> Iterator[str]:
    recipients = submission["recipients"]
    more = f" and {len(recipients) - 1} more" if len(recipients) > 1 else ""
    arrived = _UNIX_EPOCH + timedelta(milliseconds=submission["id"].int >> 80)
    yield f"message {submission['id'].hex}, {arrived:%Y-%m-%d}"
    yield (
        f"  from {submission['sender'] or '<>'} to {recipients[0]}{more}, "
        f"lane {Lane(submission['lane']).label}, {_size(submission['size'])}, "
        f"{_origin(submission)}"
    )
    if (asked := DsnRequest.from_json((submission["attributes"] or {}).get("dsn"))) is not None:
        yield from _asked(asked)


def _asked(dsn: DsnRequest) -> Iterator[str]:
    """What its sender wants to be told about delivery, as it was given."""
    if dsn.parameters:
        yield f"  asks for{dsn.parameters}"
    for recipient, asked in islice(dsn.recipients.items(), _MOST_ASKED):
        yield f"  asks about {recipient}{asked.parameters}"
    if (more := len(dsn.recipients) - _MOST_ASKED) > 0:
        yield f"  asks about {more} more"


def _origin(submission: Mapping[str, Any]) -> str:
    if submission["credential_id"] == OWN_CREDENTIAL:
        return "by this relay itself"
    user = submission["username"] or "a user that is gone"
    return f"by {user} at {submission['client']} {_secured(submission['tls'])}"


def _line(at: datetime, kind: str, text: str) -> str:
    return f"  {at:%H:%M:%S.%f}"[:-3] + f"  {kind:<{_WORD}} {text}".rstrip()


def _event(
    event: Mapping[str, Any], recipients: Mapping[Any, str], attempt: Mapping[str, Any] | None
) -> str:
    detail: Mapping[str, Any] = event["detail"] or {}
    recipient = recipients.get(event["delivery_id"], detail.get("recipient", ""))
    if attempt is not None:
        # Our own words stand before those of the other side.
        later = f", next try {_later(event, detail)}" if "wait_seconds" in detail else ""
        report = f", report: {detail['dsn']}" if "dsn" in detail else ""
        return f"{recipient} {_host(attempt)}{later}{report}{_listed(detail)}: {_reply(attempt)}"
    match EventKind(event["kind"]):
        case EventKind.PREPARED:
            return _prepared(detail)
        case EventKind.ACCEPTED | EventKind.RESUBMITTED as kind:
            return _submitted(kind, detail)
        case EventKind.SUPPRESSED | EventKind.RECIPIENT_DISCARDED as kind:
            return f"{recipient}: {_left_out(kind, detail)}"
        case EventKind.BOUNCED | EventKind.DELAYED if "status" in detail:
            return _reported(recipient, detail)
        case kind:
            text = f"{_said(kind, detail)}{_listed(detail)}"
            return f"{recipient}: {text}" if recipient else text


def _said(kind: EventKind, detail: Mapping[str, Any]) -> str:
    if kind in (EventKind.OPENED, EventKind.CLICKED):
        return read_by(detail)
    if kind in (EventKind.UNSUBSCRIBED, EventKind.RESUBSCRIBED) and "scopes" in detail:
        return chosen(kind, detail)
    return _alerted(detail) if "alert" in detail else _described(detail)


def _submitted(kind: EventKind, detail: Mapping[str, Any]) -> str:
    if kind is EventKind.ACCEPTED:
        return "committed, the client has its 250"
    how = f"under the key {detail['key']}" if "key" in detail else "in the same octets"
    if until := detail.get("known_until"):
        how += f" (known until {until[:16].replace('T', ' ')})"
    if "repeats" in detail:
        return f"a repeat of {UUID(detail['repeats']).hex}, {how}"
    if "accepted_as" not in detail:
        return f"its client submitted it again {how}, and heard the same id"
    return f"its client submitted it again {how}: accepted as {UUID(detail['accepted_as']).hex}"


def _prepared(detail: Mapping[str, Any]) -> str:
    signed = detail.get("signed") or ()
    by = f"signed by {' and '.join(signed)}" if signed else "not signed"
    count = detail.get("deliveries", 0)
    note = f" ({detail['note']})" if "note" in detail else ""
    return f"{count} {'delivery' if count == 1 else 'deliveries'}, {by}{tracked_text(detail)}{note}"


def tracked_text(detail: Mapping[str, Any]) -> str:
    """What of a prepared message is tracked, behind a comma; "" for nothing."""
    tracked = detail.get("tracked") or {}
    links = tracked.get("links", 0)
    opens = ", opens tracked" if tracked.get("opens") else ""
    return f"{opens}, {links} {'link' if links == 1 else 'links'} tracked" if links else opens


def _reported(recipient: str, detail: Mapping[str, Any]) -> str:
    """The content of a report that came back to the return path."""
    by = f" from {detail['reporting_mta']}" if detail.get("reporting_mta") else ""
    said = f"{detail['status']} ({detail.get('diagnostic') or 'no words'})"
    return f"{recipient}: report{by}{_listed(detail)}: {said}"


def _listed(detail: Mapping[str, Any]) -> str:
    """What this event put the recipient on, and the rule that decided."""
    if "listed" not in detail:
        return ""
    rule = f" by the rule {detail['rule']!r}" if detail.get("rule") else ""
    return f", put on the list: {_LISTED.get(detail['listed'], detail['listed'])}{rule}"


def _left_out(kind: EventKind, detail: Mapping[str, Any]) -> str:
    if kind is EventKind.RECIPIENT_DISCARDED:
        return f"gets no copy, by the rule {detail['rule']}"
    return f"{_suppressed(detail)}, not attempted"


def _alerted(detail: Mapping[str, Any]) -> str:
    what = str(detail["alert"]).replace("_", " ")
    return f"its account hears of an {what}: {detail.get('address')} in {detail.get('field')}"


def _suppressed(detail: Mapping[str, Any]) -> str:
    """The entry that kept a recipient from being mailed."""
    on = f"on the {detail['list']} list" if "list" in detail else "on the suppression list"
    whole = f" as {detail['entry']}" if detail.get("entry", "").startswith("@") else ""
    scope = f" for {detail['scope'].replace(':', ' ', 1)}" if detail.get("scope") else ""
    since = f" since {detail['since'][:16].replace('T', ' ')}" if detail.get("since") else ""
    reason = f" ({detail['reason']})" if detail.get("reason") else ""
    return f"{on}{whole}{scope}{since}{reason}"


def _described(detail: Mapping[str, Any]) -> str:
    """Every field of an event that has no text of its own."""
    return ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in detail.items()
        if name not in ("recipient", "listed", "digest") and value not in (None, "", [], {})
    )


def _host(attempt: Mapping[str, Any]) -> str:
    if not attempt["host"]:
        return "without a connection"
    return f"by {attempt['host']} {_secured(attempt['tls'])}"


def _secured(tls: str) -> str:
    return f"over {tls}" if tls else "without TLS"


def _reply(attempt: Mapping[str, Any]) -> str:
    parts = (attempt["code"] or "", attempt["enhanced"] or "", attempt["reply"])
    return " ".join(str(part) for part in parts if part)


def _waiting(delivery: Mapping[str, Any]) -> str:
    if delivery["leased"]:
        return f"  in progress   {delivery['recipient']}"
    if delivery["held"]:
        by = _held_for(delivery["hold_reason"]) if delivery.get("hold_reason") else ""
        return f"  held          {delivery['recipient']}: after {delivery['tries']} tries{by}"
    where = f", parked at {delivery['parked_at']}" if delivery["parked_at"] else ""
    return (
        f"  waiting       {delivery['recipient']}: after {delivery['tries']} tries, "
        f"next {delivery['due_at']:%Y-%m-%d %H:%M:%S}{where}, "
        f"given up {delivery['expires_at']:%Y-%m-%d %H:%M}"
    )


def _held_for(reason: str) -> str:
    return f", by the operator ({reason}): until `posthouse queue release`"


def _held(hold: Mapping[str, Any]) -> str:
    return (
        f"  held          its account is held since {hold['held_at']:%Y-%m-%d %H:%M} "
        f"({hold['reason']}): it waits until the operator releases the account"
    )


def _later(event: Mapping[str, Any], detail: Mapping[str, Any]) -> str:
    return f"{event['at'] + timedelta(seconds=detail['wait_seconds']):%H:%M:%S}"


def _size(octets: int) -> str:
    return f"{octets} octets" if octets < _KILO else f"{octets / _KILO:.1f} KiB"
