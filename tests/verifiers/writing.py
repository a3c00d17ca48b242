"""Parts of messages as applications write them, of as many kinds as a choice at random gives."""

import base64
import quopri
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

_WORDS = ("order", "invoice", "your", "has", "been", "sent", "with", "thanks", "please", "find")
_FOREIGN = ("Grüße aus Köln", "Ваш заказ принят", "ご注文ありがとうございます", "Café à Paris ☕")
_NOON = "Sun, 29 Nov 2026 12:00:00 +0100"
_LINK = "https://shop.example/view?id=%d&from=mail"


@dataclass(frozen=True, slots=True)
class Sample:
    """A message to submit, and what has to come of it."""

    sender: str
    recipients: tuple[str, ...]  # of the envelope
    content: bytes
    delivered: frozenset[str]  # who gets a copy
    aligned: bool = True  # whether DMARC passes
    parameters: tuple[str, ...] = ()  # of MAIL


def message(fields: Iterable[str], body: "Body") -> bytes:
    """A message of *fields*, each without its line end, and a body with its own."""
    lines = "".join(f"{field}\r\n" for field in (*fields, *body.fields))
    return f"{lines}\r\n".encode() + body.octets


def text(random: Random, words: int = 6) -> str:
    """ASCII words."""
    return " ".join(random.choice(_WORDS) for _ in range(words))


def foreign(random: Random) -> str:
    """Words that are not ASCII."""
    return random.choice(_FOREIGN)


def encoded(random: Random, folded: str = "\r\n ") -> str:
    """Encoded words (RFC 2047) of both encodings; long text in several, between *folded*."""
    words = []
    for _ in range(random.randint(1, 3)):
        octets = foreign(random).encode()
        if random.random() < 0.5:
            words.append(f"=?utf-8?b?{base64.b64encode(octets).decode()}?=")
        else:
            quoted = "".join(f"={octet:02X}" for octet in octets)
            words.append(f"=?UTF-8?Q?{quoted}?=")
    return folded.join(words)


def mailbox(random: Random, address: str, *, eight_bit: bool = True) -> str:
    """*address* in one of the forms of RFC 5322 section 3.4; *eight_bit*: also raw UTF-8."""
    forms: list[Callable[[], str]] = [
        lambda: address,
        lambda: f"<{address}>",
        lambda: f"Your Shop <{address}>",
        lambda: f'"Shop, Ltd. (Mail)" <{address}>',
        lambda: f'"Say \\"hello\\"" <{address}>',
        lambda: f"{encoded(random)} <{address}>",
        lambda: f"{text(random, 12).title()}\r\n\t<{address}>",
        lambda: f"{address} (a comment)",
    ]
    if eight_bit:
        forms.append(lambda: f'"{foreign(random)}" <{address}>')
    return random.choice(forms)()


def subject(random: Random, *, eight_bit: bool = True, long: bool = True) -> str:
    """A field Subject that is not empty; without *long* of less than 200 characters."""
    forms: list[Callable[[], str]] = [
        lambda: text(random),
        lambda: encoded(random),
        lambda: f"Re: {encoded(random)} {text(random, 2)}",
        lambda: f"{text(random)}   ",
        lambda: f"\r\n {text(random)}\r\n\t{text(random)}",
    ]
    if long:
        forms += [
            lambda: text(random, 30).replace(" with ", "\r\n with "),
            lambda: text(random, 100),
        ]
    if eight_bit:
        forms.append(lambda: f"{foreign(random)} {text(random)}")
    return f"Subject: {random.choice(forms)()}"


