"""Fields that a message may have once: copies are told from contradictions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.message import Header
from posthouse.mail.repeated_fields import are_copies, repeated, without_copies


def header(*lines: str) -> Header:
    return Header.parse("\r\n".join((*lines, "", "")).encode("latin-1"))


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["From: a", "To: b", "X: c"], []),
        (["From: a", "TO: b", "from: c", "to : b", "X: 1", "X: 2"], [b"from", b"to"]),
        (["Received: a", "Received: b", "Resent-To: a", "Resent-To: b", "Keywords: a"], []),
        (["Content-Type: a", "Subject: b", "subject: b", "content-type: c"],
         [b"content-type", b"subject"]),
    ],
)  # fmt: skip
def test_only_fields_that_occur_once_count(lines: list[str], names: list[bytes]) -> None:
    assert names == repeated(header(*lines))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Subject: a b", "Subject: a b", True),
        ("Subject: a b", "SUBJECT :\ta\r\n b \t", True),
        ("Subject: a b", "Subject: a  b", False),
        ("Subject: a", "Subject: A", False),
        ("Subject: \xe9", "Subject: \xe8", False),
        ("Subject:", "Subject: \r\n ", True),
    ],
)
def test_copies_may_be_folded_in_their_own_way(one: str, other: str, same: bool) -> None:
    assert same is are_copies(header(one, other).fields)


def test_the_topmost_of_copies_stays_and_so_do_contradictions() -> None:
    before = header("X: 1", "To: a", "Subject: b", "X: 1", "to:\r\n a", "subject: c", "TO: a")
    assert without_copies(before) == header("X: 1", "To: a", "Subject: b", "X: 1", "subject: c")


@given(st.lists(st.sampled_from(["To: a", "to: a", "To: b", "X: a", "Date: a", "Cc:\r\n a"])))
def test_removing_copies_takes_nothing_else(lines: list[str]) -> None:
    before = header(*lines)
    after = without_copies(before)
    left = iter(before.fields)
    assert all(field in left for field in after.fields)  # in their order
    assert {f.name: f.value for f in before.fields if f.name != b"to"} == {
        f.name: f.value for f in after.fields if f.name != b"to"
    }
    assert after.values("To") in {before.values("To"), before.values("To")[:1]}
    assert before.values("X") == after.values("X")
    assert without_copies(after) is after
