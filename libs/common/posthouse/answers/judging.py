"""Judges an answer by its words, its codes and the command that it answers.

Only "no such mailbox" may suppress a recipient, so it is what remains: the rules of words are
asked in an order in which it comes late, and a code that says anything else stands against it.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from posthouse.answers.answer import Answer, AnswerClass, Evidence, Judgement, Stage
from posthouse.answers.rule_table import BY_CODE, BY_ENHANCED, UNCLEAR, WORD_RULES, Meaning
from posthouse.answers.wording import MOST_READ, words_of
from posthouse.mail.scope import Scope

SERVICE_CLOSING = 421  # RFC 5321 section 3.8: may answer any command

# Before MAIL nothing has been said about any mail: these answers are about the two hosts.
ABOUT_HOSTS = frozenset(
    {
        Stage.GREETING,
        Stage.EHLO,
        Stage.HELO,
        Stage.STARTTLS,
        Stage.AUTH,
        Stage.RSET,
        Stage.QUIT,
    }
)
_AFTER_CONTENT = frozenset({Stage.DATA, Stage.DOT, Stage.REPORT_OF_DOT})
# Another system has given up: what it said first cannot be tried again by us.
_REPORTED = frozenset({Stage.REPORT, Stage.REPORT_OF_DOT, Stage.PROSE})
_SCOPE_OF_STAGE = {
    Stage.MAIL: Scope.SENDER,
    Stage.RCPT: Scope.RECIPIENT,
    Stage.REPORT: Scope.RECIPIENT,
    Stage.REPORT_OF_DOT: Scope.MESSAGE,
    Stage.PROSE: Scope.RECIPIENT,
    Stage.DATA: Scope.MESSAGE,
    Stage.DOT: Scope.MESSAGE,
}
_GONE = AnswerClass.NO_SUCH_MAILBOX
_TEMPORARY, _PERMANENT = 4, 5


def judge(answer: Answer) -> Judgement:
    """What *answer* means. Never raises, and takes time linear in its length."""
    words = words_of(answer.text)
    judged = _judge(replace(answer, text=words, recipients=min(answer.recipients, 2)))
    if len(answer.text) > MOST_READ and judged.evidence is Evidence.HARD:
        return replace(judged, evidence=Evidence.SOFT)  # what was not read might contradict
    return judged


# A server says the same few things for every message.
@lru_cache(maxsize=1024)
def _judge(said: Answer) -> Judgement:
    """What an answer means that has only its words as text."""
    meaning = _meaning(said)
    scope = _scope(meaning, said)
    several = said.recipients > 1
    if several and scope is Scope.RECIPIENT:
        # One answer for several mailboxes cannot say which of them is meant.
        scope = Scope.MESSAGE
    permanent = _is_permanent(meaning, said)
    evidence = meaning.evidence
    # What may pass and is not even clear says nothing against an address.
    too_little = evidence is Evidence.HARD or meaning.kind is AnswerClass.UNCLEAR
    if several or scope is Scope.SENDER or (too_little and not permanent):
        evidence = Evidence.NONE
    return Judgement(meaning.kind, scope, permanent, evidence, meaning.rule, meaning.why)


def _meaning(said: Answer) -> Meaning:
    if said.code is not None and said.code // 100 not in (_TEMPORARY, _PERMANENT):
        return BY_CODE["out of step"]
    spoken = next(_spoken(said.text, said.provider), None)
    coded = min(_coded(said.enhanced), key=_clarity, default=None)
    if spoken is not None and spoken.kind is _GONE:
        if coded is not None and _contradicts(coded, spoken, said.stage):
            return coded
        confirmed = spoken.sure or (coded is not None and coded.kind is _GONE)
        return _gone(spoken, said.stage, confirmed=confirmed)
    if spoken is not None and spoken.weak and coded is not None and not coded.weak:
        spoken = None
    found = spoken or coded or _by_code(said)
    if coded is not None and coded.kind is found.kind:
        found = replace(found, scope=found.scope or coded.scope)
    if found.kind is not _GONE:
        return found
    return BY_CODE["not by words"] if said.stage in _AFTER_CONTENT else _gone(found, said.stage)


def _contradicts(coded: Meaning, spoken: Meaning, stage: Stage) -> bool:
    """Whether a code speaks against words that there is no such mailbox.

    "Mailbox disabled" beside them does so after the content only: then it may be a filter.
    """
    if coded.kind is AnswerClass.MAILBOX_DISABLED and stage in _AFTER_CONTENT:
        return True
    if coded.kind is AnswerClass.POLICY and spoken.sure:
        return False
    return coded.kind is not _GONE and not coded.weak


def _spoken(words: str, provider: str) -> Iterator[Meaning]:
    """What the words mean, by the rules that match."""
    for rule in WORD_RULES:
        if rule.provider in ("", provider) and rule.pattern.search(words):
            yield rule.meaning


def _coded(enhanced: tuple[str, ...]) -> Iterator[Meaning]:
    for code in enhanced:
        _, subject, detail = code.split(".")
        meaning = BY_ENHANCED.get(f"{subject}.{detail}") or BY_ENHANCED.get(subject)
        if meaning is not None:
            yield meaning


def _clarity(meaning: Meaning) -> int:
    """Of several codes the first clear one counts, "no such mailbox" after all other clear ones."""
    return 2 if meaning.weak else 1 if meaning.kind is _GONE else 0


def _gone(found: Meaning, stage: Stage, *, confirmed: bool = True) -> Meaning:
    """*found*, which says "no such mailbox", unless none can be meant at this stage."""
    if stage is Stage.MAIL:
        return BY_CODE["no recipient yet"]
    if stage in ABOUT_HOSTS:
        return UNCLEAR
    if stage is Stage.REPORT_OF_DOT and not confirmed:
        return BY_CODE["after the content"]
    if stage is Stage.PROSE:
        return replace(found, evidence=Evidence.SOFT)
    return found


def _by_code(said: Answer) -> Meaning:
    return BY_CODE.get(f"{said.stage} {said.code}") or BY_CODE.get(str(said.code)) or UNCLEAR


def _scope(meaning: Meaning, said: Answer) -> Scope:
    scope = meaning.scope or _SCOPE_OF_STAGE.get(said.stage, Scope.HOST)
    about_hosts = said.stage in ABOUT_HOSTS or said.code == SERVICE_CLOSING
    if about_hosts and (scope is not Scope.SENDER or meaning.kind is AnswerClass.TLS):
        # Hosts that turn us away before RCPT may do so for our address, never for a mailbox.
        return Scope.HOST
    if scope is Scope.RECIPIENT and said.stage is Stage.MAIL:
        return Scope.SENDER  # no recipient was named yet: the address meant is ours
    return scope


def _is_permanent(meaning: Meaning, said: Answer) -> bool:
    """Whether all codes say so, and in our own dialogue the words too; without codes the words."""
    severities = {int(text[0]) for text in said.enhanced}
    if said.code is not None:
        severities.add(said.code // 100)
    if severities and (said.stage in _REPORTED or meaning.permanent):
        return severities == {_PERMANENT}
    return meaning.permanent
