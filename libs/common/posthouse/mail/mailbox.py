"""Mailboxes in header fields: From, Sender, Reply-To, To, Cc, Bcc (RFC 5322 section 3.4).

Programs differ in how they read a malformed field, and that difference is how one sender poses as
another. A field that two readers may read as two different addresses is refused.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.encoded_words import decoded

# No group is possessive, which Python before 3.11.5 gets wrong. Their parts exclude each other, so
# a hostile field still costs one pass.
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PLAIN = r'[^<>"()\\, ]++'
# Nearly every mailbox: an address, alone or behind a display name that is quoted or has no "@".
_USUAL = re.compile(rf'({_PLAIN})|([^"<>(),\\@]*+|{_QUOTED} *+)<({_PLAIN})>', re.DOTALL)

_TOKEN = re.compile(rf'{_QUOTED}|\[[^]\[<>",]*+\]|[]["<>,:;()]|\\.|[^]["<>,:;()\\]++|\\', re.DOTALL)
_IN_COMMENT = re.compile(r"[()]|\\.|[^()\\]++|\\", re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ROUTE = re.compile(r"@[^\s,:@\"<>]++(?:[ ,]++@[^\s,:@\"<>]++)* *+: *+")

# Obsolete, but to be read (RFC 5322 section 4.4): blanks around a dot, and words of which some are
# quoted, as in: jo . "doe" @ a.example.
_SPACED_DOT = re.compile(rf"({_QUOTED})|(?<![ \t])[ \t]*+\.[ \t]*+", re.DOTALL)
_ATOM = r'[^\s"\\.@<>(),:;\[\]]++'
_WORDS = re.compile(rf"(?:{_ATOM}|{_QUOTED})(?:\.(?:{_ATOM}|{_QUOTED}))+", re.DOTALL)
_WORD = re.compile(rf'{_QUOTED}|[^"]++', re.DOTALL)

_SHOWN = 80  # characters of a refused field that are quoted back
_LIST = ","
_LENIENT_LIST = ",;:"
_LENIENT_END = ",; \t"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address, and the display name beside it."""

    address: Address
    phrase: str = ""  # the display name as written, with quotes and encoded words

    @property
    def name(self) -> str:
        """The display name as a reader sees it, "" for none; it holds no control characters."""
        text = self.phrase
        if '"' in text or "\\" in text:
            text = "".join(unquoted(token) for token in _TOKEN.findall(text))
        return " ".join(decoded(text).split())


def mailboxes(value: str) -> tuple[Mailbox, ...]:
    """The mailboxes of an unfolded From, Sender or Reply-To, at least one.

    Raises InvalidAddress when there is none, or when the field can be read in two ways. Groups,
    routes and blanks in a domain are refused. A comma within a display name that should have been
    quoted is common and hides nothing ("Doe, Jo <jo@a.example>"); nor does a separator at the end.
    """
    return _usual(value) or _read(value.rstrip(_LENIENT_END), _LIST)


def address_list(value: str) -> tuple[Mailbox, ...]:
    """The mailboxes of an unfolded To, Cc or Bcc, those in groups too: there may be none.

    Raises InvalidAddress. Semicolons may separate mailboxes, as some programs write; source routes
    are dropped (RFC 5321 appendix C).
    """
    return _usual(value) or _read(value, _LENIENT_LIST)


def _usual(value: str) -> tuple[Mailbox, ...]:
    usual = _USUAL.fullmatch(value)
    if usual is None or ";" in value or ":" in value:
        return ()
    return (Mailbox(Address.parse(usual[1] or usual[3]), (usual[2] or "").strip()),)


class Token(NamedTuple):
    """A piece of a value: a quoted string, a comment, a special, or what is between them."""

    text: str  # of a comment: what is between its parentheses, unquoted
    raw: str  # as written
    is_comment: bool = False


def _read(value: str, separators: str) -> tuple[Mailbox, ...]:
    is_lenient = separators is _LENIENT_LIST
    found: list[Mailbox] = []
    before: list[str] = []  # a display name up to its unquoted commas
    for element, separator in _elements(value, separators):
        text = "".join([token.text for token in element if not token.is_comment])
        has_address = "@" in text
        if separator == ":":
            if has_address:
                raise _refused(value, "an address stands before a colon")
            before.clear()  # the name of a group
        elif not has_address and (separator or (is_lenient and not text.strip())):
            before.append(text)
        else:
            found.append(_mailbox(value, element, before, is_lenient=is_lenient))
            before.clear()
    return tuple(found)


