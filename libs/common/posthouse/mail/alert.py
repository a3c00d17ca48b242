"""What an account wants to hear of, beside what became of its mail (RULES U16, U17, U23)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from posthouse.mail.rate_limit import Excess


class AlertKind(StrEnum):
    """The closed list of alerts; stored under these words."""

    UNAUTHORIZED_SENDER = "unauthorized_sender"  # a sender is not on the list of senders
    WEBHOOK_PAUSED = "webhook_paused"  # an endpoint of it failed for long
    RATE_LIMIT = "rate_limit"  # more was submitted than it, or one of its users, may send
    ACCOUNT_HELD = "account_held"  # its mail waits until the operator releases it
    UNSUBSCRIBED = "unsubscribed"  # a recipient wants no more of it
    BOUNCED = "bounced"  # a recipient's server refused it for good
    NOT_SENT = "not_sent"  # expired, put into quarantine, or refused by a rule of the relay
    DELIVERED_LATE = "delivered_late"  # later after acceptance than the account allows


class AlertPace(StrEnum):
    """How often an account hears of one kind of alerts; stored and given as these words."""

    NEVER = "never"
    AT_ONCE = "at_once"  # within the limit of messages an hour
    HOURLY = "hourly"  # what came in an hour of the clock (UTC) is one message
    DAILY = "daily"
    WEEKLY = "weekly"  # from Monday on


# What bulk mail always has is told only where somebody asked for it.
PACES: Final[Mapping[AlertKind, AlertPace]] = {
    AlertKind.UNAUTHORIZED_SENDER: AlertPace.AT_ONCE,
    AlertKind.WEBHOOK_PAUSED: AlertPace.AT_ONCE,
    AlertKind.RATE_LIMIT: AlertPace.AT_ONCE,
    AlertKind.ACCOUNT_HELD: AlertPace.AT_ONCE,
    AlertKind.UNSUBSCRIBED: AlertPace.NEVER,
    AlertKind.BOUNCED: AlertPace.NEVER,
    AlertKind.NOT_SENT: AlertPace.NEVER,
    AlertKind.DELIVERED_LATE: AlertPace.NEVER,
}
"""Of an account that has chosen none (RULES U23)."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One of them, as it is seen."""

    kind: AlertKind
    field: str  # where it was seen: "MAIL FROM", or a header field
    address: str
    blocked: bool  # the message was refused

    def detail(self) -> dict[str, Any]:
        """As the detail of an event `alerted`."""
        return {
            "alert": self.kind.value,
            "field": self.field,
            "address": self.address,
            "blocked": self.blocked,
        }


@dataclass(frozen=True, slots=True)
class RateAlert:
    """A rate limit was exceeded; this is told once, until there was room again."""

    username: str  # whose message was the first above it
    excess: Excess
    until: datetime | None  # when there is room again, or when this message goes

    def detail(self) -> dict[str, Any]:
        """As the detail of an event `alerted`."""
        limit = self.excess.limit
        return {
            "alert": AlertKind.RATE_LIMIT.value,
            "username": self.username,
            "limit": str(limit),
            "of": "account" if self.excess.of_account else "user",
            "action": limit.action.value,
            "until": self.until and self.until.isoformat(timespec="seconds"),
        }


@dataclass(frozen=True, slots=True)
class UntoldAlert:
    """An alert as its event has it."""

    at: datetime
    submission_id: UUID  # of no message that is stored, if it was refused
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DueAlerts:
    """Alerts of one kind that an account is to hear of together."""

    account_id: UUID
    account: str  # its name
    address: str | None  # who hears of them; None: nobody any more
    kind: str  # of `AlertKind`, or of a newer version
    count: int
    alerts: tuple[UntoldAlert, ...]  # the first of them
    is_full: bool  # the account had as many messages about this kind as it gets in an hour
