"""What is billed: the mail of an account and mailing in a month (E05, E06)."""

from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from posthouse.traffic.moments import UnreadableWord, in_known_years

_MONTHS = 12


class BillLine(NamedTuple):
    """What was sent for one mailing."""

    account: str
    stream: str  # "" for mail of none
    messages: int  # accepted
    recipients: int  # of those
    deliveries: int


def month_span(text: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the month *text*, as in "2026-11", begins in *zone*, and when the next one does.

    Raises UnreadableWord.
    """
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=zone)
    except ValueError as error:
        raise UnreadableWord(f"{text!r} is not a month, such as 2026-11") from error
    in_known_years(first, text)
    years, months = divmod(first.month, _MONTHS)
    return first, first.replace(year=first.year + years, month=months + 1)
