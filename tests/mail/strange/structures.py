"""Strange structures: multiparts, messages within messages, signed and encrypted parts."""

from base64 import b64encode
from collections.abc import Iterator, Sequence

from mail.strange.headers import USUAL

TEXT = b"Content-Type: text/plain\r\n\r\nplain text \r\n"
HTML = (
    b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"<p>gr\xc3\xbc\xc3\x9fe</p>\r\n"
)
DATA = (
    b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"AAECAw==\r\n"
)
ORIGINAL = (
    b"Received: from a by b\r\nFrom: a@b.example\r\nBcc: c@d.example\r\nSubject: inner\r\n\r\n"
    b"inner text\r\n"
)
WITHIN = b"Content-Type: message/rfc822\r\n\r\n" + ORIGINAL


def multipart(
    kind: bytes, parts: Sequence[bytes], boundary: bytes = b"b1", parameters: bytes = b""
) -> bytes:
    """The content of a multipart, with its Content-Type."""
    head = b'Content-Type: multipart/%b; boundary="%b"%b\r\n\r\n' % (kind, boundary, parameters)
    inside = b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts)
    return head + inside + b"--%b--\r\n" % boundary


def kinds() -> Iterator[tuple[str, bytes]]:
    """Name and message of each."""
    for name, content in {**_usual(), **_boundaries(), **_secured(), **_messages()}.items():
        yield name, USUAL + b"MIME-Version: 1.0\r\n" + content
    yield "no MIME version", USUAL + multipart(b"mixed", [TEXT])
    yield (
        "a version with a comment",
        USUAL + b"MIME-Version: (a) 1 . 0 (b)\r\n" + multipart(b"mixed", [TEXT]),
    )
    yield "version two", USUAL + b"MIME-Version: 2.0\r\n" + multipart(b"mixed", [TEXT])


def _usual() -> dict[str, bytes]:
    related = multipart(b"related", [HTML, DATA], b"b2", b"; type=text/html")
    alternative = multipart(b"alternative", [TEXT, related], b"b3")
    calendar = b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\n X:1\r\n"
    return {
        "mixed, alternative, related": multipart(b"mixed", [alternative, DATA]),
        "parallel": multipart(b"parallel", [DATA, DATA]),
        "form-data": multipart(
            b"form-data", [b'Content-Disposition: form-data; name="a"\r\n\r\nb']
        ),
        "appledouble": multipart(
            b"appledouble", [DATA.replace(b"octet-stream", b"applefile"), DATA]
        ),
        "an unknown kind": multipart(b"x-unknown", [TEXT]),
        "an invitation": multipart(b"alternative", [TEXT, calendar]),
        "winmail.dat": multipart(b"mixed", [TEXT, DATA.replace(b"octet-stream", b"ms-tnef")]),
        "an 8-bit file name": multipart(
            b"mixed", [b'Content-Disposition: attachment; filename="gr\xc3\xb6\xc3\x9fe"\r\n\r\nx']
        ),
        "folded part headers": multipart(
            b"mixed", [b"Content-Type:\r\n text/plain;\r\n\tcharset=utf-8\r\n\r\nx"]
        ),
        "parts without headers": multipart(b"mixed", [b"\r\nfirst", b"\r\nsecond"]),
        "parts without empty lines": multipart(
            b"mixed", [b"Content-Type: text/plain", b"text at once"]
        ),
        "empty parts": multipart(b"mixed", [b"", b"\r\n", b""]),
        "no parts": multipart(b"mixed", []),
        "one part": multipart(b"mixed", [TEXT]),
        "two hundred parts": multipart(b"mixed", [TEXT] * 200),
        "controls in a part": multipart(b"mixed", [b"X-\x01: \x02\r\n\r\n\x03\x7f"]),
        "a long line in a part": multipart(b"mixed", [TEXT, b"\r\n" + b"x" * 1_800]),
    }


