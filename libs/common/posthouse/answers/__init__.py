"""The one judge of what a remote mail system says: in a reply, in a report, in free text."""

from posthouse.answers.answer import Answer, AnswerClass, Evidence, Judgement, Stage
from posthouse.answers.judging import judge
from posthouse.answers.reply_codes import read_answer
from posthouse.answers.rule_table import RULES_VERSION
from posthouse.answers.weighing import failure_of, weight_of, why_not_listed

__all__ = [
    "RULES_VERSION",
    "Answer",
    "AnswerClass",
    "Evidence",
    "Judgement",
    "Stage",
    "failure_of",
    "judge",
    "read_answer",
    "weight_of",
    "why_not_listed",
]
