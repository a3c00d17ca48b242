"""What a list puts around its messages: a header and a footer, in HTML and in text (RULES U19).

They go into the first part of each kind that is no attachment: behind the tag ``<body>`` and before
its end, or before and behind a text. Everything else stays byte for byte.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from posthouse.mail.body_edits import edited
from posthouse.mail.content_type import parameter
from posthouse.mail.message import Header
from posthouse.mail.mime_leaves import MimeLeaf, TooManyParts, mime_leaves
from posthouse.tracking.html_scan import scan_html
from posthouse.tracking.part_rewriting import fit, rewrite_parts
from posthouse.tracking.text_part import PartTemplate, TextPart, UnsafePart, read_part

MOST_CHARACTERS = 20_000
"""Of each of the four."""

_HTML, _PLAIN = "text/html", "text/plain"
_SEALED = re.compile(
    r"multipart/signed|multipart/encrypted|application/(?:x-)?pkcs7-mime|application/pgp"
)
_SEALED_STAYS = "what is signed or encrypted stays as it is"
_PGP = "-----BEGIN PGP "
_LINE_END = re.compile(r"\r\n|\r|\n")


class ListFrame(NamedTuple):
    """Each is "" where there is none."""

    header_html: str = ""
    header_text: str = ""
    footer_html: str = ""
    footer_text: str = ""


class FramedBody(NamedTuple):
    """A body within a frame."""

    body: bytes | None  # None: nothing was put in
    transfer_encoding: str  # that the header of the message has to name; "" for the one it has
    left: tuple[str, ...]  # why something was not put in


def frame_body(header: Header, body: bytes, frame: ListFrame) -> FramedBody:
    """The *body* of a message with *header*, within *frame*."""
    try:
        leaves = tuple(mime_leaves(header, body))
    except TooManyParts:
        return FramedBody(None, "", ("it has too many parts",))
    work = _Framing(frame)
    made = rewrite_parts(leaves, lambda leaf: work.rewritten(leaf, body))
    left = tuple(dict.fromkeys(work.left))
    if not made.parts:
        return FramedBody(None, "", left or ("it has no text to put it into",))
    return FramedBody(edited(body, made.edits(())), made.transfer_encoding, left)


@dataclass(slots=True)
class _Framing:
    frame: ListFrame
    done: set[str] = field(default_factory=set)  # media types
    left: list[str] = field(default_factory=list)

    def rewritten(self, leaf: MimeLeaf, body: bytes) -> tuple[Header, PartTemplate] | None:
        if _SEALED.match(leaf.media_type):
            self.left.append(_SEALED_STAYS)
        before, after = self._around(leaf.media_type)
        if not (before or after) or leaf.media_type in self.done:
            return None
        if (leaf.header.first("Content-Disposition") or "").lower().startswith("attachment"):
            return None
        self.done.add(leaf.media_type)
        try:
            part = _read(leaf, body)
            if leaf.media_type == _HTML:
                text = self._framed(part.text, before, after)
            else:
                text = _framed_text(part, leaf, before, after)
            template = PartTemplate(text, (), part.codec, part.transfer, part.ends_line)
            return fit(template, part, leaf) if text != part.text else None
        except UnsafePart as error:
            self.left.append(str(error))
            return None

    def _around(self, media_type: str) -> tuple[str, str]:
        if media_type == _HTML:
            return self.frame.header_html, self.frame.footer_html
        if media_type == _PLAIN:
            return self.frame.header_text, self.frame.footer_text
        return "", ""

    def _framed(self, text: str, before: str, after: str) -> str:
        # In references, so that it is read alike in any charset.
        before, after = (
            _lines(html).encode("ascii", "xmlcharrefreplace").decode() for html in (before, after)
        )
        places = scan_html(text)
        if after and places.end is None:
            self.left.append("a part ends within a tag or comment: no footer can follow it")
        elif after:
            text = f"{text[: places.end]}{after}{text[places.end :]}"
        if before and places.start is None:
            self.left.append("a part does not say where its body begins: it has no header")
        elif before:
            text = f"{text[: places.start]}{before}{text[places.start :]}"
        return text


def _read(leaf: MimeLeaf, body: bytes) -> TextPart:
    part = read_part(leaf, body)
    if _PGP in part.text:
        raise UnsafePart(_SEALED_STAYS)
    return part


def _framed_text(part: TextPart, leaf: MimeLeaf, before: str, after: str) -> str:
    if not f"{before}{after}".isascii() and not parameter(leaf.content_type, "charset"):
        raise UnsafePart("a text without a charset takes no character that is not in ASCII")
    head = f"{part.written(_lines(before))}\r\n" if before else ""
    end = "" if part.text.endswith("\n") or not part.text else "\r\n"
    foot = f"{end}\r\n{part.written(_lines(after))}" if after else ""
    return f"{head}{part.text}{foot}"


def _lines(text: str) -> str:
    """*text* in lines as mail has them, the last one ended."""
    lines = _LINE_END.split(text.rstrip("\r\n"))
    return "".join([f"{line}\r\n" for line in lines]) if text else ""
