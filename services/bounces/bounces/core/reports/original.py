"""Finds where a notice in free text ends and the returned original begins."""

import re
from collections.abc import Sequence

_LONGEST_LINE = 120  # of a line that announces the original; longer ones are sentences
_ANNOUNCES = re.compile(
    r"\b(?:original|returned|unsent|undelivered|old|forwarded|enclosed) (?:e-?mail |mail )?"
    r"(?:message|e-?mail|mail|header|msg)|cop(?:y|ie) of (?:the|your|this) |message headers? follow"
    r"|message (?:text|header) follows|header of the|message header:?$|start of (?:the )?message"
    r"|original ?nachricht|urspr(?:ü|ue)nglichen? |kopie (?:der|ihrer|van|van het|wiadomo)"
    r"|message (?:original|d'origine|initial)|copie (?:du|de votre) |mensaje original"
    r"|copia del|mensagem original|c[óo]pia d[ao]|messaggio originale"
    r"|oorspronkelijk|oryginaln|исходно|копия |оригинал|původn|ursprungligt|oprindelig"
    r"|元の(?:メール|メッセージ)|オリジナル|原始(?:邮件|郵件)|原邮件|原信|原郵件|원본|원문",
    re.IGNORECASE,
)
_IS_LABEL = re.compile(
    r"^[-=*_#|+~>.\u2500-\u257f]{2,}|[-=*_#|+~:]$|\b(?:follow|below|attached|adjunt|enclosed|angeh)"
    r"|beigef|ci-dessous|ci-joint|suivant|folgt|allegat|anexad|bifoga|vedh|ниже|以下|附件|添付",
    re.IGNORECASE,
)
_IS_SENTENCE = re.compile(
    r"\b(?:was|could|has|not|cannot|can't|been|were|please|when|for the following)\b", re.IGNORECASE
)
_CODE = re.compile(r"\b[45]\d\d[ -]")
_ONLY_WORDS = 40  # characters: so short a line is a title

_FIELD = re.compile(r">? ?([A-Za-z][A-Za-z0-9-]{1,40}):(?: |\t|$)")
_TELLING = frozenset(
    {"received", "return-path", "message-id", "mime-version", "dkim-signature", "delivered-to",
     "x-received"}
)  # fmt: skip
_OF_A_MESSAGE = _TELLING | {
    "from", "to", "subject", "date", "content-type", "x-mailer", "cc", "sender", "reply-to",
    "references", "in-reply-to", "user-agent", "content-transfer-encoding", "received-spf",
    "domainkey-signature", "precedence",
}  # fmt: skip
_FIELDS_IN_A_ROW = 3


def original_begins(lines: Sequence[str]) -> int:
    """The number of the first line that belongs to the original; their count if none does."""
    told = False  # whom it concerns or what was said: until then nothing is returned yet
    for number, line in enumerate(lines):
        if _starts_header(lines, number) or (
            _announces(line) and (told or _field_follows(lines, number))
        ):
            return number
        told = told or "@" in line or _CODE.search(line) is not None
    return len(lines)


def _field_follows(lines: Sequence[str], number: int) -> bool:
    """Whether the next line that is not empty is one of a message's usual fields."""
    following = (line for line in lines[number + 1 : number + 4] if line.strip())
    field = _FIELD.match(next(following, ""))
    return field is not None and field[1].lower() in _OF_A_MESSAGE


def _announces(line: str) -> bool:
    words = line.strip()
    return (
        len(words) <= _LONGEST_LINE
        and _ANNOUNCES.search(words) is not None
        and (_IS_LABEL.search(words) is not None or len(words) <= _ONLY_WORDS)
        and _IS_SENTENCE.search(words) is None
        and not words[:1].islower()  # the rest of a sentence that was wrapped
    )


def _starts_header(lines: Sequence[str], number: int) -> bool:
    """Whether a message's header begins there: several of its usual fields in a row."""
    if not _FIELD.match(lines[number]):
        return False
    names: set[str] = set()
    for line in lines[number : number + 40]:
        field = _FIELD.match(line)
        if field:
            names.add(field[1].lower())
        elif not line.startswith((" ", "\t", ">")):
            break
        known = names & _OF_A_MESSAGE
        if len(known) >= _FIELDS_IN_A_ROW and known & _TELLING:
            return True
    return False
