"""What the door reads in a header: the same as whoever parses all of it."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.core import lane
from ingest.core.examination import header_and_body, wanted_fields
from posthouse.mail.message import Header, split

NAMES = (b"from", b"received", *lane.FIELDS)
LINES = st.tuples(
    st.sampled_from([*NAMES, b"FROM", b"Subject", b"x-from", b"from-", b"", b" from"]),
    st.sampled_from([b":", b" :", b": ", b"\t: ", b"", b"::"]),
    st.lists(
        st.sampled_from([b"jo@a.example", b"\r\n ", b"\r\n\t", b" ", b"from:", b"\xff", b"1"]),
        max_size=5,
    ).map(b"".join),
).map(lambda parts: b"".join(parts) + b"\r\n")
CONTENT = st.lists(LINES | st.just(b"\r\n"), max_size=8)


@given(CONTENT)
def test_it_finds_what_parsing_the_whole_header_finds(lines: list[bytes]) -> None:
    header, _ = split(b"".join(lines))
    wanted = [field for field in Header.parse(header).fields if field.name in NAMES]
    assert list(wanted_fields(header)) == wanted


@given(CONTENT.filter(bool))
def test_a_message_is_divided_alike_in_pieces_and_whole(pieces: list[bytes]) -> None:
    assert header_and_body(pieces) == split(b"".join(pieces))
