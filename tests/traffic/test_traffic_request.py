"""A request for a report is read from words, and says what is wrong with them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from posthouse.mail.lane import Lane
from posthouse.traffic.bill import month_span
from posthouse.traffic.csv_text import csv_text
from posthouse.traffic.dimension import Dimension
from posthouse.traffic.message_set import pattern_of
from posthouse.traffic.moments import UnreadableWord
from posthouse.traffic.traffic_request import TrafficRequest

NOW = datetime(2026, 11, 30, 12, 20, tzinfo=UTC)
ROME = ZoneInfo("Europe/Rome")


def test_without_words_it_is_the_total_of_seven_days() -> None:
    read = TrafficRequest.parse({}, NOW)
    assert ((), datetime(2026, 11, 24, tzinfo=UTC), NOW) == (read.by, read.since, read.until)


def test_words_are_read() -> None:
    words = {
        "by": ["day,sender", "tag"],
        "zone": ["Europe/Rome"],
        "since": ["2026-10-25"],
        "until": ["2026-10-25"],
        "tag": ["a", "b", "a"],
        "match": ["all"],
        "lane": ["bulk"],
        "stream": [""],
    }
    read = TrafficRequest.parse(words, NOW)
    assert (Dimension.DAY, Dimension.SENDER, Dimension.TAG) == read.by
    assert (("a", "b"), True, Lane.BULK, "") == (read.tags, read.all_tags, read.lane, read.stream)
    assert timedelta(hours=25) == read.until.astimezone(UTC) - read.since.astimezone(UTC)


def test_a_time_is_that_of_the_zone_unless_it_says_so_and_begins_with_its_quarter() -> None:
    words = {"zone": ["Europe/Rome"], "since": ["2026-11-30T09:29"]}
    assert datetime(2026, 11, 30, 9, 15, tzinfo=ROME) == TrafficRequest.parse(words, NOW).since
    words = {"zone": ["Europe/Rome"], "since": ["2026-11-30T09:29:59+00:00"]}
    assert datetime(2026, 11, 30, 9, 15, tzinfo=UTC) == TrafficRequest.parse(words, NOW).since


@pytest.mark.parametrize(
    ("word", "values", "says"),
    [
        ("colour", ["red"], "'colour' is none of: by, zone, since, until, tag"),
        ("by", ["colour"], "by: 'colour' is none of: quarter-hour, hour, day"),
        ("by", ["tag", "user", "lane", "class"], "by: 4 given, at most 3 are allowed"),
        ("by", ["day,week"], "by: at most one of quarter-hour, hour, day"),
        ("zone", ["Europe/Nowhere"], "'Europe/Nowhere' is not a time zone"),
        ("zone", ["localtime"], "'localtime' is not a time zone"),
        ("zone", ["right/UTC"], "'right/UTC' is not a time zone"),
        ("zone", ["../etc/passwd"], "'../etc/passwd' is not a time zone"),
        ("since", ["yesterday"], "'yesterday' is neither a day (2026-11-30) nor a time"),
        ("since", ["0001-01-01"], "'0001-01-01' is of none of the years 1970 to 9998"),
        ("until", ["9999-12-31"], "'9999-12-31' is of none of the years 1970 to 9998"),
        ("until", ["9999-12-31T23:59"], "'9999-12-31T23:59' is of none of the years"),
        ("since", ["2026-12-01"], "since '2026-12-01' is not before until 'now'"),
        ("match", ["some"], "match: 'some' is neither any nor all"),
        ("lane", ["fast"], "no lane is called 'fast'; lanes are 1 or very-high"),
        ("user", ["a", "b"], "user is given 2 times: one value is allowed"),
    ],
)
def test_a_word_that_cannot_be_read_is_named(word: str, values: list[str], says: str) -> None:
    with pytest.raises(UnreadableWord) as error:
        TrafficRequest.parse({word: values}, NOW)
    assert str(error.value).startswith(says)


def test_a_month_ends_where_the_next_one_begins() -> None:
    expected = datetime(2026, 12, 1, tzinfo=ROME), datetime(2027, 1, 1, tzinfo=ROME)
    assert expected == month_span("2026-12", ROME)
    with pytest.raises(UnreadableWord, match="'12/2026' is not a month, such as 2026-11"):
        month_span("12/2026", ROME)
    with pytest.raises(UnreadableWord, match="'9999-12' is of none of the years 1970 to 9998"):
        month_span("9999-12", ROME)


@pytest.mark.parametrize(
    ("subject", "pattern"),
    [
        ("Order A-17 of 3 May, jo@a.example: sent", "Order # of # May, # sent"),
        ("Hello", "Hello"),
        ("3 of (a1) b\u00b2 @ x\u00a01", "# of # b\u00b2 # x\u00a0#"),
        ("", ""),
    ],
)
def test_a_pattern_hides_what_differs_between_messages(subject: str, pattern: str) -> None:
    assert pattern == pattern_of(subject)


def test_no_cell_is_a_formula_to_a_spreadsheet() -> None:
    text = csv_text(("a", "b"), [("=1+1", -1), ('x,"y"', "")])
    assert text == 'a,b\r\n\'=1+1,-1\r\n"x,""y""",\r\n'
