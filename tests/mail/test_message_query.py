"""The words of a search: what they mean, and which are refused."""

from datetime import UTC, datetime, timedelta

import pytest

from posthouse.mail.message_query import MessageQuery, UnusableQuery, cursor_in, spellings
from posthouse.mail.message_state import MessageState

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_words_say_which_messages() -> None:
    words = {
        "to": "ann@dest.example",
        "from": "<>",
        "since": "2026-11-30",
        "until": "2h",
        "state": "held,bounced",
    }
    assert MessageQuery(
        to="ann@dest.example",
        sender="",
        since=datetime(2026, 11, 30, tzinfo=UTC),
        until=NOW - timedelta(hours=2),
        states=frozenset((MessageState.HELD, MessageState.BOUNCED)),
    ) == MessageQuery.of(words, NOW)


@pytest.mark.parametrize("early", ["99999d", "0001-01-01", "1970-01-01T00:00+14:00"])
def test_no_time_is_before_those_of_ids(early: str) -> None:
    words = {"user": "app-1", "since": early}
    assert datetime(1970, 1, 1, tzinfo=UTC) == MessageQuery.of(words, NOW).since


def test_spellings_are_those_that_are_stored() -> None:
    """Of which only ASCII is put into lower case."""
    wanted = ("\u00c4nn@dest.example", "\u00e4nn@dest.example")
    assert wanted == spellings("\u00c4NN@Dest.example")


def test_without_a_key_it_is_the_last_day() -> None:
    day = timedelta(days=1)
    assert NOW - day == MessageQuery.of({"account": "shop"}, NOW).since
    assert NOW - 3 * day == MessageQuery.of({"account": "shop", "until": "2d"}, NOW).since
    assert MessageQuery.of({"user": "app-1"}, NOW).since is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"colour": "red"}, "'colour' is none of to, from"),
        ({"to": ""}, "to has to have 1 to 500"),
        ({"to": "x" * 501}, "to has to have 1 to 500"),
        ({"to": "a\0b"}, "to has to have"),
        ({"tag": "may"}, "tag needs account"),
        ({"subject": "invoice"}, "subject needs account"),
        ({"subject": "invoice", "account": "shop", "since": "2d"}, "within a day"),
        ({"since": "yesterday"}, "since: 'yesterday' is not like 2h"),
        ({"until": "9999-12-31T23:59-01:00"}, "until: '9999-12-31T23:59-01:00' is not like 2h"),
        ({"state": "lost"}, "state 'lost' is none of ready, inflight"),
    ],
)
def test_words_without_a_meaning_are_refused(words: dict[str, str], said: str) -> None:
    with pytest.raises(UnusableQuery, match=said):
        MessageQuery.of(words, NOW)


def test_a_cursor_of_others_is_refused() -> None:
    with pytest.raises(UnusableQuery, match="is not a cursor"):
        cursor_in("next")
