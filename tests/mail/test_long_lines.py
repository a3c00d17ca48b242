"""Lines of more than 998 octets: what is encoded anew reads the same, and all else stays."""

from base64 import b64encode
from email import message_from_bytes
from email.message import Message
from zlib import crc32

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from posthouse.mail.long_lines import fold_long_lines, has_long_line, reencode_long_lines
from posthouse.mail.message import Header, split

LONG = b"long " * 250 + b"end"
HTML = "<p>größe=1</p>".encode() * 100


def reencoded(message: bytes) -> bytes:
    header, body = split(message)
    edited, new = reencode_long_lines(Header.parse(header), body)
    return bytes(edited) + new


def leaves(message: bytes) -> list[bytes]:
    """The decoded content of each leaf, as another program reads it."""

    def content(part: Message) -> bytes:
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        return payload

    parsed = message_from_bytes(message)
    return [content(part) for part in parsed.walk() if not part.is_multipart()]


def longest(message: bytes) -> int:
    return max(map(len, message.split(b"\r\n")))


def multipart(*parts: bytes, kind: bytes = b"mixed", boundary: bytes = b"b1") -> bytes:
    inside = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    head = b"Content-Type: multipart/%b; boundary=%b\r\n\r\npreamble\r\n" % (kind, boundary)
    return head + inside + b"--" + boundary + b"--\r\nepilogue\r\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", False),
        (b"x" * 998, False),
        (b"x" * 998 + b"\r\n", False),
        (b"x" * 999, True),
        (b"x" * 999 + b"\r\n", True),
        ((b"y" * 500 + b"\r\n") * 3, False),
        (b"y" * 500 + b"\r\n" + b"x" * 998, False),
        (b"y\r\n" + b"x" * 999 + b"\r\ny\r\n", True),
        (b"y\r\n" + b"x" * 999, True),
    ],
)
def test_998_octets_are_a_line(content: bytes, expected: bool) -> None:
    assert expected is has_long_line(content)


@given(st.lists(st.integers(0, 9)), st.booleans())
def test_every_line_is_measured(lengths: list[int], ended: bool) -> None:
    content = b"\r\n".join(b"x" * length for length in lengths) + b"\r\n" * ended
    assert any(length > 5 for length in lengths) is has_long_line(content, 5)


@pytest.mark.parametrize("encoding", [b"", b"7bit", b"8BIT", b"binary"])
@pytest.mark.parametrize("end", [b"\r\n", b"", b"  \r\n", b"\t", b"\r\n\r\n.\r\n"])
def test_text_becomes_quoted_printable(encoding: bytes, end: bytes) -> None:
    field = b"Content-Transfer-Encoding: %b\r\n" % encoding if encoding else b""
    before = b"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n" + field
    body = b"short=1 \r\n" + HTML + b"\r\n\tFrom\r\n" + LONG + end

    after = reencoded(before + b"\r\n" + body)
    header, encoded = split(after)

    assert leaves(after) == [body]
    assert longest(encoded) <= 76
    assert encoded.isascii()
    assert Header.parse(header).values("Content-Transfer-Encoding") == ("quoted-printable",)
    assert Header.parse(header).values("MIME-Version") == ("1.0",)
    assert header.startswith(b"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n")


@given(
    st.binary(max_size=300).map(lambda octets: octets.translate(None, b"\r\n\0")),
    st.integers(0, 80),
)
@example(b"a" * 73 + b"  ", 0)
@example(b"a" * 74 + b"\t", 0)
def test_any_octets_are_decoded_as_they_were(octets: bytes, cut: int) -> None:
    body = LONG + b"\r\n" + octets[:cut] + b"\r\n" + octets[cut:] + b"\r\n"
    after = reencoded(b"Subject: x\r\n\r\n" + body)
    assert leaves(after) == [body]
    assert longest(split(after)[1]) <= 76


def test_what_is_encoded_already_gets_more_line_ends() -> None:
    quoted = b"Content-Transfer-Encoding: Quoted-Printable\r\n\r\n"
    base64 = b"Content-Transfer-Encoding: base64\r\n\r\n"
    for body in (
        b"=C3=BC" * 200,
        b"a" * 74 + b"=3D" * 400 + b"=\r\nb",
        b"x \r\n" + b"abc=20" * 170,
    ):
        after = reencoded(quoted + body)
        assert leaves(after) == leaves(quoted + body)
        assert longest(after) <= 76
        assert after.startswith(quoted)
    body = b64encode(b"content" * 1_000)
    after = reencoded(base64 + body + b"\r\n")
    assert leaves(after) == [b"content" * 1_000]
    assert longest(after) == 76
    assert after.startswith(base64)


