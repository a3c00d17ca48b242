"""What the door reads in a header: the same as whoever parses all of it."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.core import lane
from ingest.core.examination import header_and_body, wanted_fields
from posthouse.mail.message import Header, split

NAMES = (b"from", b"received", *lane.FIELDS)
PARTS = st.sampled_from(
    [*NAMES, b"FROM", b"Subject", b"x-from", b"from-", b":", b" :", b"\r\n", b"\r\n ", b"\r\n\t",
     b" ", b"\t", b"a", b"jo@a.example", b"\xff", b"\r\n\r\n"]
)  # fmt: skip


@given(st.lists(PARTS, max_size=20).map(b"".join))
def test_it_finds_what_parsing_the_whole_header_finds(content: bytes) -> None:
    header, _ = split(content)
    wanted = [field for field in Header.parse(header).fields if field.name in NAMES]
    assert list(wanted_fields(header)) == wanted


@given(st.lists(st.lists(PARTS).map(lambda p: b"".join(p) + b"\r\n"), min_size=1, max_size=5))
def test_a_message_is_divided_alike_in_pieces_and_whole(pieces: list[bytes]) -> None:
    assert header_and_body(pieces) == split(b"".join(pieces))
