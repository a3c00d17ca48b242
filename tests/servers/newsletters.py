"""Messages in HTML as programs that send them write them: 200 small ones, made by rule.

A document is put together from the pieces that newsletters consist of; a form says how it becomes
a message. Each message knows the targets that have to be tracked, in their order.
"""

import quopri
from base64 import encodebytes
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

_SHOP = "https://shop.example"


@dataclass(frozen=True)
class Piece:
    """HTML, and where its links lead that are tracked."""

    html: str
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Letter:
    """A message, and the targets in it that are to be tracked."""

    name: str
    header: bytes
    body: bytes
    targets: tuple[str, ...]


PIECES = {
    "table": Piece(
        '<table width=600 cellpadding="0"><tr><td bgcolor=#ffffff style="padding:0 10px">\n'
        f'<table><tr><td><a href="{_SHOP}/a?x=1&amp;y=2" style="color:#fff">A &mdash; b</a>'
        "</td></tr></table></td></tr></table>\n",
        (f"{_SHOP}/a?x=1&y=2",),
    ),
    "button": Piece(
        '<!--[if mso]><v:roundrect xmlns:v="urn:schemas-microsoft-com:vml" href=\''
        f'{_SHOP}/buy\' arcsize="10%"><center>Buy</center></v:roundrect><![endif]-->\n'
        f"<!--[if !mso]><!--><a class=btn href={_SHOP}/buy>Buy</a><!--<![endif]-->\n",
        (f"{_SHOP}/buy", f"{_SHOP}/buy"),
    ),
    "style": Piece(
        f'<style type="text/css">a[href^="{_SHOP}"] > b {{color:red}} /* <a href="{_SHOP}"> */'
        "</style>\n<title>50 % < 60 % <a href=x></title>\n"
    ),
    "entities": Piece(
        f'<a href="{_SHOP}/e?a=1&copy=2&lt;&#x26;b=&#233;&amp;amp;">caf&eacute; &nbsp;&#8203;</a>',
        (f"{_SHOP}/e?a=1&copy=2%3C&b=%C3%A9&amp;",),
    ),
    "quotes": Piece(
        f"<A TITLE='a > b <a href=\"x\">' HREF = '{_SHOP}/q?\"' data-x>q</A>"
        f'<img alt="<a href={_SHOP}/no>" src="cid:logo@x">',
        (f"{_SHOP}/q?%22",),
    ),
    "left": Piece(
        '<a href="mailto:jo@shop.example?subject=Hi">m</a><a href="tel:+49">t</a>'
        '<a href="#top">top</a><a href="cid:part1">c</a><a name="top"></a><a href="">e</a>'
        f'<a href="{_SHOP}/plain" data-posthouse="no-track">p</a><a href="/relative">r</a>'
        '<a href="https://user:secret@shop.example/">u</a><a href="javascript:void(0)">j</a>'
    ),
    "unsubscribe": Piece(
        f'<a href="{_SHOP}/u/1234">Unsubscribe</a> <a href="{_SHOP}/opt-out?x">here</a>'
        f'<a href="https://list.example/header">end it</a><a href="https://free.example/x">f</a>'
    ),
    "broken": Piece(
        f'<td <p class="x"y"><a href="{_SHOP}/one"href="{_SHOP}/two">1</b></td></td><font color=>'
        f"<a\n\thref\n=\n{_SHOP}/bare/><b>2 < 3 && 4 > 3</ b>",
        (f"{_SHOP}/one", f"{_SHOP}/bare/"),
    ),
    "template": Piece(
        f'<a {{{{#if x}}}} href="{_SHOP}/t?id={{{{id}}}}&n=*|NAME|*" {{{{/if}}}}>t</a>',
        (f"{_SHOP}/t?id=%7B%7Bid%7D%7D&n=*%7CNAME%7C*",),
    ),
    "blanks": Piece(
        f'<a href=" {_SHOP}/long\n  /path ">wrapped</a><area shape=rect href="{_SHOP}/map">',
        (f"{_SHOP}/long%20%20/path", f"{_SHOP}/map"),
    ),
    "comment": Piece(
        f"<!-- <a href='{_SHOP}/no'> --><!--><a href={_SHOP}/c>c</a>", (f"{_SHOP}/c",)
    ),
    "idn": Piece(
        '<a href="HTTP://Bücher.example/ä">Bücher</a>', ("HTTP://xn--bcher-kva.example/%C3%A4",)
    ),
}
_ENDS = ("</body>\n</html>\n", "</BODY></HTML>", "", "</html>\n", "</body></html><p>after</p>\n")
_BEGINS = (
    """<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
 "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n<html><head></head><body>\n""",
    "<html>\n<body bgcolor=white>",
    "",
    '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body>',
)
_TEXT = "Hello,\n\nsee https://shop.example/text.\n"
_HEADER = (
    b"From: Jo's Shop <jo@shop.example>\r\nTo: a@x.example\r\nSubject: News\r\n"
    b"List-Unsubscribe: <mailto:u@x.example>, <https://list.example/header>\r\n"
    b"MIME-Version: 1.0\r\n"
)
_CHARSETS = ("utf-8", "iso-8859-1", "windows-1252", "gb18030", "utf-16", "iso-8859-15", "utf-16-le")


