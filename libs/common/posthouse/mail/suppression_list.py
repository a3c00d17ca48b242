"""Suppression: why an account does not mail an address, and for which of its mail that holds."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple


class SuppressionList(StrEnum):
    """Why an address is not mailed; each account has one list of each kind."""

    BOUNCE = "bounce"  # hard entries stay, soft ones end by themselves
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"


def stream_scope(stream: str) -> str:
    """The scope of an entry that holds for one stream; "" is that of all mail of the account."""
    return f"stream:{stream}"


def tag_scope(tag: str) -> str:
    """The scope of an entry that holds for mail with one tag."""
    return f"tag:{tag}"


class Suppression(NamedTuple):
    """An entry that counts now."""

    list: SuppressionList
    scope: str  # of `stream_scope` or `tag_scope`; "" for all mail of the account
    entry: str = ""  # the address, or "@" and a domain for all addresses in it
    reason: str = ""
    since: datetime | None = None


class SuppressedRecipient(NamedTuple):
    """A recipient that gets no delivery, and the entry that says so."""

    address: str
    by: Suppression

    def detail(self) -> dict[str, Any]:
        """For the timeline."""
        known = {**self.by._asdict(), "list": self.by.list.value, "recipient": self.address}
        return {name: value for name, value in known.items() if value}
