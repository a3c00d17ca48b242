"""Line ends as programs write them: what becomes of each, against a slower way to say the same."""

from collections.abc import Iterator
from itertools import product

import pytest

from posthouse.mail.line_ends import BARE_CR, BARE_LF, MOST_CRS, NUL, SEVERAL_CRS, LineCleaner
from posthouse.mail.message import has_bare_line_end

TOKENS = (b"\r", b"\n", b"\r\n", b"\0", b".", b"a")


def cleaned(content: bytes, *, stuffed: bool = True) -> bytes:
    return LineCleaner(stuffed=stuffed).clean(content)


def slowly(content: bytes, *, stuffed: bool) -> bytes:
    """The same, line by line."""
    out, in_header = b"", True
    *lines, rest = content.split(b"\n")
    for line, end in [*((line, b"\r\n") for line in lines), (rest, b"")]:
        before = line.rstrip(b"\r") if end else line
        text = line[: max(len(before), len(line) - MOST_CRS)] if end else line
        if stuffed and text.startswith(b"."):
            if text == b"." and end:
                continue
            text = text[1:]
        text = text.replace(b"\0", b"")
        in_header = in_header and (text != b"" or not end)
        out += text.replace(b"\r", b" " if in_header else b"\r\n") + end
    return out


@pytest.mark.parametrize("stuffed", [True, False])
def test_every_combination_of_line_ends_and_dots_is_as_it_would_be_line_by_line(
    *, stuffed: bool
) -> None:
    for length in range(6):
        for tokens in product(TOKENS, repeat=length):
            content = b"".join(tokens)
            clean = cleaned(content, stuffed=stuffed)
            assert slowly(content, stuffed=stuffed) == clean, content
            assert not has_bare_line_end(clean), content


@pytest.mark.parametrize(
    ("content", "clean", "found"),
    [
        (b"a\nb\r\nc\n", b"a\r\nb\r\nc\r\n", {BARE_LF}),
        (b"a\r\r\nb\r\r\r\n", b"a\r\nb\r\n", {SEVERAL_CRS}),
        (b"\r\n 10%\r 20%\r 100%\r\n", b"\r\n 10%\r\n 20%\r\n 100%\r\n", {BARE_CR}),
        (b"Subject: a\rBcc: b\r\n\r\n", b"Subject: a Bcc: b\r\n\r\n", {BARE_CR}),
        (b"Subject: a\r\n\rBcc: b\r\n\r\n", b"Subject: a\r\n Bcc: b\r\n\r\n", {BARE_CR}),
        (b"a\0b\r\n", b"ab\r\n", {NUL}),
        (b"A: b\n..\n...c\n.d\n", b"A: b\r\n.\r\n..c\r\nd\r\n", {BARE_LF}),
        (b"a\n.\n.\n.\r\n.\nb\n", b"a\r\nb\r\n", {BARE_LF}),
        (b"\0.a\r\n", b".a\r\n", {NUL}),  # no dot began this line when it came
        (b"\rA: b\r\n", b" A: b\r\n", {BARE_CR}),
        (b"\r" * 9 + b"\n", b"  \r\n", {BARE_CR, SEVERAL_CRS}),
    ],
)
def test_what_becomes_of_each_and_what_is_told_of_it(
    content: bytes, clean: bytes, found: set[str]
) -> None:
    cleaner = LineCleaner(stuffed=True)
    assert clean == cleaner.clean(content)
    assert found == cleaner.found


def cuts(content: bytes) -> Iterator[int]:
    """Where a message may be cut."""
    for at in range(1, len(content)):
        before, after = content[:at], content[at:]
        if before.endswith(b"\n") or not (
            before.endswith(b"\r") or (before[-1:] == b"." and after[:1] in (b"\r", b"\n"))
        ):
            yield at


def test_where_the_message_is_cut_makes_no_difference() -> None:
    for tokens in product(TOKENS, repeat=4):
        content = b"".join(tokens)
        whole = LineCleaner(stuffed=True)
        clean = whole.clean(content)
        for at in cuts(content):
            cleaner = LineCleaner(stuffed=True)
            front = content[:at]
            if not has_bare_line_end(front) and b"." not in front:
                cleaner.skip(front)
                assert clean == front + cleaner.clean(content[at:]), (content, at)
            else:
                assert clean == cleaner.clean(front) + cleaner.clean(content[at:]), (content, at)
            assert whole.found == cleaner.found
