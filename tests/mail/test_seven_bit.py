"""A message in seven bits: what a reader sees is the same."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from posthouse.mail.seven_bit import seven_bit

TEXT = "Grüße, 你好\r\n".encode()
EIGHT_BIT = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"


def parsed(message: bytes | None) -> EmailMessage:
    assert message is not None
    assert message.isascii()
    return message_from_bytes(message, policy=policy.default)


def multipart(*parts: bytes, kind: bytes = b"mixed") -> tuple[bytes, bytes]:
    header = b"MIME-Version: 1.0\r\nContent-Type: multipart/%b; boundary=b\r\n\r\n" % kind
    return header, b"".join(b"--b\r\n%b\r\n" % part for part in parts) + b"--b--\r\n"


def test_a_text_reads_the_same() -> None:
    message = parsed(seven_bit(EIGHT_BIT, TEXT))
    assert (TEXT.decode(), "quoted-printable") == (
        message.get_content(),
        message["Content-Transfer-Encoding"],
    )


def test_octets_of_no_charset_are_the_same() -> None:
    message = parsed(seven_bit(b"Subject: hi\r\n\r\n", b"Gr\xfc\xdfe\r\n"))
    assert b"Gr\xfc\xdfe\r\n" == message.get_payload(decode=True)


def test_only_the_parts_that_need_it_are_encoded() -> None:
    whole = seven_bit(*multipart(b"\r\nplain = text", EIGHT_BIT + TEXT))
    first, second = parsed(whole).iter_parts()
    assert "plain = text" == first.get_payload()
    assert TEXT.decode() == second.get_content()


def test_text_of_the_header_is_written_in_encoded_words() -> None:
    message = parsed(seven_bit("Subject: Grüße\r\n\r\n".encode(), b"hi\r\n"))
    assert "Grüße" == message["Subject"]


def test_what_is_in_seven_bits_keeps_its_octets() -> None:
    header, body = multipart(b"\r\n" + b"x" * 2_000)
    assert header + body == seven_bit(header, body)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        multipart(EIGHT_BIT + TEXT, kind=b"signed"),
        multipart(b"Content-Type: message/rfc822\r\n\r\n" + EIGHT_BIT + TEXT),
        ("From: jörg@grüße.example\r\n\r\n".encode(), b"hi\r\n"),
        (b"Subject: Gr\xfc\xdfe\r\n\r\n", b"hi\r\n"),
        (b"Content-Transfer-Encoding: base64\r\n\r\n", TEXT),
    ],
    ids=["signed", "message within", "UTF-8 address", "no UTF-8", "base64 that is none"],
)
def test_what_has_no_such_form_is_left_alone(header: bytes, body: bytes) -> None:
    assert seven_bit(header, body) is None
