"""Strange headers as a whole: how they end and are folded, how large they are, what repeats."""

from collections.abc import Iterator

BODY = b"Hello,\r\n\r\nthis is the body.\r\n"
FROM = b"From: Jo <jo@sender.example>\r\n"
IDENTIFIED = b"Date: Sun, 01 Mar 2026 12:30:00 +0000\r\nMessage-ID: <1.2@sender.example>\r\n"
USUAL = FROM + b"To: ann@dest.example\r\nSubject: Hello\r\n" + IDENTIFIED


def kinds() -> Iterator[tuple[str, bytes]]:
    """Name and message of each."""
    yield from _ends()
    yield from _folds()
    yield from _sizes()
    yield from _repeats()


def _ends() -> Iterator[tuple[str, bytes]]:
    yield "the usual", USUAL + b"\r\n" + BODY
    yield "From alone", FROM + b"\r\n"
    yield "no empty line and no body", USUAL
    yield "no empty line before the body", USUAL + b"This is no field.\r\n" + BODY
    yield "an empty line of blanks", USUAL + b" \t \r\n\r\n" + BODY
    yield "a line of blanks that ends the header", USUAL + b" \r\nBody at once\r\n"
    yield "a line without a colon", USUAL + b"X-Before: 1\r\nnocolon\r\nX-After: 2\r\n\r\n" + BODY
    yield "a line with a colon first", USUAL + b": value\r\nX-After: 2\r\n\r\n" + BODY
    yield "a name with a blank", USUAL + b"X Spaced: 1\r\nX-After: 2\r\n\r\n" + BODY
    yield "a name beyond ASCII", USUAL + "Größe: 1\r\n\r\n".encode() + BODY
    yield "a mailbox separator", USUAL + b"From jo@x.example Sun Mar  1 12:30:00 2026\r\n" + BODY
    yield "a quoted mailbox separator", USUAL + b">From jo@x.example Sun Mar  1\r\n\r\n" + BODY
    yield "fields in the body", USUAL + b"\r\nSubject: not this\r\nBcc: x@y.example\r\n\r\n" + BODY
    yield "a fold that begins the body", USUAL + b"\r\n folded: onto nothing\r\n" + BODY
    yield "empty body after an empty line", USUAL + b"\r\n"
    yield "many empty lines", USUAL + b"\r\n" * 40 + BODY
    yield "From last", b"Subject: x\r\nTo: a@b.example\r\n" + IDENTIFIED + FROM + b"\r\n" + BODY


def _folds() -> Iterator[tuple[str, bytes]]:
    for name, field in {
        "behind the colon": b"Subject:\r\n Hello\r\n",
        "behind the colon, twice": b"Subject:\r\n \r\n Hello\r\n",
        "with a tab": b"Subject: Hello\r\n\tworld\r\n",
        "with many blanks": b"Subject: Hello\r\n" + b" \t" * 40 + b"world\r\n",
        "with blanks before it": b"Subject: Hello \t \r\n world\r\n",
        "onto a line of blanks": b"Subject: Hello\r\n  \t\r\n world\r\n",
        "onto lines of blanks at the end": b"Subject: Hello\r\n \r\n\t\r\n  \r\n",
        "a hundred times": b"Subject:" + b"\r\n word" * 100 + b"\r\n",
        "within quotes": b'Cc: "Doe,\r\n Jo" <al@dest.example>\r\n',
        "within a comment": b"Cc: al@dest.example (Al\r\n\tDoe)\r\n",
        "within angle brackets": b"Cc: Al <\r\n al@dest.example\r\n >\r\n",
        "before an @": b"Cc: al\r\n @dest.example\r\n",
        "between encoded words": b"Cc: =?utf-8?q?J=C3?=\r\n =?utf-8?q?rg?= <al@dest.example>\r\n",
        "within an encoded word": b"X-Word: =?utf-8?q?J=C3\r\n =B6rg?=\r\n",
        "within an identifier": b"In-Reply-To: <a\r\n @b.example>\r\n",
        "a long word": b"X-Word: " + b"w" * 700 + b"\r\n " + b"w" * 700 + b"\r\n",
    }.items():
        usual = USUAL.replace(b"Subject: Hello\r\n", b"") if field.startswith(b"Subj") else USUAL
        yield f"folded {name}", usual + field + b"\r\n" + BODY
    yield "everything folded", USUAL.replace(b": ", b":\r\n\t") + b"\r\n" + BODY
    yield "From folded", USUAL.replace(b"Jo <", b"Jo\r\n  <") + b"\r\n" + BODY
    yield "Date folded", USUAL.replace(b"Mar 2026", b"Mar\r\n 2026") + b"\r\n" + BODY


