"""Message data: where it ends, what is cleaned or refused, and that memory stays bounded."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.line_ends import MOST_CRS, LineCleaner
from posthouse.mail.message import has_bare_line_end
from posthouse.smtp import data as data_module
from posthouse.smtp.data import ChunkReader, DataReader, Flaw

RFC_LINE = 998
TOKENS = (b"\r", b"\n", b"\r\n", b"\0", b".", b"a")
FALSE_ENDS = (
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
)


def read(
    data: bytes,
    *,
    pieces: int = 1 << 20,
    limit: int = 1_000,
    line_limit: int | None = RFC_LINE,
    cleans: bool = False,
) -> tuple[bytes | Flaw, bytes]:
    """The message in *data* read in *pieces*, and what stands behind it."""
    reader = DataReader(limit, line_limit, cleans=cleans)
    buffer = bytearray()
    complete = False
    for start in range(0, len(data), pieces):
        buffer += data[start : start + pieces]
        complete = complete or reader.feed(buffer)
    assert complete, "the data does not end"
    result = reader.result()
    return result if isinstance(result, Flaw) else b"".join(result), bytes(buffer)


def read_chunks(
    data: bytes, *, pieces: int = 1 << 20, limit: int = 1_000, cleans: bool = False
) -> bytes | Flaw:
    """The message in *data* as chunks of *pieces* octets."""
    reader = ChunkReader(limit, RFC_LINE, cleans=cleans)
    for start in range(0, len(data), pieces):
        buffer = bytearray(data[start : start + pieces])
        assert len(buffer) == reader.feed(buffer, pieces)
        assert not buffer
    reader.finish()
    result = reader.result()
    return result if isinstance(result, Flaw) else b"".join(result)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come becomes a piece as early as it can be: a dot and its CRs stay together."""
    monkeypatch.setattr(data_module, "_PIECE_OCTETS", len("\r\n.") + MOST_CRS)


@pytest.mark.parametrize("pieces", [1, 2, 3, 4, 5, 7, 1_000])
@pytest.mark.parametrize("cleans", [True, False])
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
def test_reads_to_the_end(
    pieces: int, data: bytes, content: bytes, rest: bytes, *, cleans: bool
) -> None:
    assert (content, rest) == read(data, pieces=pieces, cleans=cleans)


@pytest.mark.parametrize("pieces", [1, 2, 3, 1_000])
@pytest.mark.parametrize("data", FALSE_ENDS)
def test_bare_line_ends_end_nothing_and_are_refused(pieces: int, data: bytes) -> None:
    assert read(data, pieces=pieces) == (Flaw.BARE_LINE_END, b"")


@pytest.mark.parametrize("pieces", [1, 2, 3, 1_000])
@pytest.mark.parametrize("data", FALSE_ENDS)
def test_or_they_end_nothing_and_are_cleaned(pieces: int, data: bytes) -> None:
    clean = LineCleaner(stuffed=True).clean(data.removesuffix(b".\r\n"))
    assert read(data, pieces=pieces, cleans=True) == (clean, b"")


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("cleans", [True, False])
def test_every_combination_of_line_ends_and_dots_ends_in_one_place_however_it_is_cut(
    *, cleans: bool
) -> None:
    for filling, *tokens in product((b"", b"x" * 4, b"x" * 8), *(TOKENS,) * 4):
        data = b"".join((filling, *tokens, filling, b"\r\n.\r\nQUIT\r\n"))
        end = (b"\r\n" + data).index(b"\r\n.\r\n")
        content, rest = data[:end], data[end + 3 :]
        expected: bytes | Flaw = LineCleaner(stuffed=True).clean(content)
        if not cleans and has_bare_line_end(content):
            expected = Flaw.BARE_LINE_END
        for pieces in (1, 2, 1_000):
            assert (expected, rest) == read(data, pieces=pieces, cleans=cleans), (data, pieces)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("cleans", [True, False])
