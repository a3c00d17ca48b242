"""Strange bodies of one part: line ends, blanks, dots, charsets and transfer encodings."""

from base64 import b64encode
from binascii import b2a_qp
from collections.abc import Iterator

from mail.strange.headers import USUAL

TEXTS = {
    "us-ascii": "plain text",
    "iso-8859-1": "Grüße",
    "iso-8859-2": "zażółć",
    "iso-8859-5": "Привет",
    "iso-8859-7": "καλημέρα",
    "iso-8859-8": "שלום",
    "iso-8859-9": "İstanbul",
    "iso-8859-15": "5 €",
    "windows-1251": "Привет",
    "windows-1252": "“5 €”",
    "windows-1256": "مرحبا",
    "koi8-r": "Привет",
    "utf-8": "größe ☃ 😀",
    "utf-7": "größe",
    "gb2312": "你好",
    "gb18030": "你好😀",
    "hz": "你好",
    "big5": "你好",
    "euc-jp": "日本語",
    "shift_jis": "日本語ソ表",
    "iso-2022-jp": "日本語",
    "iso-2022-kr": "안녕",
    "euc-kr": "안녕",
}


def kinds() -> Iterator[tuple[str, bytes]]:
    """Name and message of each."""
    for name, body in _lines().items():
        yield name, USUAL + b"\r\n" + body
    yield from _charsets()
    for name, (fields, body) in _encodings().items():
        yield name, USUAL + b"MIME-Version: 1.0\r\n" + fields + b"\r\n" + body


def _lines() -> dict[str, bytes]:
    return {
        "one empty line": b"\r\n",
        "five empty lines": b"\r\n" * 5,
        "no end of the last line": b"not ended",
        "blanks at the end of the last line": b"not ended \t ",
        "empty lines at the end": b"text\r\n\r\n\r\n\r\n",
        "lines of blanks": b" \r\n\t\r\n \t \r\ntext\r\n \r\n",
        "blanks at the ends of lines": b"a \r\nb\t\r\nc \t \r\n",
        "runs of blanks": b"a  b \t c\t\td\r\n",
        "a lone dot": b".\r\n",
        "dots at the beginnings of lines": b".a\r\n..b\r\n...\r\n.\r\n\r\n.\r\nend\r\n",
        "commands of SMTP": b"RSET\r\nMAIL FROM:<>\r\n.\r\nQUIT\r\n",
        "mailbox separators": b"From here on\r\n\r\nFrom jo@x.example Sun\r\n>From\r\n",
        "a signature separator": b"text\r\n-- \r\nJo\r\n",
        "what looks like a boundary": b"--b1\r\n\r\n--b1--\r\n",
        "what looks like uuencode": b"begin 644 x\r\n#0V%T\r\n`\r\nend\r\n",
        "what looks like yEnc": b"=ybegin line=128 size=1 name=x\r\nk\r\n=yend size=1\r\n",
        "equals signs": b"=\r\n==\r\n=3D=XX=\r\n",
        "every octet but three": bytes(o for o in range(1, 256) if o not in (10, 13)) + b"\r\n",
        "a byte order mark": b"\xef\xbb\xbftext\r\n",
        "form feeds and escapes": b"a\x0cb\x1b[31mred\x1b[0m\x07\x1a\r\n",
        "8 bits that nobody declared": b"Gr\xfc\xdfe\r\n",
        "998 octets in a line": b"x" * 998 + b"\r\n",
        "999 octets in a line": b"y" * 999 + b"\r\n",
        "2048 octets in a line": b"z" * 2_048 + b"\r\n",
        "a long line of blanks": b" " * 1_500 + b"x\r\n",
        "a long line that does not end": b"short\r\n" + b"x" * 1_500,
        "300 KB": b"The quick brown fox jumps over the lazy dog.\r\n" * 6_500,
        "50,000 empty lines": b"\r\n" * 50_000,
        "inline PGP": b"-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n- -- \r\n"
        b"text \r\n-----BEGIN PGP SIGNATURE-----\r\n\r\niQ==\r\n-----END PGP SIGNATURE-----\r\n",
        "a template": b"Dear {name}, <<first>> %s ${x} {{y}} <%= z %>\r\n",
    }