def _boundaries() -> dict[str, bytes]:
    deep = TEXT
    for depth in range(60):
        deep = multipart(b"mixed", [deep], b"d%d" % depth)
    mixed = multipart(b"mixed", [TEXT, HTML])
    return {
        "a preamble": mixed.replace(
            b"\r\n\r\n--b1", b"\r\n\r\nThis is a message in MIME.\r\n--b1", 1
        ),
        "an epilogue": mixed + b"epilogue \t\r\n\r\n",
        "no last boundary": mixed.partition(b"--b1--")[0],
        "text behind a boundary": mixed.replace(b"--b1\r\n", b"--b1x\r\n--b1 \t \r\n"),
        "another boundary than declared": mixed.replace(b"--b1", b"--b2"),
        "no boundary declared": mixed.replace(b'; boundary="b1"', b""),
        "an empty boundary": mixed.replace(b'"b1"', b'""').replace(b"--b1", b"--"),
        "two boundaries declared": mixed.replace(b'"b1"', b'"b1"; boundary="b2"'),
        "a boundary of specials": mixed.replace(b"b1", b"'()+_,-./:=? x"),
        "a boundary of 70 characters": mixed.replace(b"b1", b"x" * 70),
        "a boundary that begins another": multipart(
            b"mixed", [multipart(b"mixed", [TEXT], b"b12")]
        ),
        "the same boundary within": multipart(b"mixed", [multipart(b"mixed", [TEXT])]),
        "sixty levels": deep,
        "blanks in a boundary line": mixed.replace(b"--b1\r\n", b"--b1 \r\n"),
    }


def _secured() -> dict[str, bytes]:
    seal = DATA.replace(b"octet-stream", b'pkcs7-signature; name="smime.p7s"')
    pgp = b"Content-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\n"
    letters = b64encode(bytes(range(256)) * 8)
    wrapped = b"\r\n".join(letters[at : at + 64] for at in range(0, len(letters), 64))
    opaque = b"Content-Type: application/pkcs7-mime; smime-type=%b; name=s.p7m\r\n"
    base64 = b"Content-Transfer-Encoding: base64\r\n\r\n"
    signed_text = b"Content-Type: text/plain \r\n\r\ntrailing blanks \t \r\n \r\n"
    return {
        "S/MIME, signed": multipart(
            b"signed", [signed_text, seal], b"s1", b"; micalg=sha-256; protocol=x"
        ),
        "S/MIME, signed, a long line": multipart(b"signed", [b"\r\n" + b"x" * 1_500, seal]),
        "S/MIME, signed twice": multipart(
            b"signed", [multipart(b"signed", [TEXT, seal], b"s2"), seal], b"s1"
        ),
        "S/MIME, opaque": opaque % b"signed-data" + base64 + wrapped + b"\r\n",
        "S/MIME, encrypted": opaque % b"enveloped-data" + base64 + wrapped,
        "S/MIME in one line": opaque % b"enveloped-data" + base64 + letters[:1_900] + b"\r\n",
        "PGP/MIME, signed": multipart(b"signed", [TEXT, pgp], b"p1", b"; protocol=y"),
        "PGP/MIME, encrypted": multipart(
            b"encrypted", [b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n", DATA]
        ),
        "signed within mixed": multipart(
            b"mixed", [multipart(b"signed", [TEXT, pgp], b"p1"), TEXT]
        ),
        "protected fields": multipart(
            b"signed",
            [b'Content-Type: text/plain; protected-headers="v1"\r\nSubject: x\r\n\r\ny', pgp],
        ),
    }


def _messages() -> dict[str, bytes]:
    nested = ORIGINAL
    for _ in range(5):
        nested = b"From: a@b.example\r\nContent-Type: message/rfc822\r\n\r\n" + nested
    report = multipart(
        b"report",
        [
            TEXT,
            b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a\r\n\r\nX: y\r\n",
            WITHIN,
        ],
        parameters=b"; report-type=delivery-status",
    )
    return {
        "a message within": WITHIN,
        "a message within a part": multipart(b"mixed", [TEXT, WITHIN]),
        "messages within messages": b"Content-Type: message/rfc822\r\n\r\n" + nested,
        "a digest": multipart(b"digest", [b"\r\n" + ORIGINAL, b"\r\n" + ORIGINAL]),
        "a delivery report": report,
        "a read receipt": multipart(
            b"report",
            [TEXT, b"Content-Type: message/disposition-notification\r\n\r\nDisposition: a; b\r\n"],
        ),
        "a part of a message": b'Content-Type: message/partial; id="a@b"; number=1; total=2\r\n\r\n'
        + ORIGINAL,
        "a body elsewhere": b"Content-Type: message/external-body; access-type=URL;\r\n"
        b' URL="https://a.example/"\r\n\r\nContent-Type: text/plain\r\n\r\n',
        "fields of a message": b"Content-Type: text/rfc822-headers\r\n\r\n"
        + ORIGINAL.partition(b"\r\n\r\n")[0],
        "a message in UTF-8 within": "Content-Type: message/global\r\n\r\nTo: ü@a.example".encode(),
        "a message in base64 within": WITHIN.partition(b"\r\n\r\n")[0]
        + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + b64encode(ORIGINAL)
        + b"\r\n",
    }
