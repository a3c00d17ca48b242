"""Damages messages at random: cut, repeated, shuffled, spliced, nested, with other line ends."""

from collections.abc import Callable, Sequence
from random import Random

_LONGEST = 200_000  # octets of a damaged message
_PIECES = (
    b"\n\n", b"\r", b"\r\n", b"\n ", b"\x00", b"\xff\xfe", b"\x1b$B", b"--", b"--b--\n",
    b"Content-Type: multipart/report; boundary=b\n\n--b\n",
    b"Content-Type: message/delivery-status\n\n", b"Content-Type: message/feedback-report\n\n",
    b"Content-Type: text/html; charset=utf-7\n\n", b"Content-Transfer-Encoding: base64\n",
    b"Content-Transfer-Encoding: quoted-printable\n", b"=?utf-8?q?=00?=", b"<<<<<<<<", b"&#x41;",
    b"Final-Recipient: utf-8; \\x{110000}@\\x{2603}.example\n", b"Action: failed\n",
    b"Status: 5.1.1\n", b"Feedback-Type: abuse\n", b"550 5.1.1 ", b"@", b"a@b.example ", b'"@',
    b"could not could not ", b">>> RCPT TO:<", b"X-Failed-Recipients: ", b'{"bouncedRecipients":[',
    b"[" * 2000, b"<" * 2000, b"(" * 2000, b"a" * 5000, b" \n" * 2000, b"a@" * 2000,
)  # fmt: skip


def damaged(random: Random, whole: Sequence[bytes]) -> bytes:
    """One of *whole*, damaged in up to eight places."""
    message = random.choice(whole)
    for _ in range(random.choice((1, 1, 2, 3, 5, 8))):
        change = random.choice(_CHANGES)
        message = change(random, message, whole)[:_LONGEST]
    return message


def _cut(random: Random, message: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _span(random, message)
    return message[:begin] + message[end:]


def _end_early(random: Random, message: bytes, _: Sequence[bytes]) -> bytes:
    return message[: random.randrange(len(message) + 1)]


def _noise(random: Random, message: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _span(random, message)
    return message[:begin] + random.randbytes(end - begin) + message[end:]


def _insert(random: Random, message: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randrange(len(message) + 1)
    return message[:at] + random.choice(_PIECES) + message[at:]


def _repeat(random: Random, message: bytes, _: Sequence[bytes]) -> bytes:
    begin, end = _span(random, message)
    return message[:begin] + message[begin:end] * random.choice((2, 20, 200)) + message[end:]


def _splice(random: Random, message: bytes, whole: Sequence[bytes]) -> bytes:
    other = random.choice(whole)
    return _end_early(random, message, whole) + other[random.randrange(len(other) + 1) :]


def _replace(random: Random, message: bytes, _: Sequence[bytes]) -> bytes:
    old = random.choice((b"\n", b": ", b"--", b"@", b";", b" ", b"="))
    return message.replace(old, random.choice((b"", b" ", b"\r", b"\r\n", b"\n ", b"\n\n")))


def _shuffle(random: Random, message: bytes, _: Sequence[bytes]) -> bytes:
    lines = message.split(b"\n")
    random.shuffle(lines)
    return b"\n".join(lines)


def _nest(random: Random, message: bytes, _: Sequence[bytes]) -> bytes:
    head = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n"
    depth = random.choice((3, 30, 300))
    return b"".join(head % (level, level) for level in range(depth)) + message


_Change = Callable[[Random, bytes, Sequence[bytes]], bytes]
_CHANGES: tuple[_Change, ...] = (
    _cut, _end_early, _noise, _insert, _insert, _repeat, _splice, _replace, _shuffle, _nest,
)  # fmt: skip


def _span(random: Random, message: bytes) -> tuple[int, int]:
    begin = random.randrange(len(message) + 1)
    return begin, min(len(message), begin + random.choice((1, 4, 40, 400)))
