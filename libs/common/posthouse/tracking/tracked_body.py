"""A body with tracked links: decided once for a message, filled in for each recipient.

Only parts in HTML are changed (and text/plain where that is asked for), and of them only the
targets of links and the place of the pixel. Everything around them stays byte for byte.
"""

import re
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from posthouse.mail.body_edits import BodyEdit
from posthouse.mail.message import Header
from posthouse.mail.mime_leaves import MimeLeaf, TooManyParts, mime_leaves
from posthouse.tracking.html_scan import LinkPlace, scan_html
from posthouse.tracking.link_rules import LinkRules
from posthouse.tracking.part_rewriting import RewrittenParts, fit, rewrite_parts
from posthouse.tracking.text_part import Gap, PartTemplate, TextPart, UnsafePart, read_part
from posthouse.tracking.token import MOST_LINKS

_PIXEL = 0  # the number of its gap; those of links follow
_HTML, _PLAIN = "text/html", "text/plain"
_SEALED = re.compile(
    r"(multipart/signed|multipart/encrypted|application/(?:x-)?pkcs7-mime|application/pgp)"
)
_SEALED_STAYS = "what is signed or encrypted stays as it is"
_PGP = "-----BEGIN PGP "
_LINK_IN_TEXT = re.compile(
    r"https?://[^\s<>\"]+[^\s<>\".,;:!?'()\[\]{}*_]", re.IGNORECASE | re.ASCII
)
_WORDS_BEFORE = 80  # characters that say what a link in text is for


class Wanted(NamedTuple):
    """What of a message is tracked."""

    opens: bool
    clicks: bool
    text_links: bool = False  # links in text/plain too


@dataclass(frozen=True, slots=True)
class Untracked:
    """Nothing of a message is tracked, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class TrackedBody:
    """A body with gaps for links and the pixel."""

    rewritten: RewrittenParts
    targets: tuple[str, ...]  # of the links, by their number
    has_pixel: bool
    left: tuple[str, ...]  # why something else in it is not tracked

    def edits(self, pixel: str, links: Sequence[str]) -> list[BodyEdit]:
        """What makes it of the body: *pixel*, a tag, and *links*, a URL for each target."""
        return self.rewritten.edits((pixel, *links))


def track_body(
    header: Header, body: bytes, wanted: Wanted, rules: LinkRules, longest: tuple[str, str]
) -> TrackedBody | Untracked:
    """*body* with gaps for what is *wanted*; *longest*: a pixel and a link as long as they get."""
    try:
        leaves = tuple(mime_leaves(header, body))
    except TooManyParts:
        return Untracked("it has too many parts")
    work = _PartsSoFar(wanted, rules, longest)
    made = rewrite_parts(leaves, lambda leaf: work.rewritten(leaf, body))
    left = tuple(dict.fromkeys(work.left))
    if not made.parts:
        return Untracked("; ".join(left) or _nothing(wanted))
    return TrackedBody(made, tuple(work.targets), work.has_pixel, left)


def _nothing(wanted: Wanted) -> str:
    return "it has no HTML" if wanted.opens else "it has no links to track"


@dataclass(slots=True)
class _PartsSoFar:
    """What was found in the parts so far."""

    wanted: Wanted
    rules: LinkRules
    longest: tuple[str, str]
    targets: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    has_pixel: bool = False

    def rewritten(self, leaf: MimeLeaf, body: bytes) -> tuple[Header, PartTemplate] | None:
        """The part with gaps, and its header; None for one that stays as it is."""
        if _SEALED.match(leaf.media_type):
            self.left.append(_SEALED_STAYS)
        if leaf.media_type != _HTML and not (
            leaf.media_type == _PLAIN and self.wanted.clicks and self.wanted.text_links
        ):
            return None
        if (leaf.header.first("Content-Disposition") or "").lower().startswith("attachment"):
            return None
        try:
            return self._with_gaps(read_part(leaf, body), leaf)
        except UnsafePart as error:
            self.left.append(str(error))
            return None

    def _with_gaps(self, part: TextPart, leaf: MimeLeaf) -> tuple[Header, PartTemplate] | None:
        if _PGP in part.text:
            raise UnsafePart(_SEALED_STAYS)
        pixel_at: int | None = None
        if leaf.media_type == _HTML:
            links, _, pixel_at = scan_html(part.text)
        else:
            links = _links_in_text(part.text)
        gaps, targets = self._numbered(links, part, leaf)
        if len(self.targets) + len(targets) > MOST_LINKS:
            raise UnsafePart(f"it has more than {MOST_LINKS} links")
        wants_pixel = self.wanted.opens and not self.has_pixel and leaf.media_type == _HTML
        if wants_pixel and pixel_at is None:
            self.left.append("a part ends within a tag or comment: no pixel can follow it")
        elif wants_pixel and pixel_at is not None:
            insort(gaps, (pixel_at, pixel_at, _PIXEL))
        if not gaps:
            return None
        pixel, link = self.longest
        fillings = [pixel] + [link] * max(number for _, _, number in gaps)
        template = PartTemplate(part.text, gaps, part.codec, part.transfer, part.ends_line)
        found = fit(template, part, leaf, fillings)
        self.targets += targets
        self.has_pixel |= wants_pixel and pixel_at is not None
        return found

    def _numbered(
        self, links: Sequence[LinkPlace], part: TextPart, leaf: MimeLeaf
    ) -> tuple[list[Gap], list[str]]:
        """The gaps and targets of those of *links* that are tracked."""
        if not self.wanted.clicks:
            return [], []
        text, is_plain = part.text, part.text.isascii()
        urls = [
            text[start:end] if is_plain else part.readable(text[start:end])
            for start, end, _ in links
        ]
        contents = [content for _, _, content in links]
        found = self.rules.targets(urls, contents, is_html=leaf.media_type == _HTML)
        number, gaps = len(self.targets), list[Gap]()
        for (start, end, _), target in zip(links, found, strict=True):
            if target:
                number += 1
                gaps.append((start, end, number))
        return gaps, [target for target in found if target]


def _links_in_text(text: str) -> tuple[LinkPlace, ...]:
    return tuple(
        [
            (*found.span(), text[max(0, found.start() - _WORDS_BEFORE) : found.start()])
            for found in _LINK_IN_TEXT.finditer(text)
        ]
    )
