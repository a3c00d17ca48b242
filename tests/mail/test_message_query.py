"""The words of a search: what they mean, and which are refused."""

from datetime import UTC, datetime, timedelta

import pytest

from posthouse.mail.message_query import MessageQuery, UnusableQuery, cursor_in
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
        ({"state": "lost"}, "state 'lost' is none of ready, inflight"),
    ],
)
def test_words_without_a_meaning_are_refused(words: dict[str, str], said: str) -> None:
    with pytest.raises(UnusableQuery, match=said):
        MessageQuery.of(words, NOW)


def test_a_cursor_of_others_is_refused() -> None:
    with pytest.raises(UnusableQuery, match="is not a cursor"):
        cursor_in("next")
