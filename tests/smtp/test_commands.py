"""Command lines and replies, as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.reply import Reply
from posthouse.smtp import replies
from posthouse.smtp.commands import read_mail, read_rcpt, read_response


@pytest.mark.parametrize(
    "argument",
    [
        "FROM:<jo@a.example> SIZE=1 SIZE=1",
        "FROM:<jo@a.example> SIZE=",
        "FROM:<jo@a.example> SIZE",
        "FROM:<jo@a.example> SIZE=-1",
        "FROM:<jo@a.example> SIZE=\u0661",
        "FROM:<jo@a.example> SIZE=123456789012345678901",
        "FROM:<jo@a.example> SMTPUTF8=yes",
        "FROM:<jo@a.example>SIZE=1",
    ],
)
def test_bad_parameters(argument: str) -> None:
    reply = read_mail(argument)
    assert isinstance(reply, Reply)
    assert (reply.code, reply.enhanced) == (501, "5.5.4")


def test_binarymime_is_refused_with_what_to_do() -> None:
    assert replies.NO_BINARYMIME == read_mail("FROM:<jo@a.example> BODY=binarymime")


@given(st.text())
def test_no_argument_breaks_the_reading_of_it(text: str) -> None:
    for argument in (text, f"FROM:{text}", f"FROM:<{text}>", f"TO:<{text}> {text}"):
        read_mail(argument)
        read_rcpt(argument, smtputf8=True)
    read_response(text)


def test_replies_go_out_as_ascii_lines() -> None:
    assert replies.written(Reply(250, "Ok", "2.0.0")) == b"250 2.0.0 Ok\r\n"
    assert replies.written(Reply(250, "a\nb", "2.0.0")) == b"250-2.0.0 a\r\n250 2.0.0 b\r\n"
    assert replies.written(Reply(354, "Go on")) == b"354 Go on\r\n"
    assert replies.written(Reply(550, "ü", "5.0.0")) == b"550 5.0.0 \\xfc\r\n"


@pytest.mark.parametrize(
    "text", ["name " * 300, "x" * 1_500, "x" * 502, "x" * 503, "x" * 501 + " y"]
)
def test_no_line_of_a_reply_exceeds_512_octets(text: str) -> None:
    """RFC 5321 section 4.5.3.1.5; no word is lost."""
    lines = replies.written(Reply(550, text, "5.7.1")).split(b"\r\n")[:-1]
    assert all(len(line) <= 510 for line in lines)
    assert [b"550-5.7.1 "] * (len(lines) - 1) + [b"550 5.7.1 "] == [line[:10] for line in lines]
    assert text.replace(" ", "") == "".join(line[10:].decode() for line in lines).replace(" ", "")
