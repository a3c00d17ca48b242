"""What an account wants to hear of, beside what became of its mail (RULES U16, U17, U23)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from posthouse.mail.rate_limit import Excess


class AlertKind(StrEnum):
    """The closed list of alerts; stored under these words."""

    UNAUTHORIZED_SENDER = "unauthorized_sender"  # a sender is not on the list of senders
    WEBHOOK_PAUSED = "webhook_paused"  # an endpoint of it failed for long
    RATE_LIMIT = "rate_limit"  # more was submitted than it, or one of its users, may send


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