def test_chunks_have_no_end_and_no_dot_too_many(*, cleans: bool) -> None:
    for filling, *tokens in product((b"", b"x" * 4, b"x" * 8), *(TOKENS,) * 4):
        content = b"".join((filling, *tokens, filling))
        expected: bytes | Flaw = LineCleaner(stuffed=False).clean(content)
        assert isinstance(expected, bytes)
        if expected and not expected.endswith(b"\r\n"):
            expected += b"\r\n"
        if not cleans and has_bare_line_end(content):
            expected = Flaw.BARE_LINE_END
        for pieces in (1, 3, 1_000):
            assert expected == read_chunks(content, pieces=pieces, cleans=cleans), content


@pytest.mark.parametrize("octet", [b"\n", b"\r", b"\0", b"x", b"\r\0", b"\n.", b"\r\r\n"])
@pytest.mark.parametrize("pieces", [1_000, 300_000])
def test_a_large_message_of_one_kind_is_held_once(octet: bytes, pieces: int) -> None:
    """However odd its lines are, what has come becomes pieces."""
    reader = DataReader(1 << 20, cleans=True)
    content = octet * (400_000 // len(octet))
    for start in range(0, len(content), pieces):
        buffer = bytearray(content[start : start + pieces])
        assert not reader.feed(buffer)
        assert len(reader._open) <= 131_072 + pieces
    assert reader.feed(bytearray(b"\r\n.\r\n"))
    result = reader.result()
    assert isinstance(result, list)
    assert LineCleaner(stuffed=True).clean(content + b"\r\n") == b"".join(result)


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
    assert read_chunks(b"x" * 98 + b"\r\n", limit=100) == b"x" * 98 + b"\r\n"
    assert read_chunks(b"x" * 99 + b"\r\n", limit=100) is Flaw.TOO_BIG


@pytest.mark.parametrize("pieces", [1, 1_000])
def test_the_limit_counts_what_came_and_what_is_kept(pieces: int) -> None:
    """A message that is cleaned may grow or shrink: neither may exceed SIZE."""
    grows, shrinks = b"\n" * 51 + b"\r\n.\r\n", b"\0" * 99 + b"\r\n.\r\n"
    assert read(grows, pieces=pieces, limit=103, cleans=True)[0] is Flaw.TOO_BIG
    assert read(grows, pieces=pieces, limit=104, cleans=True)[0] == b"\r\n" * 52
    assert read(shrinks, pieces=pieces, limit=100, cleans=True)[0] is Flaw.TOO_BIG
    assert read(shrinks, pieces=pieces, limit=101, cleans=True)[0] == b"\r\n"


@pytest.mark.parametrize("before", [b"", b"a\r\n", b"b" * RFC_LINE + b"\r\n"])
@pytest.mark.parametrize("after", [b"", b"a\r\n"])
def test_long_lines(before: bytes, after: bytes) -> None:
    longest = b"x" * RFC_LINE + b"\r\n"
    assert read(before + longest + after + b".\r\n", limit=10_000)[0] == before + longest + after
    too_long = before + b"x" + longest + after
    assert read(too_long + b".\r\n", limit=10_000)[0] is Flaw.LONG_LINE
    assert read(too_long + b".\r\n", limit=10_000, line_limit=None)[0] == too_long


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("pieces", [1, 7, 10_000])
def test_a_line_is_as_long_as_it_is_when_it_is_clean(pieces: int) -> None:
    """Wherever it is cut; a bare CR in the body ends a line, one in the header does not."""
    half = b"x" * (RFC_LINE // 2)
    for content, flaw in (
        (b"\r\n" + half + half + b"\n.\n", None),
        (b"\r\n" + half + half + b"x\n", Flaw.LONG_LINE),
        (b"\r\n" + half + b"\r" + half + b"x\n", None),
        (b"A: " + half + b"\r" + half + b"\n", Flaw.LONG_LINE),
        (b"\r\n" + half + b"\0" * 99 + half + b"\n", None),
    ):
        found, _ = read(content + b"\r\n.\r\n", pieces=pieces, limit=10_000, cleans=True)
        assert flaw == (found if isinstance(found, Flaw) else None), content


@given(
    lines=st.lists(st.binary().map(lambda b: b.translate(None, b"\r\n\0")), max_size=8),
    pieces=st.integers(1, 40),
)
def test_what_was_stuffed_comes_out_as_it_was(lines: list[bytes], pieces: int) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
    assert (content, b"RSET") == read(stuffed + b".\r\nRSET", pieces=pieces, limit=1 << 20)
