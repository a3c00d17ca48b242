"""A subscription: a recipient, and the mail of an account that it may unsubscribe from."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class UnsubscribeForm(StrEnum):
    """How a recipient said that it wants no more of it; stored and told in these words."""

    ONE_CLICK = "one click"  # a button of the mail program (RFC 8058)
    PAGE = "the page"
    MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one delivery says about its recipient, and what the lists say now."""

    account_id: UUID
    submission_id: UUID
    delivery_id: UUID
    recipient: str
    author: str  # the address in From
    author_name: str  # the display name beside it, "" for none
    scopes: tuple[str, ...]  # what is unsubscribed from; "" for all mail of the account
    left: frozenset[str] = frozenset()  # the scopes that it has unsubscribed from, in any way
    # Until when this delivery's own entries can be taken back; None: there are none any more.
    revocable_until: datetime | None = None

    @property
    def is_left(self) -> bool:
        """Whether it gets no more messages like this one."""
        return "" in self.left or self.left.issuperset(self.scopes)
