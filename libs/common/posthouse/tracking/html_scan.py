"""Where the links of an HTML text are, by its own offsets (WHATWG HTML, section 13.2.5).

The text is read as a browser's tokenizer reads it and never written again: what is put in at these
offsets changes nothing else, no quote, entity or line end, and no template language in a tag.

Comments for Outlook (``<!--[if mso]>...<![endif]-->``) are read as what they are to Outlook, HTML.
Its buttons (``<v:roundrect href="...">``) are links too.
"""

import re
from typing import NamedTuple

_S = r" \t\n\r\f"  # what HTML takes for blanks
_NAME = rf"[^{_S}/>][^{_S}/>=]*+"
_VALUE = rf"(?:\"[^\"]*+\"|'[^']*+'|[^{_S}\"'>][^{_S}>]*+|(?=>))"
# Python before 3.11.5 gets possessive groups wrong, so none is; none needs to be: where a value
# follows, the name alone does not match.
_ATTRIBUTE = rf"{_NAME}(?:[{_S}]*+=[{_S}]*+{_VALUE}|(?![{_S}]*+=))"
_MORE = rf"(?:[{_S}/]++|{_ATTRIBUTE})*"
_CALLED = rf"(?=[{_S}/>])"  # the name ends here
_ATTRIBUTES = rf"{_CALLED}{_MORE}"
# Most tags by far, in a third of the time. No "<" or ">" is in it, so it ends where it seems to.
_ORDINARY = r"(?:[^<>\"'=]*+=\"[^\"<>]*+\")*[^<>\"'=]*+"
_RAW = "script|style|title|textarea|xmp|iframe|noembed|noframes|plaintext"
# Of attributes of one name the first one counts.
_HREF = (
    rf"href[{_S}]*+=[{_S}]*+(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'"
    rf"|(?P<bare>[^{_S}\"'>][^{_S}>]*+))"
)
_BEFORE_HREF = rf"{_CALLED}(?:[{_S}/]++|(?!href[{_S}/>=]){_ATTRIBUTE})*"
_OF_INTEREST = rf"(?:a|area|/?body|/?html|{_RAW}){_CALLED}|v:"
_LINK = r"(?:a|area|v:[a-z]++)"
# Most links, in half the time.
_QUICK_HREF = rf"(?:[{_S}]++(?!href)[a-z-]++=\"[^\"<>]*+\")*[{_S}]++href=\"(?P<quick>[^\"<>]*+)\""
_MARKUP = re.compile(
    # A run of tags that are of no interest, so that each of them is no match of its own.
    rf"<(?:(?!{_OF_INTEREST})/?[a-z]{_ORDINARY}>(?:[^<]*+<(?!{_OF_INTEREST})/?[a-z]{_ORDINARY}>)*"
    rf"|{_LINK}{_QUICK_HREF}{_ORDINARY}>"
    rf"|{_LINK}{_BEFORE_HREF}(?:{_HREF}{_MORE})?>"
    rf"|(?P<raw>{_RAW}){_ATTRIBUTES}>"
    rf"|(?P<end>/(?:body|html)|body){_ATTRIBUTES}>"
    rf"|/?[a-z](?:{_ORDINARY}|[^{_S}/>]*+{_ATTRIBUTES})>"
    r"|(?P<comment>!--)|[!?][^>]*+>|/(?![a-z])[^>]*+>|(?P<broken>/?[a-z]))",
    re.IGNORECASE | re.ASCII,
)
_READ_ATTRIBUTE = re.compile(rf"({_NAME})(?:[{_S}]*+=[{_S}]*+({_VALUE}))?", re.ASCII)
_TAG_NAME = re.compile(rf"<[^{_S}/>]++", re.ASCII)
_HEAD = re.compile(r"<(?:!doctype|html|head|body)", re.IGNORECASE)
_COMMENT_END = re.compile(r"--!?>")
_EMPTY_COMMENT = re.compile(r"-?>")
_FOR_OUTLOOK = re.compile(r"\[if [^\]>]*+\]>", re.IGNORECASE)
_MOST_LINK_TEXT = 500  # characters of a link's content that are looked at
_VALUES = frozenset(("quick", "double", "single", "bare"))
_MARK, _NO_TRACK = "data-posthouse", "no-track"


class LinkPlace(NamedTuple):
    """A link, by its place in a text."""

    start: int
    end: int
    content: str  # what is clicked on, as it is written, or the beginning of it; or what is before
    marked: bool = False  # as a link that is not tracked


class HtmlScan(NamedTuple):
    """The places of an HTML text where something may be put in."""

    links: tuple[LinkPlace, ...]  # in their order
    start: int | None  # of what is shown, behind the tag; None where that cannot be said
    end: int | None  # of what is shown, before the end tags; None where nothing can follow


def scan_html(text: str) -> HtmlScan:
    """The places in *text*. Any text can be read, in time that grows with its length."""
    links: list[LinkPlace] = []
    ends: dict[str, int] = {}
    is_open = _scan(text, 0, len(text), links, ends)
    start = ends.get("body", None if _HEAD.search(text) else 0)
    end = ends.get("/body", ends.get("/html", len(text) if is_open else None))
    return HtmlScan(tuple(links), start, end)


def _scan(text: str, at: int, end: int, links: list[LinkPlace], ends: dict[str, int]) -> bool:
    """Whether more text may follow at *end*: it is within no tag, comment or raw text."""
    may_be_marked = _NO_TRACK in text
    while True:
        for match in _MARKUP.finditer(text, at, end):
            kind = match.lastgroup
            if kind is None:
                continue
            if kind in _VALUES:
                first, last = match.span(kind)
                marked = may_be_marked and _is_marked(match[0])
                links.append(LinkPlace(first, last, _content(text, match.end(), end), marked))
            elif kind == "end":
                name = match["end"].lower()
                if name.startswith("/"):
                    ends[name] = match.start()
                else:
                    ends.setdefault(name, match.end())
            else:
                after = None if kind == "broken" else _after(text, match, end, links)
                if after is None:
                    return False
                at = after
                break
        else:
            return True


def _content(text: str, at: int, end: int) -> str:
    """What stands before the end tag of the link whose tag ends at *at*, or its beginning."""
    most = min(at + _MOST_LINK_TEXT, end)
    for closing in ("</a", "</A"):
        if (closed := text.find(closing, at, most)) >= 0:
            most = closed
    return text[at:most]


def _is_marked(tag: str) -> bool:
    """Whether its sender wants no tracking of the link (``data-posthouse="no-track"``)."""
    name = _TAG_NAME.match(tag)
    assert name is not None
    for attribute, value in _READ_ATTRIBUTE.findall(tag, name.end(), len(tag) - 1):
        if attribute.lower() == _MARK:
            return _NO_TRACK in value.strip("\"'").split()
    return False


def _after(text: str, match: re.Match[str], end: int, links: list[LinkPlace]) -> int | None:
    """Where the raw text or comment that begins there ends; None if it does not."""
    at = match.end()
    if match.lastgroup == "raw":
        name = match["raw"]
        closed = re.compile(rf"</{name}(?=[{_S}/>])", re.IGNORECASE).search(text, at, end)
        return closed.start() if closed and name.lower() != "plaintext" else None
    if empty := _EMPTY_COMMENT.match(text, at, end):
        return empty.end()
    closed = _COMMENT_END.search(text, at, end)
    if closed is None:
        return None
    if outlook := _FOR_OUTLOOK.match(text, at, end):
        _scan(text, outlook.end(), closed.start(), links, {})
    return closed.end()
