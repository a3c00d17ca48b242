"""Parts of a body written again, and everything around them left byte for byte."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from posthouse.mail.body_edits import BodyEdit
from posthouse.mail.long_lines import has_long_line
from posthouse.mail.message import Header
from posthouse.mail.mime_leaves import MimeLeaf
from posthouse.tracking.text_part import (
    TRANSFER_ENCODING,
    PartTemplate,
    TextPart,
    Transfer,
    UnsafePart,
)

Rewrite: TypeAlias = Callable[[MimeLeaf], "tuple[Header, PartTemplate] | None"]
"""What a part becomes, with its header; None for one that stays as it is."""


class RewrittenPart(NamedTuple):
    """A part that is written again, and its place in the body."""

    start: int  # of its content, or of its header where that changes
    end: int
    header: bytes  # b"" for the one it has
    template: PartTemplate
    is_in_place: bool  # only what is in its gaps changes

    def edits(self, fillings: Sequence[str]) -> list[BodyEdit]:
        """What of the body changes, with the filling of each gap's number."""
        if not self.is_in_place:
            content = self.template.filled(fillings)
            return [(self.start, self.end, self.header + content)]
        at = self.start
        return [(at + s, at + e, fillings[n].encode()) for s, e, n in self.template.gaps]


class RewrittenParts(NamedTuple):
    """The parts of a body that are written again."""

    transfer_encoding: str  # that the header of the message has to name; "" for the one it has
    parts: tuple[RewrittenPart, ...]

    def edits(self, fillings: Sequence[str]) -> list[BodyEdit]:
        """What of the body changes, with the filling of each gap's number."""
        return [edit for part in self.parts for edit in part.edits(fillings)]


def rewrite_parts(leaves: Sequence[MimeLeaf], rewrite: Rewrite) -> RewrittenParts:
    """Those of *leaves* that *rewrite* has something else for."""
    encoding = ""
    parts: list[RewrittenPart] = []
    for leaf in leaves:
        found = rewrite(leaf)
        if found is None:
            continue
        own, template = found
        start, header = leaf.start, b""
        if own is not leaf.header and leaf.boundaries:
            start, header = leaf.header_start, bytes(own)
        elif own is not leaf.header:
            encoding = "quoted-printable"
        is_in_place = own is leaf.header and template.is_in_place
        parts.append(RewrittenPart(start, leaf.end, header, template, is_in_place))
    return RewrittenParts(encoding, tuple(parts))


def fit(
    template: PartTemplate, part: TextPart, leaf: MimeLeaf, longest: Sequence[str] = ()
) -> tuple[Header, PartTemplate]:
    """*template* in an encoding that it fits, and the header that says so.

    *longest*: fillings as long as they get. Raises UnsafePart.
    """
    header = leaf.header
    if template.transfer is Transfer.PLAIN:
        filled = template.filled(longest)
        is_longer = has_long_line(filled) and not has_long_line(part.text.encode(part.codec))
        # No octet above ASCII where there was none, and no line too long (RFC 5322 section 2.1.1).
        if not is_longer and (filled.isascii() or not part.text.isascii()):
            return header, template
        template = template._replace(transfer=Transfer.QUOTED_PRINTABLE)
        header = header.replace(TRANSFER_ENCODING, "quoted-printable")
    # Lines end elsewhere than they did.
    if any(f"--{boundary.decode('latin-1')}" in part.text for boundary in leaf.boundaries):
        raise UnsafePart("a part has in it what looks like its end")
    return header, template


def encoded_as(header: Header, transfer_encoding: str) -> Header:
    """The *header* of a message whose own content is in *transfer_encoding*; "": as it was."""
    if not transfer_encoding:
        return header
    header = header.replace(TRANSFER_ENCODING, transfer_encoding)
    return header if header.first("MIME-Version") else header.replace("MIME-Version", "1.0")
