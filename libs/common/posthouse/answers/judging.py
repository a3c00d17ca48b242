"""Judges an answer by its words, its codes and the command that it answers.

Only "no such mailbox" may suppress a recipient, so it is what remains: the rules of words are
asked in an order in which it comes last, and a code that says anything else stands against it.
"""

from dataclasses import replace
from functools import lru_cache

from posthouse.answers.answer import Answer, AnswerClass, Evidence, Judgement, Stage
from posthouse.answers.rule_table import BY_CLASS, BY_CODE, BY_ENHANCED, WORD_RULES, Meaning
from posthouse.answers.wording import words_of
from posthouse.mail.outcome import Scope

# More words than that are not looked at, and then nothing suppresses: the rest might contradict.
MOST_WORDS = 4096

SERVICE_CLOSING = 421  # RFC 5321 section 3.8: may answer any command

# Before MAIL nothing has been said about any mail: these answers are about the two hosts.
ABOUT_HOSTS = frozenset(
    {Stage.GREETING, Stage.EHLO, Stage.HELO, Stage.STARTTLS, Stage.RSET, Stage.QUIT}
)
_SCOPE_OF_STAGE = {
    Stage.MAIL: Scope.SENDER,
    Stage.RCPT: Scope.RECIPIENT,
    Stage.REPORT: Scope.RECIPIENT,
    Stage.PROSE: Scope.RECIPIENT,
    Stage.DATA: Scope.MESSAGE,
    Stage.DOT: Scope.MESSAGE,
}
_SUCCESS, _TEMPORARY, _PERMANENT = 2, 4, 5


def judge(answer: Answer) -> Judgement:
    """What *answer* means. Never raises, and takes time linear in its length."""
    return _judge(
        answer.stage,
        answer.code,
        answer.enhanced,
        words_of(answer.text)[: MOST_WORDS + 1],
        answer.recipients > 1,
    )


# A server says the same few things for every message.
@lru_cache(maxsize=1024)
def _judge(
    stage: Stage, code: int | None, enhanced: tuple[str, ...], words: str, several: bool
) -> Judgement:
    meaning = _meaning(stage, code, enhanced, words)
    scope = _scope(meaning, stage, code)
    if several and scope is Scope.RECIPIENT:
        # One answer for several mailboxes cannot say which of them is meant.
        scope = Scope.MESSAGE
    permanent = _is_permanent(meaning, code, enhanced)
    evidence = meaning.evidence
    if scope is Scope.SENDER or several or (evidence is Evidence.HARD and not permanent):
        evidence = Evidence.NONE
    return Judgement(meaning.kind, scope, permanent, evidence, meaning.rule, meaning.why)


def _meaning(stage: Stage, code: int | None, enhanced: tuple[str, ...], words: str) -> Meaning:
    if code is not None and code // 100 not in (_TEMPORARY, _PERMANENT):
        return BY_CODE["out of step"]
    spoken = next((r.meaning for r in WORD_RULES if r.pattern.search(words, 0, MOST_WORDS)), None)
    coded = _by_enhanced(enhanced)
    if spoken is None:
        found = coded or _by_code(stage, code)
        if found.kind is AnswerClass.NO_SUCH_MAILBOX and stage in (Stage.DATA, Stage.DOT):
            return BY_CODE["not by words"]
    elif spoken.evidence is not Evidence.HARD or coded is None or coded.weak:
        found = spoken
    else:
        found = spoken if coded.kind is AnswerClass.NO_SUCH_MAILBOX else coded
    return _about_a_mailbox(found, stage, len(words))


def _about_a_mailbox(found: Meaning, stage: Stage, length: int) -> Meaning:
    """*found*, unless it says "no such mailbox" where none can be meant."""
    if found.kind is not AnswerClass.NO_SUCH_MAILBOX:
        return found
    if stage is Stage.MAIL:
        return BY_CODE["no recipient yet"]
    if stage in ABOUT_HOSTS or length > MOST_WORDS:
        return BY_CLASS[AnswerClass.UNCLEAR]
    if stage is Stage.PROSE:
        return replace(found, evidence=Evidence.SOFT)
    return found


def _by_enhanced(enhanced: tuple[str, ...]) -> Meaning | None:
    """The meaning of the codes: the first that is clear, "no such mailbox" after all others."""
    found = []
    for code in enhanced:
        _, subject, detail = code.split(".")
        meaning = BY_ENHANCED.get(f"{subject}.{detail}") or BY_ENHANCED.get(subject)
        if meaning is not None:
            found.append(meaning)
    gone = AnswerClass.NO_SUCH_MAILBOX
    return min(found, key=lambda m: 2 if m.weak else 1 if m.kind is gone else 0, default=None)


def _by_code(stage: Stage, code: int | None) -> Meaning:
    found = BY_CODE.get(f"{stage} {code}") or BY_CODE.get(str(code))
    return found or BY_CLASS[AnswerClass.UNCLEAR]


def _scope(meaning: Meaning, stage: Stage, code: int | None) -> Scope:
    scope = meaning.scope or _SCOPE_OF_STAGE.get(stage, Scope.HOST)
    if (stage in ABOUT_HOSTS or code == SERVICE_CLOSING) and scope is not Scope.SENDER:
        # Hosts that turn us away before RCPT may do so for our address, never for a mailbox.
        return Scope.HOST
    if scope is Scope.RECIPIENT and stage is Stage.MAIL:
        return Scope.SENDER  # no recipient was named yet: the address meant is ours
    return scope


def _is_permanent(meaning: Meaning, code: int | None, enhanced: tuple[str, ...]) -> bool:
    """Whether words and codes all say so; without any code the class decides."""
    severities = {int(text[0]) for text in enhanced}
    if code is not None:
        severities.add(code // 100)
    if severities:
        return severities == {_PERMANENT} and meaning.permanent is not False
    return meaning.permanent is not False
