"""By what a report tells mail apart."""

from enum import StrEnum


class Dimension(StrEnum):
    """A column of a report, by the word that asks for it."""

    QUARTER_HOUR = "quarter-hour"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"  # from Monday on (ISO 8601)
    MONTH = "month"
    YEAR = "year"
    SUBJECT = "subject"
    DYNAMIC_SUBJECT = "dynamic-subject"  # `posthouse.traffic.message_set.pattern_of`
    SENDER = "sender"  # the address in From
    SENDER_NAME = "sender-name"
    USER = "user"
    STREAM = "stream"
    TAG = "tag"  # mail with several tags is in a row for each
    TAGS = "tags"  # all of a message together
    DOMAIN = "domain"  # of the sender
    LANE = "lane"
    PROVIDER = "provider"  # of the recipient
    CLASS = "class"  # of the answer


PERIODS = (
    Dimension.QUARTER_HOUR,
    Dimension.HOUR,
    Dimension.DAY,
    Dimension.WEEK,
    Dimension.MONTH,
    Dimension.YEAR,
)
# What counts have themselves; all else is of the set of messages.
OF_LINES = (*PERIODS, Dimension.PROVIDER, Dimension.CLASS)
