"""The messages that tell an account of alerts."""

from collections.abc import Iterator
from datetime import datetime
from email.utils import format_datetime

from bounces.core.notices.composing import message, plain, words
from bounces.core.notices.notice_text import Frame, common_fields
from posthouse.mail.alert import AlertKind, DueAlerts, UntoldAlert
from posthouse.mail.rate_limit import LimitAction

# What one or many of them are, and what the account does with it.
_WHAT = {
    AlertKind.UNAUTHORIZED_SENDER.value: "mail from a sender that is not authorized",
    AlertKind.RATE_LIMIT.value: "more mail than it may send",
    AlertKind.WEBHOOK_PAUSED.value: "a webhook that does not answer",
    AlertKind.ACCOUNT_HELD.value: "its mail is held",
    AlertKind.UNSUBSCRIBED.value: "recipients who unsubscribed",
    AlertKind.BOUNCED.value: "mail that bounced",
    AlertKind.NOT_SENT.value: "mail that was not sent",
    AlertKind.DELIVERED_LATE.value: "mail that was delivered late",
}
_SUBMITTED = (AlertKind.UNAUTHORIZED_SENDER.value, AlertKind.RATE_LIMIT.value)
_OF_A_RECIPIENT = frozenset(
    kind.value
    for kind in (
        AlertKind.UNSUBSCRIBED,
        AlertKind.BOUNCED,
        AlertKind.NOT_SENT,
        AlertKind.DELIVERED_LATE,
    )
)
_ABOVE = {
    LimitAction.REFUSE.value: "refused until {until}",
    LimitAction.DELAY.value: "accepted; the first of it is sent at {until}, and the rest after it",
    LimitAction.HOLD.value: "accepted; the account is held until the operator releases it",
}


def alert_notice(told: DueAlerts, to: str, frame: Frame) -> tuple[bytes, bytes]:
    """Header and body of a message to *to* about all of *told*."""
    times = f" ({told.count} times)" if told.count > 1 else ""
    what = _WHAT.get(told.kind, plain(told.kind))
    return message(
        [
            *common_fields(frame, to, f"Alert for {plain(told.account)}: {what}{times}"),
            ("Auto-Submitted", "auto-generated"),
        ],
        "mixed",
        [words(_listed(told, what, frame.hostname))],
        frame.id,
    )


def _listed(told: DueAlerts, what: str, hostname: str) -> Iterator[str]:
    yield f"This is the mail system at {plain(hostname)}."
    yield ""
    if told.kind == AlertKind.ACCOUNT_HELD:
        yield f"Mail of the account {plain(told.account)} is held:"
    else:
        verb = "submitted" if told.kind in _SUBMITTED else "has"
        yield f"The account {plain(told.account)} {verb} {what}:"
    for alert in told.alerts:
        yield ""
        yield from _one(alert)
    if (left := told.count - len(told.alerts)) > 0:
        yield ""
        yield f"and {left} more."
    yield ""
    yield "The operator of this relay can say who gets these messages, or turn them off."


def _one(alert: UntoldAlert) -> Iterator[str]:
    match alert.detail.get("alert"):
        case AlertKind.RATE_LIMIT:
            yield from _above(alert)
        case AlertKind.WEBHOOK_PAUSED:
            yield from _paused(alert)
        case AlertKind.ACCOUNT_HELD:
            yield from _held(alert)
        case kind if kind in _OF_A_RECIPIENT:
            yield from _of_a_recipient(alert)
        case _:
            yield from _of_a_sender(alert)


def _of_a_sender(alert: UntoldAlert) -> Iterator[str]:
    """An address that a message was submitted from."""
    detail = alert.detail
    yield f"  {plain(str(detail.get('address', '')))} in {plain(str(detail.get('field', 'it')))}"
    times = detail.get("times", 1)
    often = f", the first of {times} within a second" if times != 1 else ""
    became = "refused" if detail.get("blocked") else "accepted, and sent"
    yield f"      {_when(alert)}{often}: {became}"
    if not detail.get("blocked"):
        yield f"      message {alert.submission_id.hex}"


def _of_a_recipient(alert: UntoldAlert) -> Iterator[str]:
    """What became of a message to one recipient, or to all of them."""
    detail = alert.detail
    why = detail.get("diagnostic") or detail.get("reason") or ""
    yield f"  {plain(str(detail.get('recipient') or 'all its recipients'))}"
    yield f"      {_when(alert)}: {plain(str(detail.get('kind', '')))}" + (
        f": {plain(str(why))}" if why else ""
    )
    yield f"      message {alert.submission_id.hex}"


def _held(alert: UntoldAlert) -> Iterator[str]:
    """The account is blocked."""
    reason = alert.detail.get("reason")
    yield f"  {_when(alert)}: {plain(str(reason)) if reason else 'the operator held it'}"
    yield "      nothing is lost: what you submit waits until the operator releases the account"


def _paused(alert: UntoldAlert) -> Iterator[str]:
    """An endpoint to which nothing more is sent."""
    url, reason = (plain(str(alert.detail.get(name, ""))) for name in ("url", "reason"))
    yield f"  {url}"
    yield f"      {_when(alert)}: {reason}"
    yield "      it is paused: nothing is sent there until it is resumed; events wait a week"


def _above(alert: UntoldAlert) -> Iterator[str]:
    """What became of mail above a rate limit."""
    detail = alert.detail
    of, limit, username = (plain(str(detail.get(name, ""))) for name in ("of", "limit", "username"))
    yield f"  {limit}, the limit of {'the account' if of == 'account' else 'the user'}: {username}"
    until = detail.get("until")
    shown = format_datetime(datetime.fromisoformat(until)) if until else ""
    text = _ABOVE.get(detail.get("action", ""), "accepted").format(until=shown)
    yield f"      {_when(alert)}: {text}"


def _when(alert: UntoldAlert) -> str:
    return format_datetime(alert.at.replace(microsecond=0))