def test_only_the_part_with_a_long_line_changes() -> None:
    plain = b"Content-Type: text/plain\r\n\r\nshort \xe9\r\n"
    html = b"X-Part: 1\r\nContent-type: text/html\r\n\r\n" + HTML
    inner = multipart(plain, html, b"\r\n" + LONG, kind=b'"alternative"', boundary=b'"b 2"')
    inner = inner.replace(b'--"b 2"', b"--b 2").replace(b'"alternative"', b"alternative")
    message = b"MIME-Version: 1.0\r\n" + multipart(plain, inner, plain)

    after = reencoded(message)

    assert leaves(after) == leaves(message)
    assert longest(after) <= 100
    quoted = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    assert after.count(quoted) == 2
    begin, end = message.index(HTML), message.index(HTML) + len(HTML)
    assert after.startswith(message[: begin - 2] + quoted)
    assert b"\r\n--b 2\r\n" + quoted + b"long long" in after
    assert after.endswith(message[message.rindex(b"end\r\n--b 2--") + 3 :])
    assert message[end : end + 12] == b"\r\n--b 2\r\n\r\nl"


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: x\r\n\r\nshort\r\n",
        b"Subject: x\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n" + LONG,
        b"Subject: x\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\n" + LONG,
        multipart(b"\r\n" + LONG, b"\r\nsignature", kind=b"signed"),
        multipart(b"\r\nVersion: 1", b"\r\n" + LONG, kind=b"encrypted"),
        multipart(multipart(b"\r\n" + LONG, kind=b"signed", boundary=b"s"), b"\r\nshort"),
        multipart(b"Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\n" + LONG),
        multipart(b"\r\nSubject: y\r\n\r\n" + LONG, kind=b"digest"),
        multipart(b"no empty line behind a field " + LONG),
        multipart(b"X: " + LONG + b"\r\n\r\nshort"),
        multipart(b"\r\nshort").replace(b"preamble", LONG),
        multipart(b"\r\nshort").replace(b"epilogue", LONG),
        multipart(b"\r\n" + LONG).replace(b"; boundary=b1", b""),
        multipart(b"\r\n" + LONG).replace(b"boundary=b1", b"boundary=b2"),
        multipart(b"\r\n" + LONG).replace(b"boundary=b1", b'name="; boundary=b1"'),
        # Soft line ends would make a boundary of what is none.
        multipart(b"\r\n" + b"x" * 75 + b"--b1" + b"x" * 1_000),
    ],
)
def test_what_cannot_be_encoded_anew_is_passed_on(message: bytes) -> None:
    assert message == reencoded(message)


def test_a_multipart_that_does_not_end_has_parts_all_the_same() -> None:
    message = multipart(b"\r\nshort", b"\r\n" + LONG + b" =").partition(b"\r\n--b1--")[0]
    after = reencoded(message)
    assert leaves(after) == leaves(message)
    assert longest(after) < 100


def test_empty_parts_stay() -> None:
    message = multipart(b"\r\n" + LONG).replace(b"--b1\r\n", b"--b1\r\n--b1 \t\r\n--b1\r\n", 1)
    after = reencoded(message)
    assert after.startswith(message[: message.index(b"long") - 2])
    assert leaves(after) == leaves(message)


texts = st.lists(st.sampled_from([b"short", LONG, HTML, b"--x", b" =", b"."]), max_size=3)
fields = st.sampled_from(
    [b"Content-Type: text/html\r\n", b"Content-Transfer-Encoding: 8bit\r\n", b""]
)
parts = st.recursive(
    st.builds(lambda field, lines: field + b"\r\n" + b"\r\n".join(lines), fields, texts),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(
        lambda some: multipart(*some, boundary=b"=_%d" % crc32(b"".join(some)))
    ),
    max_leaves=5,
)


@settings(max_examples=50)
@given(parts)
def test_every_structure_reads_the_same_and_has_no_long_line(message: bytes) -> None:
    after = reencoded(b"X: 1\r\n" + message)
    assert [x.rstrip(b"\r\n") for x in leaves(message)] == [
        x.rstrip(b"\r\n") for x in leaves(after)
    ]
    assert not has_long_line(after)
    assert reencoded(after) == after


def test_deep_and_hostile_structures_are_passed_on() -> None:
    message = b"\r\n" + LONG
    for depth in range(100):
        message = multipart(message, boundary=b"b=_%d" % depth)
    assert reencoded(message) == message
    many = multipart(*[b"\r\n" + LONG] * 2_000)
    assert longest(reencoded(many)) <= 100
    assert reencoded(b"Content-Type: " + b"; x=" * 9_000 + b"\r\n\r\n" + LONG)
    assert reencoded(b'Content-Type: multipart/x; boundary="' + b"\\" * 9_000 + b"\r\n\r\n" + LONG)


def test_long_lines_of_a_header_are_folded_at_blanks() -> None:
    long = b"Subject: " + b"word  and\t" * 200 + b"end"
    other = b"X-Odd :  a \r\n\tb\r\nFrom: a@b.example\r\n"
    header = Header.parse(other + long + b"\r\n" + b"X: " + b"x" * 1_500 + b" y\r\n\r\n")

    after = fold_long_lines(header)

    assert header.values("Subject") == after.values("Subject")
    assert longest(after.fields[2].raw) <= 78
    assert header.fields[:2] == after.fields[:2]
    assert header.fields[3] == after.fields[3]  # nowhere to fold
    assert fold_long_lines(Header.parse(other + b"\r\n")) == Header.parse(other + b"\r\n")
