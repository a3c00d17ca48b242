"""What a list puts around its messages: where it goes, and that nothing else changes."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.message import Header
from posthouse.tracking.list_frame import FramedBody, ListFrame, frame_body
from servers.newsletters import Letter, letters

FRAME = ListFrame("<p>Sch\u00f6ner Kopf</p>", "Kopf", "<p>Fu\u00df</p>", "Fuss")
HEAD, FOOT = "<p>Sch&#246;ner Kopf</p>\r\n", "<p>Fu&#223;</p>\r\n"
LETTERS = letters()[::10]
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n"


def framed(header: bytes, body: bytes, frame: ListFrame = FRAME) -> FramedBody:
    return frame_body(Header.parse(header), body, frame)


def html_of(html: str, frame: ListFrame = FRAME) -> str:
    found = framed(HTML, html.encode(), frame).body
    return html if found is None else found.decode()


def read(header: bytes, found: FramedBody) -> EmailMessage:
    if found.transfer_encoding:
        header = header.replace(
            b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        )
    assert found.body is not None
    return message_from_bytes(header + found.body, policy=policy.default)


@pytest.mark.parametrize("letter", LETTERS, ids=[letter.name for letter in LETTERS])
def test_U19_newsletters_have_header_and_footer_and_are_else_as_they_were(letter: Letter) -> None:
    found = framed(letter.header, letter.body)
    assert found.body is not None
    before, after = (
        [
            (part.get_content_type(), part.get_payload(decode=True))
            for part in message_from_bytes(letter.header + body).walk()
        ]
        for body in (letter.body, found.body)
    )
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    kinds = [old[0] for old, _ in changed]
    assert "text/html" in kinds
    assert kinds == list(dict.fromkeys(kinds))
    for (kind, old), (_, new) in changed:
        assert isinstance(old, bytes)
        assert isinstance(new, bytes)
        head, foot = (HEAD, FOOT) if kind == "text/html" else ("Kopf\r\n\r\n", "\r\nFuss\r\n")
        octets = "utf-16-le" if b"\0" in new else "ascii"
        rest = new.replace(head.encode(octets), b"").replace(foot.encode(octets), b"")
        assert len(head + foot) <= len(new) - len(old) or found.left
        assert old.rstrip() == rest.rstrip()


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<b>x</b>", f"{HEAD}<b>x</b>{FOOT}"),
        (
            "<html><BODY bgcolor=red>x</BODY></html>",
            f"<html><BODY bgcolor=red>{HEAD}x{FOOT}</BODY></html>",
        ),
        ("<!-- <body> --><body>x", f"<!-- <body> --><body>{HEAD}x{FOOT}"),
        ("<body><body>x</body>", f"<body>{HEAD}<body>x{FOOT}</body>"),
        ("<html>x", f"<html>x{FOOT}"),
        ("x<!--", f"{HEAD}x<!--"),
    ],
)
def test_U19_the_place_in_a_page(html: str, expected: str) -> None:
    assert expected == html_of(html)


def test_U19_each_of_them_can_be_missing() -> None:
    assert "<p>x</p>" == html_of("<p>x</p>", ListFrame(header_text="a", footer_text="b"))
    assert f"<p>x</p>{FOOT}" == html_of("<p>x</p>", FRAME._replace(header_html=""))


@pytest.mark.parametrize(
    ("type_", "frame", "expected"),
    [
        ("text/plain; charset=utf-8", "Gr\u00fc\u00dfe", "Gr\u00fc\u00dfe"),
        ("text/plain; charset=iso-8859-1", "Gr\u00fc\u00dfe", "Gr\u00fc\u00dfe"),
        ("text/plain; charset=us-ascii", "Gr\u00fc\u00dfe", None),
        ("text/plain; charset=iso-8859-1", "\u20ac", None),
        ("text/plain", "\u20ac", None),
        ("text/plain", "one\ntwo\n", "one\r\ntwo"),
    ],
)
def test_U19_a_text_has_the_frame_in_its_own_charset(
    type_: str, frame: str, expected: str | None
) -> None:
    """What it cannot say is left out, and said in the timeline."""
    header = f"Content-Type: {type_}\r\n\r\n".encode()
    found = framed(header, b"Hello\r\n", ListFrame(footer_text=frame))
    if expected is None:
        assert found.body is None
        assert found.left
        return
    text = read(header, found).get_content()
    assert f"Hello\n\n{expected}\n".replace("\r\n", "\n") == text.replace("\r\n", "\n")
    assert found.body is not None
    assert found.body.isascii()  # in quoted-printable, if need be


def test_U19_signed_mail_attachments_and_messages_within_stay() -> None:
    for body in (
        b"--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: text/html\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nContent-Type: text/plain\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n--b--\r\n",
    ):
        found = framed(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n", body)
        assert found.body is None
        assert found.left
    signed = framed(b"Content-Type: multipart/signed; boundary=b\r\n\r\n", b"--b\r\n\r\nx\r\n--b--")
    assert (None, ("what is signed or encrypted stays as it is",)) == (signed.body, signed.left)


@given(st.text(), st.text(), st.binary())
def test_U19_any_frame_around_any_body_is_mail(head: str, foot: str, body: bytes) -> None:
    found = framed(HTML, body, ListFrame(head, head, foot, foot))
    if found.body is not None:
        assert b"\r" not in found.body.replace(b"\r\n", b"") or b"\r" in body.replace(b"\r\n", b"")
