"""Scores the reader of returned mail on each source of a labelled corpus, with and without its own.

An alternative of a pattern that matches in the messages of one source only is taken out while that
source is scored. This is no blind test: the author of the rest had seen the source. It shows how
much hangs on words that serve one source alone.

python bench/left_out.py CORPUS SCORER (a folder with labels.jsonl, and bounces_eval.py)
"""

import argparse
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from bounces.core.classification import in_short
from bounces.core.reports import (
    automatic,
    failed_recipients,
    failure_words,
    mime,
    named_addresses,
    notice,
    original,
    plain_text,
    smtp_quote,
)
from posthouse.answers import judging, rule_table
from posthouse.answers.wording import words_of

_MODULES = (
    automatic, failed_recipients, failure_words, named_addresses, notice, original, smtp_quote,
)  # fmt: skip
_PATTERNS = (
    failure_words.DAEMON, failure_words.FAILURE_SUBJECT, failure_words.FAILURE_TEXT,
    failure_words.DELAY, failure_words.FINAL, failure_words.NOT_A_RECIPIENT,
    failure_words.RECIPIENT_LABEL, original._ANNOUNCES, original._IS_LABEL,  # noqa: SLF001
    automatic._AUTO_REPLY_WORDS, automatic._CHALLENGE_WORDS, smtp_quote._TO_RCPT,  # noqa: SLF001
)  # fmt: skip
_RULES: Sequence[Mapping[str, Any]] = rule_table._DATA["rule"]  # noqa: SLF001
_OF_ORIGINALS = ("message/rfc822", "text/rfc822-headers")
_GROUP = re.compile(r"\(\?:(.*)\)", re.DOTALL)
_CHUNK = 6000  # characters: less than the judge reads of one answer


def main() -> None:
    """Print a line for all messages, and two for each source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("scorer", type=Path)
    options = parser.parse_args()
    scorer = _loaded(options.scorer)
    rows = scorer.load(str(options.corpus))
    raw = {row["id"]: (options.corpus / row["path"]).read_bytes() for row in rows}
    texts: dict[str, list[str]] = {}
    for row in rows:
        texts.setdefault(row["set"], []).append(_text(raw[row["id"]]))

    _show("all", scorer, rows, raw)
    for source in sorted(texts):
        own = [row for row in rows if row["set"] == source]
        _show(source, scorer, own, raw)
        taken = _Taken(texts, source)
        _show(f"  without its own {taken.count}", scorer, own, raw)
        taken.put_back()


class _Taken:
    """What serves *source* alone, taken out of the patterns and rules."""

    def __init__(self, texts: Mapping[str, Sequence[str]], source: str) -> None:
        self.count = 0
        self._changed: dict[re.Pattern[str], re.Pattern[str]] = {}
        self._rules = rule_table.WORD_RULES
        for pattern in _PATTERNS:
            parts = tuple(_alternatives(pattern.pattern))
            kept = self._kept(parts, pattern.flags, texts, source)
            new = re.compile("|".join(f"(?:{part})" for part in kept), pattern.flags)
            self._changed[new] = pattern
            _replace(pattern, new)
        words = {
            name: [words_of(text[at : at + _CHUNK]) for text in all_ for at in _starts(text)]
            for name, all_ in texts.items()
        }
        rules = []
        for rule in _RULES:
            compiled = {word: rule_table._compiled([word]) for word in rule["words"]}  # noqa: SLF001
            kept = [word for word, one in compiled.items() if not _serves(one, words, source)]
            self.count += len(compiled) - len(kept)
            if kept:
                rules.append(rule_table._word_rule({**rule, "words": kept}))  # noqa: SLF001
        _judge_by(tuple(rules))

    def _kept(
        self, parts: Sequence[str], flags: int, texts: Mapping[str, Sequence[str]], source: str
    ) -> list[str]:
        lines = re.MULTILINE  # a part that ends with "$" is searched in lines
        kept = [p for p in parts if not _serves(re.compile(p, flags | lines), texts, source)]
        self.count += len(parts) - len(kept)
        return kept

    def put_back(self) -> None:
        """Everything as it was."""
        for new, old in self._changed.items():
            _replace(new, old)
        _judge_by(self._rules)


def _judge_by(rules: tuple[rule_table.WordRule, ...]) -> None:
    vars(judging)["WORD_RULES"] = rules
    judging._judge.cache_clear()  # noqa: SLF001


def _replace(old: re.Pattern[str], new: re.Pattern[str]) -> None:
    for module in _MODULES:
        for name in [name for name, value in vars(module).items() if value is old]:
            setattr(module, name, new)


def _serves(pattern: re.Pattern[str], texts: Mapping[str, Sequence[str]], source: str) -> bool:
    """Whether *pattern* matches in texts of *source*, and in no other's."""
    return [name for name, all_ in texts.items() if any(map(pattern.search, all_))] == [source]


def _alternatives(pattern: str) -> Iterator[str]:
    """The alternatives of *pattern*, also of a group that is all of one."""
    for part in _divided(pattern):
        group = _GROUP.fullmatch(part)
        if group and _closes_at_its_end(group[1]) and len(list(_divided(group[1]))) > 1:
            yield from _alternatives(group[1])
        else:
            yield part


def _closes_at_its_end(inner: str) -> bool:
    """Whether *inner* is all of a group, not the end of one and the start of another."""
    try:
        re.compile(inner)
    except re.error:
        return False
    return True


def _divided(pattern: str) -> Iterator[str]:
    depth, in_class, begin = 0, False, 0
    for token in re.finditer(r"\\.|.", pattern, re.DOTALL):
        letter = token[0]
        if in_class:
            in_class = letter != "]"
        elif letter == "[":
            in_class = True
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == "|" and depth == 0:
            yield pattern[begin : token.start()]
            begin = token.end()
    yield pattern[begin:]


def _starts(text: str) -> Iterable[int]:
    return range(0, min(len(text), 10 * _CHUNK), _CHUNK)


def _text(content: bytes) -> str:
    """What can be read of the message *content*, without the original."""
    header = mime.top(content)
    texts = [plain_text.unencoded(header.get("subject", "")), header.get("from", "")]
    for part in mime.leaves(content):
        if part.media_type == "text/html":
            texts.append(plain_text.of_html(part.text(1 << 18)))
        elif part.media_type not in _OF_ORIGINALS:
            texts.append(part.text(1 << 16))
    return "\n".join(texts)


def _show(name: str, scorer: ModuleType, rows: Sequence[Any], raw: Mapping[str, bytes]) -> None:
    counts, _ = scorer.evaluate(rows, [in_short(raw[row["id"]]) for row in rows])
    print(scorer.line(name, counts), flush=True)


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("scorer", path)
    assert spec is not None
    assert spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    sys.modules["scorer"] = scorer
    spec.loader.exec_module(scorer)
    return scorer


if __name__ == "__main__":
    main()
