"""The letter that every library is given to send, and what has to arrive of it."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

SUBJECT = "Grüße: your order, 12 €"
TEXT = """\
Dear customer,

.a line that begins with a dot, and two lines of nothing else:
.
..
As ordered: tab\there, two  blanks, "quotes", 5 < 6 & 7 > 6; Käse für 12 €.
It is on its way.
"""
HTML = "<p>Käse für <b>12&nbsp;€</b></p>\n<p>.dot</p>\n"
INVOICE = bytes(range(256)) * 300
# What programs can send that double no dot behind a line feed.
WITHOUT_DOTS = "".join(line for line in TEXT.splitlines(keepends=True) if not line.startswith("."))
# For programs that are given a whole message.
RAW = (
    "From: Shop <shop@example.com>\nTo: you@there.example\nSubject: raw\n"
    "Message-ID: <raw@example.com>\nDate: Mon, 30 Nov 2026 10:00:00 +0000\n"
    "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
    f"Content-Transfer-Encoding: 8bit\n\nFrom here:\n{TEXT}"
).encode()


def put_into(folder: Path) -> None:
    """Write the files that programs read it from."""
    (folder / "subject.txt").write_text(SUBJECT)
    (folder / "text.txt").write_text(TEXT)
    (folder / "page.html").write_text(HTML)
    (folder / "invoice.bin").write_bytes(INVOICE)
    (folder / "letter.eml").write_bytes(RAW)


def check(
    content: bytes, sender: str, recipient: str, *parts: str, text: str = TEXT
) -> EmailMessage:
    """Fail unless *content* is the letter, with *parts* ("html", "invoice") beside its text."""
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert SUBJECT == message["Subject"]
    assert sender in message["From"].addresses[0].addr_spec
    assert recipient in str(message["To"])
    assert _lines(text) == _body(message, "plain")
    if "html" in parts:
        assert _lines(HTML) == _body(message, "html")
    if "invoice" in parts:
        (attached,) = message.iter_attachments()
        assert "invoice.bin" == attached.get_filename()
        assert INVOICE == attached.get_payload(decode=True)
    return message


def _body(message: EmailMessage, kind: str) -> list[str]:
    found = message.get_body((kind,))
    assert found is not None
    return _lines(found.get_content())


def _lines(text: str) -> list[str]:
    """Libraries may add a newline at the end, or drop it."""
    return text.replace("\r\n", "\n").rstrip("\n").split("\n")
