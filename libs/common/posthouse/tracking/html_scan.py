"""Where the links of an HTML text are, by its own offsets (WHATWG HTML, section 13.2.5).

The text is read as a browser's tokenizer reads it and never written again: what is put in at these
offsets changes nothing else, no quote, entity or line end, and no template language in a tag.

Comments for Outlook (``<!--[if mso]>...<![endif]-->``) are read as what they are to Outlook, HTML.
Its buttons (``<v:roundrect href="...">``) are links too.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

_MOST_LINK_TEXT = 500  # characters of a link's content that are looked at
_S = r" \t\n\r\f"  # what HTML takes for blanks
_NAME = rf"[^{_S}/>][^{_S}/>=]*+"
_VALUE = rf"(?:\"[^\"]*+\"|'[^']*+'|[^{_S}\"'>][^{_S}>]*+|(?=>))"
# Python before 3.11.5 gets possessive groups wrong, so none is; none needs to be: where a value
# follows, the name alone does not match.
_ATTRIBUTE = rf"{_NAME}(?:[{_S}]*+=[{_S}]*+{_VALUE}|(?![{_S}]*+=))"
_MORE = rf"(?:[{_S}/]++|{_ATTRIBUTE})*"
_CALLED = rf"(?=[{_S}/>])"  # the name ends here
_ATTRIBUTES = rf"{_CALLED}{_MORE}"
_RAW = "script|style|title|textarea|xmp|iframe|noembed|noframes|plaintext"
# Of attributes of one name the first one counts.
_HREF = (
    rf"href[{_S}]*+=[{_S}]*+(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'"
    rf"|(?P<bare>[^{_S}\"'>][^{_S}>]*+))"
)
_BEFORE_HREF = rf"{_CALLED}(?:[{_S}/]++|(?!href[{_S}/>=]){_ATTRIBUTE})*"
_LINK = r"(?:a|area|v:[a-z]++)"
# Most tags by far, in a fifth of the time. An "=" behind a letter or digit ends the name of an
# attribute, so what follows at once is its value. Sets of letters cost less than IGNORECASE.
_USUAL = (
    rf"[^<>\"'=]*+(?:(?<=[a-zA-Z0-9-])=(?:\"[^\"]*+\"|'[^']*+'|[^{_S}\"'>][^{_S}>]*+)"
    r"[^<>\"'=]*+)*>"
)
# No name that is of interest begins like this.
_DULL = (
    r"(?:[tT](?![eEiI])|/(?:[ac-gi-zAC-GI-Z]|[bB](?![oO])|[hH](?![tT]))|[pP](?![lL])|[bB](?![oO])"
    r"|[sS](?![cCtT])|[c-gj-moqruwyzC-GJ-MOQRUWYZ]|[iI](?![fF])|[hH](?![tT])|[nN](?![oO])"
    rf"|[sS][tT](?![yY]))[a-zA-Z0-9:]*+(?:>|[{_S}/]{_USUAL})"
)
# Most links, in a quarter of the time, with their content if no tag is in it.
_USUAL_LINK = (
    rf"[aA](?:[{_S}]++(?![hH])[a-zA-Z-]++=\"[^\"]*+\")*[{_S}]++href=\"(?P<usual>[^\"]*+)\"{_USUAL}"
    rf"(?:(?P<content>[^<]{{0,{_MOST_LINK_TEXT}}}+)(?=</[aA])|)"
)
_MARKUP = re.compile(
    rf"<(?:{_DULL}[^<]*+<)*()(?:"  # those before it, so that each of them is no match of its own
    rf"{_USUAL_LINK}"
    rf"|(?i:{_LINK}{_BEFORE_HREF}(?:{_HREF}{_MORE})?>"
    rf"|(?P<raw>{_RAW}){_ATTRIBUTES}>"
    rf"|(?P<end>/(?:body|html)|body){_ATTRIBUTES}>"
    rf"|/?[a-z][^{_S}/>]*+{_ATTRIBUTES}>"
    r"|(?P<comment>!--)|[!?][^>]*+>|/(?![a-z])[^>]*+>|(?P<broken>/?[a-z])))",
    re.ASCII,
)
_READ_ATTRIBUTE = re.compile(rf"({_NAME})(?:[{_S}]*+=[{_S}]*+({_VALUE}))?", re.ASCII)
_TAG_NAME = re.compile(rf"[^{_S}/>]++", re.ASCII)
_HEAD = re.compile(r"<(?:!doctype|html|head|body)", re.IGNORECASE)
_COMMENT_END = re.compile(r"--!?>")
_EMPTY_COMMENT = re.compile(r"-?>")
_FOR_OUTLOOK = re.compile(r"\[if [^\]>]*+\]>", re.IGNORECASE)
_LINKS = frozenset(("content", "usual", "double", "single", "bare"))
_TAG = 1  # the group where the tag begins, behind "<"
_MARK, _NO_TRACK = "data-posthouse", "no-track"


LinkPlace: TypeAlias = tuple[int, int, str]
"""A link: where it begins and ends in a text, and what is clicked on, as it is written.

Of that maybe only the beginning; in a text what is before.
"""


class HtmlScan(NamedTuple):
    """The places of an HTML text where something may be put in."""

    links: Sequence[LinkPlace]  # in their order, but for those marked as not to be tracked
    start: int | None  # of what is shown, behind the tag; None where that cannot be said
    end: int | None  # of what is shown, before the end tags; None where nothing can follow


def scan_html(text: str) -> HtmlScan:
    """The places in *text*. Any text can be read, in time that grows with its length."""
    links: list[LinkPlace] = []
    ends: dict[str, int] = {}
    is_open = _scan(text, 0, len(text), links, ends)
    start = ends.get("body", None if _HEAD.search(text) else 0)
    end = ends.get("/body", ends.get("/html", len(text) if is_open else None))
    return HtmlScan(links, start, end)


def _scan(text: str, at: int, end: int, links: list[LinkPlace], ends: dict[str, int]) -> bool:
    """Whether more text may follow at *end*: it is within no tag, comment or raw text."""
    may_be_marked = _NO_TRACK in text
    while True:
        for match in _MARKUP.finditer(text, at, end):
            kind = match.lastgroup
            if kind is None:
                continue
            if kind == "content":
                links.append((*match.span("usual"), match[kind]))
            elif kind in _LINKS:
                links.append((*match.span(kind), _content(text, match.end(), end)))
            elif kind == "end":
                name = match["end"].lower()
                if name.startswith("/"):
                    ends[name] = match.start(_TAG) - 1
                else:
                    ends.setdefault(name, match.end())
            else:
                after = None if kind == "broken" else _after(text, match, end, links)
                if after is None:
                    return False
                at = after
                break
            if may_be_marked and kind in _LINKS and _is_marked(text, match):
                links.pop()
        else:
            return True


def _content(text: str, at: int, end: int) -> str:
    """What stands before the end tag of the link whose tag ends at *at*, or its beginning."""
    most = min(at + _MOST_LINK_TEXT, end)
    for closing in ("</a", "</A"):
        if (closed := text.find(closing, at, most)) >= 0:
            most = closed
    return text[at:most]


def _is_marked(text: str, match: re.Match[str]) -> bool:
    """Whether its sender wants no tracking of the link (``data-posthouse="no-track"``)."""
    end = match.start("content") if match.lastgroup == "content" else match.end()
    name = _TAG_NAME.match(text, match.start(_TAG))
    assert name is not None
    for attribute, value in _READ_ATTRIBUTE.findall(text, name.end(), end - 1):
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