def _charsets() -> Iterator[tuple[str, bytes]]:
    for charset, text in TEXTS.items():
        octets = f"{text} =\r\n{text} \r\n".encode(charset)
        head = (
            USUAL
            + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=%b\r\n" % charset.encode()
        )
        for encoding, body in {
            "8bit": octets,
            "quoted-printable": b2a_qp(octets, istext=True),
            "base64": b64encode(octets) + b"\r\n",
        }.items():
            field = f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode()
            yield f"{charset} as {encoding}", head + field + body


def _encodings() -> dict[str, tuple[bytes, bytes]]:
    quoted, base64 = (
        b"Content-Transfer-Encoding: " + name for name in (b"quoted-printable\r\n", b"base64\r\n")
    )
    flowed = b"Content-Type: text/plain; charset=utf-8; format=flowed"
    return {
        "format=flowed": (
            flowed + b"\r\n",
            b"a line that \r\nflows on\r\n> quoted \r\n> text\r\n-- \r\n",
        ),
        "format=flowed, delsp": (flowed + b"; delsp=yes\r\n", b"Donau \r\ndampf \r\n  schiff\r\n"),
        "binary": (b"Content-Transfer-Encoding: binary\r\n", b"\x01\x02\xff\r\n"),
        "an unknown encoding": (b"Content-Transfer-Encoding: x-rot13\r\n", b"uryyb\r\n"),
        "an encoding in capitals": (
            b"CONTENT-TRANSFER-ENCODING: QUOTED-PRINTABLE\r\n",
            b"=C3=BC\r\n",
        ),
        "an encoding with a comment": (b"Content-Transfer-Encoding: 7bit (really)\r\n", b"x\r\n"),
        "soft line ends": (quoted, b"a=\r\nb= \t\r\nc=20=\r\n\r\n"),
        "quoted-printable that is none": (quoted, b"=XY = =\xfc\r\n=3\r\n="),
        "quoted-printable in small letters": (quoted, b"=c3=bc=0d=0a\r\n"),
        "long quoted-printable": (quoted, b"=C3=BC" * 300 + b"\r\n"),
        "base64 in one line": (base64, b64encode(b"x" * 1_200) + b"\r\n"),
        "base64 with blanks": (base64, b"YWJ j\r\n\t ZGVm \r\n\r\n"),
        "base64 that is none": (base64, b"!!!! not base64 ====\r\n"),
        "base64 without padding": (base64, b"YWJjZA"),
        "no subtype": (b"Content-Type: text\r\n", b"x\r\n"),
        "an empty type": (b"Content-Type:\r\n", b"x\r\n"),
        "a type that is none": (b'Content-Type: ;;; ="\r\n', b"x\r\n"),
        "a type with comments": (
            b"Content-Type: text(a)/(b)plain;(c) charset(d)=utf-8\r\n",
            b"x\r\n",
        ),
        "a type on many lines": (
            b"Content-Type:\r\n text/plain;\r\n\tcharset\r\n =\r\n utf-8\r\n",
            b"x",
        ),
        "parameters of RFC 2231": (
            b"Content-Type: x/y; name*0*=utf-8''gr%C3%B6; name*1=\"sse.pdf\"\r\n",
            b"x\r\n",
        ),
        "an 8-bit parameter": ('Content-Type: x/y; name="größe.pdf"\r\n'.encode(), b"x\r\n"),
        "an encoded word in a parameter": (
            b'Content-Type: x/y; name="=?utf-8?q?=C3=BC?="\r\n',
            b"x",
        ),
        "a version with a comment": (b"X: 1\r\nContent-ID: <a@b>\r\n", b"x\r\n"),
        "HTML in one line": (b"Content-Type: text/html\r\n", b"<p>x</p>" * 150 + b"\r\n"),
    }