def more_fields(random: Random, number: int, *, eight_bit: bool = True) -> list[str]:
    """Some of the fields that applications add, in any order."""
    host = "shop.example"
    every = [
        f"List-Id: {text(random, 2)} <news.{host}>",
        f"List-Unsubscribe: <mailto:off@{host}?subject={number}>,\r\n <https://{host}/off/{number}>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        f"In-Reply-To: <{number}.before@{host}>",
        "References: " + "\r\n ".join(f"<{number}.{one}@{host}>" for one in range(12)),
        f"X-Mailer: {text(random, 3)}",
        f"X-Long: {'x' * 900}",
        "X-Empty:",
        "X-Spaces: \t a   b\t\tc  ",
        f"Keywords: {text(random, 2)}\r\nKeywords: {text(random, 2)}",
        f"Organization: {encoded(random)}",
        "Auto-Submitted: auto-generated",
        "Precedence: bulk",
        f"Received: from app.{host} by {host} with ESMTP id {number};\r\n\t{_NOON}",
        "Feedback-ID: 1:2:3:shop",
    ]
    if eight_bit:
        every.append(f"Comments: {foreign(random)}")
    return random.sample(every, random.randint(0, len(every)))


def identity(random: Random, number: int, domain: str) -> list[str]:
    """Date and Message-ID."""
    return [
        f"Date: Sun, {random.randint(1, 29)} Nov 2026 12:00:00 +0000",
        f"Message-ID: <{number}.{random.getrandbits(64):x}@{domain}>",
    ]


def some(random: Random, fields: Iterable[str]) -> list[str]:
    """Each of *fields*, or not."""
    return [field for field in fields if random.random() < 0.7]


@dataclass(frozen=True, slots=True)
class Body:
    """Octets, and the fields that say what they are."""

    fields: tuple[str, ...]
    octets: bytes


def body(random: Random) -> Body:
    """Text, HTML or attachments, in any encoding."""
    kinds = (_plain, _dotted, _eight_bit, _quoted, _alternative, _attachment, _empty, _long_lines)
    return random.choice(kinds)(random)


def _mime(kind: str, encoding: str) -> tuple[str, ...]:
    return ("MIME-Version: 1.0", f"Content-Type: {kind}", f"Content-Transfer-Encoding: {encoding}")


def _plain(random: Random) -> Body:
    lines = [text(random, 10) for _ in range(random.randint(1, 20))]
    return Body((), "".join(f"{line}\r\n" for line in lines).encode())


def _dotted(_: Random) -> Body:
    return Body((), b".one\r\n..two\r\n.\r\n \t\r\ntrailing  \t\r\n\r\n\r\n\r\n")


def _eight_bit(random: Random) -> Body:
    octets = "".join(f"{foreign(random)}\r\n" for _ in range(5)).encode()
    return Body(_mime("text/plain; charset=utf-8", "8bit"), octets)


def _quoted(random: Random) -> Body:
    octets = quopri.encodestring("\n".join(foreign(random) * 4 for _ in range(5)).encode() + b"\n")
    return Body(
        _mime('text/plain;\r\n\tcharset="utf-8"', "quoted-printable"),
        octets.replace(b"\n", b"\r\n"),
    )


def _alternative(random: Random) -> Body:
    link = _LINK % random.getrandbits(30)
    html = f'<html><body><p>{foreign(random)} <a href="{link}">see</a></p></body></html>'
    parts = (("plain", f"{foreign(random)}\r\n{link}"), ("html", html))
    return _multipart(
        "alternative",
        [(_mime(f"text/{kind}; charset=utf-8", "8bit"), each) for kind, each in parts],
    )


def _attachment(random: Random) -> Body:
    lines = base64.encodebytes(random.randbytes(20_000)).decode().replace("\n", "\r\n")
    return _multipart(
        "mixed",
        [
            (_mime("text/plain", "7bit"), text(random)),
            (_mime("application/pdf; name*=utf-8''%C3%BCber.pdf", "base64"), lines),
        ],
    )


def _multipart(kind: str, parts: list[tuple[tuple[str, ...], str]]) -> Body:
    lines = ["This is a message of several parts."]
    for fields, content in parts:
        lines += ["--=_b", *fields[1:], "", content]
    lines += ["--=_b--", ""]
    return Body(
        ("MIME-Version: 1.0", f'Content-Type: multipart/{kind};\r\n boundary="=_b"'),
        "\r\n".join(lines).encode(),
    )


def _empty(_: Random) -> Body:
    return Body((), b"")


def _long_lines(random: Random) -> Body:
    return Body(_mime("text/plain", "7bit"), f"{text(random, 160)[:990]}\r\n".encode() * 3)
