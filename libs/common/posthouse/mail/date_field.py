"""Whether the value of a Date field is a date (RFC 5322 section 3.3)."""

import re
from datetime import date
from functools import lru_cache

from posthouse.mail.address import InvalidAddress
from posthouse.mail.mailbox import tokens

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_OLDEST_YEAR = 1900  # of four digits
_TWO_DIGITS, _FIFTY, _THREE_DIGITS = 2, 50, 3

# With the obsolete forms of section 4.3: blanks around the commas and colons, years of two and
# three digits, names of zones. Names of other zones are to be taken for -0000.
_DATE = re.compile(
    r"[ \t]*(?:([A-Za-z]{3})[ \t]*,)?[ \t]*([0-9]{1,2})[ \t]+([A-Za-z]{3})[ \t]+([0-9]{2,4})[ \t]+"
    r"([0-9]{2})[ \t]*:[ \t]*([0-9]{2})(?:[ \t]*:[ \t]*([0-9]{2}))?[ \t]+"
    r"(?:[+-][0-9]{2}[0-5][0-9]|[A-IK-Za-ik-z]|[A-Za-z]{2,5})[ \t]*"
)


@lru_cache(maxsize=256)  # the messages of a second have the same
def is_date(value: str) -> bool:
    """Whether *value*, unfolded, names a moment: its syntax, obsolete forms too, and its meaning.

    The day must exist and its name, where given, must be right (section 3.3).
    """
    match = _DATE.fullmatch(value) or (_DATE.fullmatch(_bare(value)) if "(" in value else None)
    if match is None:
        return False
    name, day, month, year, hour, minute, second = match.groups()
    if hour > "23" or minute > "59" or (second or "") > "60":
        return False
    try:
        found = date(_full(year), _MONTHS.index(month.lower()) + 1, int(day))
    except ValueError:
        return False
    is_named_right = name is None or name.lower() == _DAYS[found.weekday()]
    return is_named_right and found.year >= _OLDEST_YEAR


def _full(year: str) -> int:
    """A year as section 4.3 reads it."""
    number = int(year)
    if len(year) == _TWO_DIGITS:
        return number + (2000 if number < _FIFTY else 1900)
    return number + 1900 if len(year) == _THREE_DIGITS else number


def _bare(value: str) -> str:
    """*value* without its comments, with single blanks; "" if they do not end."""
    try:
        bare = "".join([" " if token.is_comment else token.text for token in tokens(value)])
    except InvalidAddress:
        return ""
    return " ".join(bare.split())  # a thousand blanks in a row would cost a million steps
