"""Which values of Date and Message-ID are valid."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime, make_msgid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.date_field import is_date
from posthouse.mail.message_id import is_message_id


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 01 Mar 2026 12:30:00 +0000",
        "1 Mar 2026 12:30:00 -0330",
        "sun, 1 MAR 2026 12:30 +0000",
        "Sun, 01 Mar 2026 12:30:00 +0000 (UTC)",
        "Sun,  1 Mar 2026\t12:30:60 +1245 (a (nested) one)",
        "(first) Sun (a) , (b) 1 (c) Mar (d) 2026 (e) 12 (f) : (g) 30 (h) GMT (i)",
        "Sun,1 Mar 2026 12:30:00 GMT",
        "1 Mar 26 12:30:00 EST",
        "1 Mar 126 12:30:00 Z",
        "Mon, 1 Mar 99 12:30:00 EST",
        "Thu, 29 Feb 2024 00:00:00 a",
        "Sun, 01 Mar 2026 12:30:00 UTC",  # section 4.3: a name that is not listed is -0000
        "Sun, 01 Mar 2026 12:30:00 CEST",
    ],
)
def test_a_moment_may_be_written_so(value: str) -> None:
    assert is_date(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2026-03-01T12:30:00Z",
        "Sun Mar 1 12:30:00 2026",  # of C
        "1772368200",
        "Mon, 01 Mar 2026 12:30:00 +0000",  # it was a Sunday
        "Son, 01 Mär 2026 12:30:00 +0000",
        "So., 1 März 2026 12:30:00 +0000",
        "Sun, 30 Feb 2026 12:30:00 +0000",
        "Sun, 00 Mar 2026 12:30:00 +0000",
        "Sun, 01 Mar 0026 12:30:00 +0000",
        "Sun, 01 Mar 1899 12:30:00 +0000",
        "Sun, 01 Mar 2026 24:30:00 +0000",
        "Sun, 01 Mar 2026 12:60:00 +0000",
        "Sun, 01 Mar 2026 12:30:61 +0000",
        "Sun, 01 Mar 2026 1:30:00 +0000",
        "Sun, 01 Mar 2026 12:30:00",
        "Sun, 01 Mar 2026 12:30:00 +00:00",
        "Sun, 01 Mar 2026 12:30:00 +0060",
        "Sun, 01 Mar 2026 12:30:00+0000",
        "Sun, 01 Mar 2026 12:30:00 PM +0000",
        "Sun, 01 Mar 2026 12:30:00 J",
        "Sun, 01 Mar 2026 12:30:00 +0000 (UTC",
        "Sun, 01 Mar 2026 12:30:00 +0000, Sun, 01 Mar 2026 12:30:00 +0000",
        'Sun, 01 Mar 2026 12:30:00 "+0000"',
        "Sun, 0\u0661 Mar 2026 12:30:00 +0000",
        "Sun, 01 Mar 2026\u00a012:30:00 +0000",
    ],
)
def test_no_reader_knows_when_that_is(value: str) -> None:
    assert not is_date(value)


@given(st.datetimes(datetime(1950, 1, 1), datetime(2999, 12, 31)), st.integers(-1439, 1439))  # noqa: DTZ001 - in every zone
def test_a_date_that_another_program_writes_is_one(moment: datetime, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    assert is_date(format_datetime(moment.replace(tzinfo=zone)))
    assert is_date(format_datetime(moment.replace(tzinfo=UTC), usegmt=True))


@pytest.mark.parametrize(
    "value",
    [
        "<a@b>",
        "<1.2.3@a.example>",
        "<!#$%&'*+/=?^_`{|}~-@a.example>",
        "<a@host_1.local>",
        "<a@[192.0.2.1]>",
        "<a@[anything:else]>",
        " <a@b>\t",
        "(x) <a@b> (y)",
        '<"a b"@c>',
        '<"a@b".c@d>',
        "< a . b @ c . d >",
        "<a@b(x)>",
        "<a@[b c]>",
    ],
)
def test_that_identifies_a_message(value: str) -> None:
    assert is_message_id(value)
    assert is_message_id(value, utf8=True)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "<>",
        "<a>",
        "<@b>",
        "<a@>",
        "a@b",
        "<a@b",
        "a@b>",
        "<<a@b>>",
        "<a@b@c>",
        "<a@b><c@d>",
        "<a@b> <c@d>",
        "<a@b>, <c@d>",
        "<a@b> c",
        "x <a@b>",
        "<a b@c>",
        "<a@b c>",
        "<a..b@c>",
        "<.a@b>",
        "<a.@b>",
        "<a@b.>",
        "<a@.b>",
        "<a:b@c>",
        "<a(x)b@c>",
        '<"a@b>',
        '<a@"b">',
        "<a@[b>",
        "<a@b(>",
        "<a\x01@b>",
        '<"a"b@c>',
    ],
)
def test_that_does_not(value: str) -> None:
    assert not is_message_id(value)
    assert not is_message_id(value, utf8=True)


@pytest.mark.parametrize("value", ["<grün@a.example>", "<a@grün.example>"])
def test_letters_beyond_ascii_are_for_smtputf8(value: str) -> None:
    assert is_message_id(value, utf8=True)
    assert not is_message_id(value)
    assert not is_message_id(value.replace("ü", "\u2028"), utf8=True)


def test_an_identifier_of_another_program_is_one() -> None:
    assert is_message_id(make_msgid("x", "a.example"))


@pytest.mark.parametrize(
    "value",
    ["<" + "a." * 50_000, "<a" + " " * 50_000, "<" + '"' * 50_001, "(" * 50_000, '<"".' * 20_000,
     "<a@" + "b." * 50_000, "1 " * 50_000, "Sun," + " " * 50_000, "1 Mar 2026 12" + ": " * 50_000,
     "(a)" * 30_000 + "x"],
    ids=lambda value: value[:8],
)  # fmt: skip
def test_a_hostile_value_costs_one_pass(value: str) -> None:
    """In quadratic time this would take minutes."""
    for hostile in (value, f"{value}@", f"{value}(x)"):
        assert not is_date(hostile)
        assert not is_message_id(hostile)
