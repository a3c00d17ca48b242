"""Parts of a body written again, and everything around them left byte for byte."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

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


class RewrittenParts(NamedTuple):
    """The parts that are written again, and what stands around them."""

    transfer_encoding: str  # that the header of the message has to name; "" for the one it has
    around: tuple[bytes, ...]  # before, between and after the parts
    parts: tuple[PartTemplate, ...]

    def filled(self, fillings: Sequence[str]) -> bytes:
        """The whole body, with the filling of each gap's number."""
        pieces = [self.around[0]]
        for part, after in zip(self.parts, self.around[1:], strict=True):
            pieces += (part.filled(fillings), after)
        return b"".join(pieces)


def rewrite_parts(leaves: Sequence[MimeLeaf], body: bytes, rewrite: Rewrite) -> RewrittenParts:
    """*body* with those of its *leaves* written again that *rewrite* has something else for."""
    encoding, at = "", 0
    around: list[bytes] = []
    parts: list[PartTemplate] = []
    for leaf in leaves:
        found = rewrite(leaf)
        if found is None:
            continue
        own, template = found
        if own is leaf.header:
            around.append(body[at : leaf.start])
        elif leaf.boundaries:
            around.append(body[at : leaf.header_start] + bytes(own))
        else:
            encoding = "quoted-printable"
            around.append(b"")
        parts.append(template)
        at = leaf.end
    return RewrittenParts(encoding, (*around, body[at:]), tuple(parts))


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
