"""Fields that a message may have once (RFC 5322 section 3.6), and what is done with several.

Readers differ in which of several they show or obey, so copies say nothing and contradictions are
an attack or a fault.
"""

from collections.abc import Sequence

from posthouse.mail.message import Field, Header

# The MIME ones by the grammar of RFC 2045 section 3 and of RFC 2183.
SINGLE = frozenset(
    (
        b"date",
        b"from",
        b"sender",
        b"reply-to",
        b"to",
        b"cc",
        b"bcc",
        b"message-id",
        b"in-reply-to",
        b"references",
        b"subject",
        b"mime-version",
        b"content-type",
        b"content-transfer-encoding",
        b"content-id",
        b"content-description",
        b"content-disposition",
    )
)


def repeated(header: Header) -> list[bytes]:
    """The names of fields that *header* has more than one of and may have one of, in lower case."""
    if len({name for name, _ in header.fields}) == len(header.fields):
        return []  # nearly always
    names = [name for name, _ in header.fields]
    return [name for name in dict.fromkeys(names) if name in SINGLE and names.count(name) > 1]


def are_copies(fields: Sequence[Field]) -> bool:
    """Whether all *fields* say the same, however they are folded."""
    return (
        len({field.raw.partition(b":")[2].replace(b"\r\n", b"").strip() for field in fields}) == 1
    )


def without_copies(header: Header) -> Header:
    """*header* with the topmost of each field that it may have one of and has copies of.

    Where such fields differ all of them stay.
    """
    copied = {name for name in repeated(header) if are_copies(_called(name, header))}
    if not copied:
        return header
    seen: set[bytes] = set()
    kept: list[Field] = []
    for field in header.fields:
        if field.name in copied and field.name in seen:
            continue
        seen.add(field.name)
        kept.append(field)
    return Header(tuple(kept))


def _called(name: bytes, header: Header) -> list[Field]:
    return [field for field in header.fields if field.name == name]
