"""The one judge of what a remote mail system says: in a reply, in a report, in free text."""

from posthouse.answers.answer import (
    HARD_CLASSES,
    Answer,
    AnswerClass,
    Evidence,
    Judgement,
    Stage,
)
from posthouse.answers.judging import ABOUT_HOSTS, SERVICE_CLOSING, judge
from posthouse.answers.reply_codes import read_answer
from posthouse.answers.rule_table import RULES_VERSION, provider_of
from posthouse.answers.weighing import failure_of, weight_of, why_not_listed

__all__ = [
    "ABOUT_HOSTS",
    "HARD_CLASSES",
    "RULES_VERSION",
    "SERVICE_CLOSING",
    "Answer",
    "AnswerClass",
    "Evidence",
    "Judgement",
    "Stage",
    "failure_of",
    "judge",
    "provider_of",
    "read_answer",
    "weight_of",
    "why_not_listed",
]