def _sizes() -> Iterator[tuple[str, bytes]]:
    many = b"".join(b"X-Field-%d: value\r\n" % number for number in range(1_000))
    ids = b"".join(b"\r\n <%d.long.identifier@sender.example>" % number for number in range(400))
    people = b",\r\n ".join(b"Person %d <p%d@dest.example>" % (n, n) for n in range(500))
    yield "a thousand fields", USUAL + many + b"\r\n" + BODY
    yield "a thousand empty fields", USUAL + b"X:\r\n" * 1_000 + b"\r\n" + BODY
    yield "four hundred references", USUAL + b"References:" + ids + b"\r\n\r\n" + BODY
    yield "five hundred recipients", USUAL + b"Cc: " + people + b"\r\n\r\n" + BODY
    for octets in (78, 79, 997, 998, 999, 2_000):
        value = b"x" * (octets - 3)
        yield f"a line of {octets} octets", USUAL + b"X: " + value + b"\r\n\r\n" + BODY
    yield "60 KB in one field", USUAL + b"X-Big:" + b"\r\n " * 600 + b"x" * 59_000 + b"\r\n\r\n"
    yield "a name of 300 letters", USUAL + b"X-" + b"n" * 298 + b": 1\r\n\r\n" + BODY


def _repeats() -> Iterator[tuple[str, bytes]]:
    trace = b"".join(
        b"Received: from a by b; Sun, 1 Mar 2026 12:30:0%d +0000\r\n" % n for n in range(9)
    )
    foreign = (
        b"DKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=s;\r\n\th=From; bh=AAAA; b=AAAA\r\n"
    )
    resent = b"Resent-From: a@b.example\r\nResent-Date: Sun, 1 Mar 2026 12:30:00 +0000\r\n"
    for name, fields in {
        "trace fields": trace,
        "a foreign signature": foreign,
        "three foreign signatures": foreign * 3,
        "an ARC set": b"ARC-Seal: i=1; a=x\r\nARC-Message-Signature: i=1\r\n"
        b"ARC-Authentication-Results: i=1; x\r\n",
        "authentication results": b"Authentication-Results: relay.example; dkim=pass\r\n" * 2,
        "resent blocks": (resent + b"Resent-To: c@d.example\r\n") * 3,
        "keywords and comments": b"Comments: a\r\nKeywords: b, c\r\nComments: a\r\nKeywords: d\r\n",
        "unknown fields alike": b"X-Dup: same\r\n" * 5,
        "unknown fields that differ": b"X-Dup: 1\r\nX-dup: 2\r\nx-DUP: 3\r\nX-Dup : 4\r\n",
        "list fields": b"List-Id: <l.a.example>\r\nList-Unsubscribe: <mailto:u@a.example>,\r\n"
        b" <https://a.example/u?a=b&c=d>\r\n"
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        "a return path": b"Return-Path: <x@y.example>\r\n",
        "blind recipients": b"Bcc: x@y.example\r\nbcc : z@y.example\r\nResent-Bcc: x@y.example\r\n",
        "our own control fields": b"X-Posthouse-Tag: a\r\nx-posthouse-id: forged\r\n",
        "a Sender": b"Sender: robot@sender.example\r\n",
        "a copy of From": FROM,
        "copies of Subject": b"subject : Hello \r\nSUBJECT:\r\n\tHello\r\n",
    }.items():
        yield f"with {name}", fields + USUAL + b"\r\n" + BODY
        yield f"with {name} below", USUAL + fields + b"\r\n" + BODY
