"""A newsletter of about ten thousand octets with twenty links."""

_HEAD = (
    '<!DOCTYPE html>\r\n<html><head><meta charset="utf-8"><title>News</title>\r\n'
    '<style type="text/css">p { margin: 0 } a:hover { color: #000000 }</style></head>\r\n'
    '<body bgcolor="#ffffff"><table width="600" cellpadding="0" cellspacing="0">\r\n'
    "<tr><td>Dear @@NAME@@,</td></tr>\r\n"
)
_ROW = (
    '<tr><td style="padding:0 10px;font-family:Arial,sans-serif" bgcolor="#ffffff">'
    '<a href="https://shop.bench.example/item/{n}?campaign=spring&amp;place={n}"'
    ' style="color:#336699;text-decoration:none">Item {n} &mdash; now cheaper</a>\r\n<p>'
)
_WORDS = "Some words that say what it is, and why it is worth its price. "
_END = "</table></body></html>\r\n"

LINKS = 20
NAME = b"@@NAME@@"  # in the body: who it is for, so that no two are alike
FIELDS = ("MIME-Version: 1.0", "Content-Type: text/html; charset=utf-8")


def newsletter(octets: int = 10_000) -> bytes:
    """The body, about that long."""
    words = _WORDS * max((octets // LINKS - len(_ROW)) // len(_WORDS), 1)
    rows = "".join(f"{_ROW.format(n=n)}{words}</p></td></tr>\r\n" for n in range(LINKS))
    return f"{_HEAD}{rows}{_END}".encode()
