"""Message data: where it ends, what is refused, and that memory stays bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.smtp.data import LINE_LIMIT, DataReader, Flaw


def read(data: bytes, *, pieces: int = 1 << 20, limit: int = 1_000) -> tuple[bytes | Flaw, bytes]:
    """The message in *data* read in *pieces*, and what stands behind it."""
    reader = DataReader(limit)
    buffer = bytearray()
    complete = False
    for start in range(0, len(data), pieces):
        buffer += data[start : start + pieces]
        complete = complete or reader.feed(buffer)
    assert complete, "the data does not end"
    result = reader.result()
    return result if isinstance(result, Flaw) else b"".join(result), bytes(buffer)


@pytest.mark.parametrize("pieces", [1, 2, 3, 4, 5, 7, 1_000])
@pytest.mark.parametrize(
    ("data", "content", "rest"),
    [
        (b".\r\n", b"", b""),
        (b"\r\n.\r\n", b"\r\n", b""),
        (b"a\r\n.\r\n", b"a\r\n", b""),
        (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
        (b"a\r\n.\r\nb\r\n.\r\n", b"a\r\n", b"b\r\n.\r\n"),  # the first end counts
        (b"..\r\n.\r\n", b".\r\n", b""),
        (b"...a\r\n..\r\n.\r\n", b"..a\r\n.\r\n", b""),
        (b".a\r\n.\r\n", b"a\r\n", b""),  # a dot that was not doubled goes all the same
        (b"a.\r\n.\r\n", b"a.\r\n", b""),
        (b"\xff\xfe\r\n.\r\n", b"\xff\xfe\r\n", b""),
    ],
)
def test_reads_to_the_end(pieces: int, data: bytes, content: bytes, rest: bytes) -> None:
    assert (content, rest) == read(data, pieces=pieces)


@pytest.mark.parametrize("pieces", [1, 2, 3, 1_000])
@pytest.mark.parametrize(
    "data",
    [
        b"a\n.\nb\r\n.\r\n",
        b"a\n.\r\nb\r\n.\r\n",
        b"a\r\n.\nb\r\n.\r\n",
        b"a\r.\rb\r\n.\r\n",
        b"a\r.\r\nb\r\n.\r\n",
        b"a\r\n.\rb\r\n.\r\n",
        b"a\r\r\n.\r\n",
        b"a\n\r\n.\r\n",
        b"a\r\n\n.\r\n\r\n.\r\n",
        b"\n.\r\n\r\n.\r\n",
        b"a\0b\r\n.\r\n",
        b"\rabc\n\r\n.\r\n",  # as many CRs as LFs, and none of them together
    ],
)
def test_bare_line_ends_end_nothing_and_are_refused(pieces: int, data: bytes) -> None:
    assert read(data, pieces=pieces) == (Flaw.BARE_LINE_END, b"")


@pytest.mark.parametrize("pieces", [1, 3, 1_000, 1 << 20])
def test_too_much_is_read_to_its_end_but_not_kept(pieces: int) -> None:
    data = b"x" * 998 + b"\r\n"
    reader = DataReader(limit=1_500)
    buffer = bytearray()
    for start in range(0, 100_000, pieces):
        buffer += (data * 100)[start : start + pieces]
        assert not reader.feed(buffer)
        assert reader.kept_octets <= 1_500 + pieces + 5
    buffer += b".\r\nNOOP\r\n"
    assert reader.feed(buffer)
    assert reader.result() is Flaw.TOO_BIG
    assert buffer == b"NOOP\r\n"


def test_the_limit_is_what_the_message_may_have() -> None:
    assert read(b"x" * 98 + b"\r\n.\r\n", limit=100)[0] == b"x" * 98 + b"\r\n"
    assert read(b"x" * 99 + b"\r\n.\r\n", limit=100)[0] is Flaw.TOO_BIG


@pytest.mark.parametrize("before", [b"", b"a\r\n", b"b" * LINE_LIMIT + b"\r\n"])
@pytest.mark.parametrize("after", [b"", b"a\r\n"])
def test_long_lines(before: bytes, after: bytes) -> None:
    longest = b"x" * LINE_LIMIT + b"\r\n"
    assert read(before + longest + after + b".\r\n", limit=10_000)[0] == before + longest + after
    assert read(before + b"x" + longest + after + b".\r\n", limit=10_000)[0] is Flaw.LONG_LINE


@given(
    lines=st.lists(st.binary().map(lambda b: b.translate(None, b"\r\n\0")), max_size=8),
    pieces=st.integers(1, 40),
)
def test_what_was_stuffed_comes_out_as_it_was(lines: list[bytes], pieces: int) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
    assert (content, b"RSET") == read(stuffed + b".\r\nRSET", pieces=pieces, limit=1 << 20)


@given(data=st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\0"])).map(b"".join))
def test_whatever_is_taken_has_clean_line_ends(data: bytes) -> None:
    content, _ = read(data + b"\r\n.\r\n")
    if isinstance(content, bytes):
        bare = content.replace(b"\r\n", b"")
        assert not set(b"\r\n\0") & set(bare)
