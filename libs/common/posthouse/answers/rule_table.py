"""The rules of rules.toml, read and compiled once."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from posthouse.answers.answer import AnswerClass, Evidence, Stage
from posthouse.answers.wording import plain
from posthouse.mail.scope import Scope

_DATA = tomllib.loads((files(__package__) / "rules.toml").read_text())

# Changes with every change of the rules; stored with each judgement.
RULES_VERSION: int = _DATA["version"]

_GAP = "(?: [^ .]++){0,6} "  # up to six words of one sentence
_FIRST_WITHOUT_BLANKS = "\u2e80"  # from here on: scripts that put no blanks between words


@dataclass(frozen=True, slots=True)
class Meaning:
    """What words or a code mean, before stage and severity are looked at."""

    rule: str
    kind: AnswerClass
    scope: Scope | None  # None: as wide as the stage
    permanent: bool  # unless a code says otherwise; False: whatever a code of our dialogue says
    evidence: Evidence
    weak: bool  # a code that says too little to contradict words, or words to contradict a code
    sure: bool  # words that are believed in spite of 5.7.x, and in a report after the content too
    why: str


@dataclass(frozen=True, slots=True)
class WordRule:
    """What answers mean whose words match."""

    meaning: Meaning
    pattern: re.Pattern[str]
    provider: str  # the only one that means it so; "": everyone
    example: str
    stage: Stage  # of the example


def _meaning(rule: str, entry: Mapping[str, Any], *, of_code: bool = False) -> Meaning:
    kind = AnswerClass(entry["class"])
    usual = _DATA["class"][kind]
    scope = entry.get("scope", usual["scope"])
    return Meaning(
        rule,
        kind,
        Scope(scope) if scope else None,
        entry.get("permanent", of_code or usual.get("permanent", True)),
        Evidence(entry.get("evidence", usual.get("evidence", Evidence.NONE))),
        entry.get("weak", False),
        entry.get("sure", False),
        entry.get("why", usual["why"]),
    )


def _compiled(words: list[str]) -> re.Pattern[str]:
    phrases = [_expanded(phrase) for phrase in words]
    spaced = "|".join(phrase for phrase in phrases if not _is_unspaced(phrase))
    unspaced = [phrase for phrase in phrases if _is_unspaced(phrase)]
    return re.compile("|".join([rf"(?<!\w)(?:{spaced})(?!\w)" if spaced else "(?!)", *unspaced]))


def _expanded(phrase: str) -> str:
    """*phrase* with the names in braces replaced by their vocabulary, and its gaps."""
    for name, words in _DATA["vocabulary"].items():
        phrase = phrase.replace(f"{{{name}}}", f"(?:{'|'.join(words)})")
    return _GAP.join("".join(map(_letter, part)) for part in phrase.split(" … "))


def _letter(letter: str) -> str:
    """A pattern for one letter of a phrase, maybe garbled where it has an accent."""
    known = plain(letter)
    if letter.isascii() or known == letter:
        return letter
    return f"(?:{known}{'e?' if letter in 'äöü' else ''}|[?\ufffd]{{1,2}})"


def _is_unspaced(phrase: str) -> bool:
    return any(letter >= _FIRST_WITHOUT_BLANKS for letter in phrase)


def _word_rule(entry: Mapping[str, Any]) -> WordRule:
    meaning = _meaning(entry["name"], entry)
    stage = Stage(entry.get("stage", Stage.RCPT))
    provider = entry.get("provider", "")
    return WordRule(meaning, _compiled(entry["words"]), provider, entry["example"], stage)


# The first one whose words match counts.
WORD_RULES: tuple[WordRule, ...] = tuple(map(_word_rule, _DATA["rule"]))

# By subject and detail of an enhanced code ("1.1"), or by subject alone ("1").
BY_ENHANCED: Mapping[str, Meaning] = {
    code: _meaning(f"code x.{code}", entry, of_code=True)
    for code, entry in _DATA["enhanced"].items()
}
# By code of the reply, or by the stage and the code ("RCPT 552").
BY_CODE: Mapping[str, Meaning] = {
    code: _meaning(f"code {code}", entry, of_code=True) for code, entry in _DATA["code"].items()
}
BY_CLASS: Mapping[AnswerClass, Meaning] = {
    kind: _meaning(kind, {"class": kind}) for kind in AnswerClass
}
UNCLEAR = BY_CLASS[AnswerClass.UNCLEAR]

_PROVIDER_BY_DOMAIN: Mapping[str, str] = {
    domain: name for name, domains in _DATA["provider"].items() for domain in domains
}


def provider_of(host: str) -> str:
    """The provider to whose domains *host*, or a recipient's domain, belongs; "" if not known."""
    labels = host.lower().rstrip(".").split(".")
    names = (".".join(labels[start:]) for start in range(max(0, len(labels) - 5), len(labels)))
    return next((_PROVIDER_BY_DOMAIN[name] for name in names if name in _PROVIDER_BY_DOMAIN), "")
