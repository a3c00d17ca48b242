"""Signing: relaxed/relaxed DKIM, RSA and Ed25519 side by side (RFC 6376, RFC 8463).

Our own because the work is a few replacements on bytes and one primitive; a general library
spends thirty times that. Another implementation checks it in the tests.
"""

import re
from base64 import b64encode
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from posthouse.mail import signed_id
from posthouse.mail.dkim_key import SigningKey
from posthouse.mail.message import Field, Header

# Named once more than they occur, present or not: a second one, which some readers would show, does
# not verify (RFC 6376 section 8.15). Not what mailing lists add to mail that they leave as it is.
OVERSIGNED = (
    b"from",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"message-id",
    b"reply-to",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
    signed_id.FIELD.lower().encode(),
)
# Fields that a reader sees or acts on, and our id. Trace fields are left out: other servers add to
# them.
SIGNED = frozenset(
    (
        *OVERSIGNED,
        b"sender",
        b"in-reply-to",
        b"references",
        b"list-id",
        b"list-unsubscribe",
        b"list-unsubscribe-post",
    )
)

_RUN = re.compile(b"  +")
_BLANKS = b" \t\r\n"  # what may stand around a value: folds with nothing on them, too

# Of names or digits, beside the tag; RFC 5322 section 2.1.1 wants 78 octets in a line at most.
_OCTETS_A_LINE = 72

PIECE_OCTETS = 65_536  # of a body, hashed at a stretch


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A signature field without the signature."""

    key: SigningKey
    data: bytes  # to be signed
    tags: bytes


def body_hash(body: bytes) -> bytes:
    """The ``bh=`` tag of *body*."""
    return b64encode(sha256(relaxed_body(body)).digest())


def body_hash_in_pieces(body: bytes) -> Generator[None, None, bytes]:
    """As `body_hash`, with a pause after each half millisecond: 25 MB take tenths of a second.

    A piece ends with a line, so one that is longer is in one piece.
    """
    digest, has_text = sha256(), False
    at, ends = 0, 0  # octets done; line ends that came last, and are hashed if more text follows
    while at < len(body):
        end = body.find(b"\r\n", at + PIECE_OCTETS)
        end = end + 2 if end >= 0 else len(body)
        lines = _relaxed_lines(body[at:end])
        text = lines.rstrip(b"\r\n")
        if text:
            digest.update(b"\r\n" * ends + text)
            has_text, ends = True, 0
        ends += (len(lines) - len(text)) // 2
        at = end
        yield
    if has_text:
        digest.update(b"\r\n")
    return b64encode(digest.digest())


def unsigned(
    header: Header, hashed_body: bytes, keys: Sequence[SigningKey], now: datetime
) -> tuple[Unsigned, ...]:
    """The field for each of *keys* to sign; *hashed_body* comes from `body_hash`.

    Signing is the last change: any edit of header or body afterwards breaks the signature.
    """
    if not keys:
        return ()
    names, lines = _chosen(header)
    return tuple([_unsigned(key, names, lines, hashed_body, now) for key in keys])


def signed(header: Header, made: Iterable[tuple[Unsigned, bytes]]) -> Header:
    """*header* with each signature that was made on top, the first one uppermost."""
    return Header((*(_field(what, signature) for what, signature in made), *header.fields))


def _unsigned(
    key: SigningKey, names: bytes, lines: bytes, hashed_body: bytes, now: datetime
) -> Unsigned:
    """The field that signs the canonical *lines* of the fields *names*.

    It is written with its folds; the relaxed form has one blank in place of each (section 3.4.2).
    """
    tags = (
        f"v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n"
        f"\td={key.domain}; s={key.selector}; t={int(now.timestamp())};\r\n"
    ).encode() + b"\tbh=%b;\r\n\th=%b;\r\n\tb=" % (hashed_body, names)
    return Unsigned(key, b"%bdkim-signature:%b" % (lines, tags.replace(b"\r\n\t", b" ")), tags)


def _field(what: Unsigned, signature: bytes) -> Field:
    digits = b64encode(signature)
    cut = [digits[at : at + _OCTETS_A_LINE] for at in range(0, len(digits), _OCTETS_A_LINE)]
    return Field(b"dkim-signature", b"DKIM-Signature: " + what.tags + b"\r\n\t".join(cut) + b"\r\n")


def _chosen(header: Header) -> tuple[bytes, bytes]:
    """The ``h=`` tag, folded, and the relaxed form of every field it names, in its order.

    That is from the last field up: of several the lowest is taken first (section 5.4.2).
    """
    fields = [field for field in reversed(header.fields) if field.name in SIGNED]
    return _folded(tuple([field.name for field in fields])), relaxed_fields(fields)


@lru_cache(maxsize=64)  # an application's messages have the same fields
def _folded(present: tuple[bytes, ...]) -> bytes:
    lines = [b""]
    for name in (*present, *OVERSIGNED):
        if len(lines[-1]) + len(name) >= _OCTETS_A_LINE:
            lines.append(b"")
        lines[-1] += name + b":"
    return b"\r\n\t".join(lines)[:-1]


def relaxed_fields(fields: Iterable[Field]) -> bytes:
    """Section 3.4.2: lower-case names, values on one line with single blanks, CRLF."""
    lines = [b"%b:%b\r\n" % (name, raw.partition(b":")[2].strip(_BLANKS)) for name, raw in fields]
    # The same for all of them, so at once. A CRLF with a blank behind it is a fold.
    return _single_blanks(b"".join(lines).replace(b"\t", b" ").replace(b"\r\n ", b" "))


def relaxed_body(body: bytes) -> bytes:
    """Section 3.4.4: single blanks, none before a line end, no empty lines at the end.

    A body whose last line is not ended is taken to be: so it will be on the wire.
    """
    text = _relaxed_lines(body)
    if text.endswith(b"\r\n\r\n") or text == b"\r\n":
        # Nothing else can go with them: ingest lets no bare CR or LF in.
        text = text.rstrip(b"\r\n")
        return text + b"\r\n" if text else b""
    return text


def _relaxed_lines(body: bytes) -> bytes:
    text = body if body.endswith(b"\r\n") else body + b"\r\n"
    # Most bodies are as they should be: looking costs less than a copy. Backwards it takes half.
    if b"\t" in text or text.rfind(b"  ") >= 0 or text.rfind(b" \r\n") >= 0:
        text = _single_blanks(text.replace(b"\t", b" ")).replace(b" \r\n", b"\r\n")
    return text


def _single_blanks(text: bytes) -> bytes:
    """*text*, which has no tabs, with one blank in place of several."""
    return _RUN.sub(b" ", text) if b"  " in text else text
