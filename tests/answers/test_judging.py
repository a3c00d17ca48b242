"""What answers mean: each rule by its example, and answers that were judged wrongly once."""

import pytest

from posthouse.answers import AnswerClass, Evidence, Stage, judge, read_answer
from posthouse.answers.rule_table import WORD_RULES, WordRule
from posthouse.mail.scope import Scope

CALLOUT = """550-Verification failed for <a@relay.example>
550-No Such User Here
550 Sender verify failed"""


@pytest.mark.parametrize("rule", WORD_RULES, ids=lambda rule: rule.meaning.rule)
def test_the_example_of_a_rule_is_judged_by_it(rule: WordRule) -> None:
    said = read_answer(rule.example, rule.stage, provider=rule.provider)
    assert judge(said).rule == rule.meaning.rule


@pytest.mark.parametrize(
    "text",
    [
        "550 No such user here",
        "550 5.1.1 user unknown",
        "550 #5.1.1 ...no mailbox here by that name",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        "550 5.1.1 <spam@mx.example>: unknown user in table",
    ],
)
def test_no_such_mailbox_suppresses(text: str) -> None:
    judged = judge(read_answer(text, Stage.RCPT))
    assert (judged.kind, judged.suppresses) == (AnswerClass.NO_SUCH_MAILBOX, True)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("550", AnswerClass.UNCLEAR),
        ("550 Sender verify failed", AnswerClass.SENDER_VERIFICATION),
        (CALLOUT, AnswerClass.SENDER_VERIFICATION),
        ("550 User is over quota", AnswerClass.MAILBOX_FULL),
        ("550 Greylisted, come back later", AnswerClass.GREYLISTED),
        ("550 5.7.1: message refused", AnswerClass.POLICY),
        (
            "550 #5.7.1 Your access to this mail system has been refused for now.",
            AnswerClass.REPUTATION,
        ),
        ("550 4.2.2 x", AnswerClass.MAILBOX_FULL),
        ("550 5.1.1 Mailbox full", AnswerClass.MAILBOX_FULL),
        ("550 5.2.1 receives too much just now", AnswerClass.MAILBOX_RATE),
        ("450 4.1.1 User unknown", AnswerClass.NO_SUCH_MAILBOX),
    ],
)
def test_anything_else_does_not(text: str, kind: AnswerClass) -> None:
    judged = judge(read_answer(text, Stage.RCPT))
    assert (judged.kind, judged.suppresses) == (kind, False)


@pytest.mark.parametrize(
    ("text", "recipients", "suppresses"),
    [
        ("554 dd This user doesn't have a mail.example account (ann@mail.example)", 1, True),
        ("554 dd This user doesn't have a mail.example account (ann@mail.example)", 2, False),
        ("550 5.1.1 refused", 1, False),
        ("554 5.1.1 The content was not liked", 1, False),
    ],
)
def test_at_the_dot_words_about_one_recipient_count(
    text: str, recipients: int, suppresses: bool
) -> None:
    judged = judge(read_answer(text, Stage.DOT, recipients=recipients))
    assert judged.suppresses is suppresses
    assert suppresses is (judged.scope is Scope.RECIPIENT)


def test_what_microsoft_says_of_many_things_counts_and_decides_nothing() -> None:
    text = "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)"
    judged = judge(read_answer(text, Stage.RCPT))
    assert (judged.kind, judged.evidence) == (AnswerClass.UNCLEAR, Evidence.SOFT)