def letters(number: int = 200) -> list[Letter]:
    """So many messages: each form with each charset, over documents of several pieces."""
    documents, forms = cycle(_documents()), cycle(_FORMS.items())
    charsets = cycle(_CHARSETS)
    return [
        form(f"{number}-{name}-{charset}", next(documents), charset)
        for number, (name, form), charset in zip(range(number), forms, charsets, strict=False)
    ]


def _documents() -> Iterator[Piece]:
    """Three pieces each, so that all are beside all others in the end."""
    names = list(PIECES)
    for at in range(len(names) * 7):
        chosen = [PIECES[names[(at + step) % len(names)]] for step in (0, 1 + at % 5, 6 + at % 3)]
        html = "\n".join(piece.html for piece in chosen)
        targets = tuple(target for piece in chosen for target in piece.targets)
        yield Piece(_BEGINS[at % len(_BEGINS)] + html + _ENDS[at % len(_ENDS)], targets)


def _octets(text: str, charset: str) -> bytes:
    return text.replace("\n", "\r\n").encode(charset)


def _plain_part(document: Piece, charset: str) -> tuple[bytes, bytes]:
    """Fields and content of a part in HTML, 8-bit where the charset lets it be."""
    if charset.startswith("utf-16"):
        return _base64_part(document, charset)
    fields = f"Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n"
    return fields.encode(), _octets(document.html, charset)


def _quoted_part(document: Piece, charset: str) -> tuple[bytes, bytes]:
    """In quoted-printable, whose soft breaks are within links."""
    if charset.startswith("utf-16"):
        charset = "utf-8"
    encoded = quopri.encodestring(document.html.encode(charset), quotetabs=False)
    fields = (
        f'Content-Type: TEXT/HTML;\r\n\tcharset="{charset.upper()}"\r\n'
        "content-transfer-encoding: Quoted-Printable\r\n"
    )
    return fields.encode(), encoded.replace(b"\n", b"\r\n")


def _base64_part(document: Piece, charset: str) -> tuple[bytes, bytes]:
    fields = f"Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n"
    return fields.encode(), encodebytes(_octets(document.html, charset)).replace(b"\n", b"\r\n")


def _alone(part: tuple[bytes, bytes], name: str, document: Piece) -> Letter:
    return Letter(name, _HEADER + part[0] + b"\r\n", part[1], document.targets)


def _multipart(kind: str, *parts: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    boundary = f"=_{kind}.{len(parts)}'()"
    line = f"--{boundary}".encode()
    content = b"".join(b"\r\n" + line + b" \t\r\n" + f + b"\r\n" + body for f, body in parts)
    fields = f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n'
    return fields.encode(), b"preamble\r\n" + content + b"\r\n" + line + b"--\r\nepilogue\r\n"


def _text_part() -> tuple[bytes, bytes]:
    return b"Content-Type: text/plain\r\n", _octets(_TEXT, "ascii")


def _alternative(name: str, document: Piece, charset: str) -> Letter:
    amp = (
        b"Content-Type: text/x-amp-html\r\n",
        b'<!doctype html><a href="https://shop.example/amp">',
    )
    both = _multipart("alternative", _text_part(), amp, _quoted_part(document, charset))
    return _alone(both, name, document)


def _mixed(name: str, document: Piece, charset: str) -> Letter:
    """With an image, a page as a file, and a message that was forwarded."""
    attached = _octets(f'<a href="{_SHOP}/attached">', "ascii")
    file = b"Content-Type: text/html; name=a.html\r\nContent-Disposition: attachment\r\n", attached
    image = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n", b"iVBORw0KGgo=\r\n"
    inner = b"From: x@y.example\r\nContent-Type: text/html\r\n\r\n" + attached
    forwarded = b"Content-Type: message/rfc822\r\n", inner
    related = _multipart("related", _base64_part(document, charset), image)
    nested = _multipart("alternative", _text_part(), related)
    return _alone(_multipart("mixed", nested, file, forwarded), name, document)


_FORMS = {
    "plain": lambda name, document, charset: _alone(_plain_part(document, charset), name, document),
    "quoted": lambda name, document, charset: _alone(
        _quoted_part(document, charset), name, document
    ),
    "base64": lambda name, document, charset: _alone(
        _base64_part(document, charset), name, document
    ),
    "alternative": _alternative,
    "mixed": _mixed,
}