def _mailbox(
    value: str, element: Sequence[Token], before: Sequence[str], *, is_lenient: bool
) -> Mailbox:
    """The mailbox in *element*; *before* is what unquoted commas cut off its display name."""
    texts = [" " if token.is_comment else token.text for token in element]
    if "<" not in texts:
        phrase = next((_quoted(t.text) for t in reversed(element) if t.is_comment), "")
        return Mailbox(_address("".join(texts), is_lenient=is_lenient), phrase)

    begin, end = texts.index("<"), texts.index(">")
    inside = "".join(texts[begin + 1 : end]).strip()
    if behind := "".join(texts[end + 1 :]).strip():
        raise _refused(value, f"{behind!a} stands behind an address")
    if is_lenient and (route := _ROUTE.match(inside)):
        inside = inside[route.end() :]
    own_phrase = "".join(texts[:begin])
    phrase = ",".join([*before, own_phrase]).strip(" ,\t")
    mailbox = Mailbox(_address(inside, is_lenient=is_lenient), phrase)
    # Some readers take the first address they see. The same one twice is common, and safe.
    has_address = any("@" in text for text in texts[:begin] if not text.startswith('"'))
    if has_address and own_phrase.strip().lower() != inside.lower():
        raise _refused(value, "its display name holds an address")
    return mailbox


def _address(text: str, *, is_lenient: bool) -> Address:
    """The address in *text*, also in an obsolete form.

    One with blanks in its domain only where *is_lenient*: some readers take what is before them for
    the domain.
    """
    local, at, domain = text.strip().rpartition("@")
    local, domain = local.rstrip(), domain.lstrip()
    if " " in local or "\t" in local:
        local = _SPACED_DOT.sub(_unspaced, local)
    if is_lenient and (" " in domain or "\t" in domain):
        domain = _SPACED_DOT.sub(_unspaced, domain)
    if local[1:-1].count('"') and _WORDS.fullmatch(local):
        local = _quoted("".join(unquoted(word) for word in _WORD.findall(local)))
    return Address.parse(f"{local}{at}{domain}")


def _unspaced(match: re.Match[str]) -> str:
    return match[1] or "."


def _elements(value: str, separators: str) -> Iterator[tuple[list[Token], str]]:
    """The tokens between *separators* outside of angle brackets, and the one behind; "" at last."""
    element: list[Token] = []
    in_angle = False
    for token in tokens(value):
        if token.is_comment:
            pass
        elif token.text in ("<", ">"):
            if in_angle is (token.text == "<"):
                raise _refused(value, "its angle brackets are not balanced")
            in_angle = not in_angle
        elif token.text in separators and not in_angle:
            yield element, token.text
            element = []
            continue
        element.append(token)
    if in_angle:
        raise _refused(value, "its angle brackets are not balanced")
    yield element, ""


def tokens(value: str) -> Iterator[Token]:
    """*value* cut into pieces; raises InvalidAddress if a quote or parenthesis is alone."""
    at = 0
    while at < len(value):
        match = _TOKEN.match(value, at)
        assert match is not None  # every character begins a token
        begin, text, at = at, match[0], match.end()
        if text == "(":
            text, at = _comment(value, at)
            yield Token(text, value[begin:at], is_comment=True)
        elif text == ")":
            raise _refused(value, "its comments are not balanced")
        elif text == '"':
            raise _refused(value, "a quoted string does not end")
        else:
            yield Token(text, text)


def _comment(value: str, begin: int) -> tuple[str, int]:
    """The comment behind the parenthesis before *begin*, and where it ends; comments may nest."""
    depth, at = 1, begin
    while depth:
        match = _IN_COMMENT.match(value, at)
        if match is None:
            raise _refused(value, "its comments are not balanced")
        at = match.end()
        depth += (match[0] == "(") - (match[0] == ")")
    text = value[begin : at - 1]
    return (_QUOTED_PAIR.sub(r"\1", text) if "\\" in text else text), at


def unquoted(token: str) -> str:
    """The text that *token*, a quoted string or another piece, stands for."""
    text = token[1:-1] if token.startswith('"') and len(token) > 1 else token
    return _QUOTED_PAIR.sub(r"\1", text)


def _quoted(text: str) -> str:
    """*text* as a quoted string."""
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))


def _refused(value: str, why: str) -> InvalidAddress:
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
    return InvalidAddress(f"{shown!a} is not one mailbox or a list of them: {why}")
