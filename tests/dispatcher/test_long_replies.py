"""Replies up to 64 KiB are kept, the rest is cut; one without end is no reply."""

import pytest

from dispatcher.core.reply_reader import ENDLESS, REPLY_LIMIT, GarbledReply, ReplyReader
from posthouse.mail.reply import Reply

PIECE = 4096


def read(data: bytes, piece: int = PIECE) -> list[Reply]:
    reader = ReplyReader()
    replies = []
    for start in range(0, len(data), piece):
        replies += reader.feed(data[start : start + piece])
    assert reader.is_empty
    return replies


@pytest.mark.parametrize("piece", [999, PIECE, ENDLESS])
def test_a_line_of_sixty_kibibytes_is_a_reply(piece: int) -> None:
    text = "no such user " * 4700
    assert [Reply(550, text)] == read(f"550 {text}\r\n".encode(), piece)


@pytest.mark.parametrize("piece", [999, PIECE, ENDLESS])
def test_what_is_beyond_the_limit_is_cut(piece: int) -> None:
    first, second = read(b"550 " + b"x" * 2 * REPLY_LIMIT + b"\r\n250 ok\r\n", piece)
    assert first == Reply(550, "x" * (REPLY_LIMIT - 4))
    assert second == Reply(250, "ok")


@pytest.mark.parametrize("piece", [999, PIECE, ENDLESS])
def test_lines_beyond_the_limit_are_cut_and_the_last_code_counts(piece: int) -> None:
    lines = b"550-" + b"x" * 996 + b"\r\n"
    first, second = read(lines * 100 + b"450 late\r\n250 ok\r\n", piece)
    assert first.code == 450
    assert len(first.text) <= REPLY_LIMIT + 100
    assert second == Reply(250, "ok")


def test_a_reply_without_end_is_garbled_however_it_comes() -> None:
    with pytest.raises(GarbledReply, match="without end"):
        read(b"550-no\r\n" * (ENDLESS // 8 + 1))
    with pytest.raises(GarbledReply, match="without end"):
        read(b"550 no end" * (ENDLESS // 10 + 1))


def test_many_replies_are_no_endless_one() -> None:
    reader = ReplyReader()
    taken = sum(len(reader.feed(b"250 ok\r\n" * 1000)) for _ in range(200))
    assert taken == 200_000
