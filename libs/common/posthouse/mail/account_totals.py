"""What became of mail of an account."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AccountTotals:
    """What happened to mail of an account within two windows, and since it was last released."""

    account_id: UUID
    name: str
    bounce_address: str | None  # where its owner reads
    ended: int  # delivered or bounced, in the window of bounces
    hard: int  # of them, bounced for one of the classes that were asked for
    delivered: int  # in the window of complaints
    complaints: int
