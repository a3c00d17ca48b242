"""Suppression: why an account does not mail an address, and for which of its mail that holds."""

from enum import StrEnum
from typing import NamedTuple


class SuppressionList(StrEnum):
    """Why an address is not mailed; each account has one list of each kind."""

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"


class Suppression(NamedTuple):
    """An entry that counts now."""

    list: SuppressionList
    scope: str  # such as a stream or a tag; "" for all mail of the account
