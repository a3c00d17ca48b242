"""Who opened or clicked: every rule judges its example, and no other does so first."""

from dataclasses import replace

import pytest

from posthouse.mail.events import EventKind
from posthouse.tracking.visit import VisitFacts
from posthouse.tracking.visitor_rules import (
    NOBODY_KNOWS,
    VISITOR_RULES,
    Visitor,
    VisitorRule,
    judge_visit,
)

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
CLICK = VisitFacts(
    kind=EventKind.CLICKED,
    agent=FIREFOX,
    client="192.0.2.7",
    is_head=False,
    is_prefetch=False,
    seconds=86_400.0,
    links_together=1,
    links_of_client=1,
    links_in_order=1,
)
OPEN = replace(CLICK, kind=EventKind.OPENED, links_together=0, links_of_client=0, links_in_order=0)


def facts_of(rule: VisitorRule) -> VisitFacts:
    names = {"head": "is_head", "prefetch": "is_prefetch"}
    changes = {names.get(name, name): value for name, value in rule.example.items()}
    usual = OPEN if rule.example.get("kind") == "opened" else CLICK
    return replace(usual, **changes)


@pytest.mark.parametrize("rule", VISITOR_RULES, ids=lambda rule: rule.verdict.rule)
def test_each_rule_judges_its_example(rule: VisitorRule) -> None:
    assert rule.verdict == judge_visit(facts_of(rule))
    assert rule.why
    assert rule.verdict.visitor is not Visitor.UNKNOWN


def test_names_of_rules_are_different() -> None:
    names = [rule.verdict.rule for rule in VISITOR_RULES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("facts", "visitor", "rule"),
    [
        (CLICK, "human", "browser"),
        (replace(CLICK, agent=IPHONE, seconds=None), "human", "browser"),
        (replace(OPEN, agent=IPHONE, seconds=30.0), "human", "browser"),
        (replace(OPEN, agent="Something of its own 1.0"), "unknown", ""),
        (replace(CLICK, agent="Mozilla/5.0"), "unknown", ""),  # of Apple only as an open
        (replace(CLICK, seconds=1.9), "machine", "clicked at delivery"),
        (replace(CLICK, seconds=2.0), "human", "browser"),
        (replace(CLICK, seconds=-1e9), "machine", "before delivery"),
        (replace(CLICK, links_together=2), "human", "browser"),
    ],
)
def test_verdicts(facts: VisitFacts, visitor: str, rule: str) -> None:
    assert (visitor, rule) == judge_visit(facts)


def test_nobody_knows_who_says_nothing_known() -> None:
    assert NOBODY_KNOWS == judge_visit(replace(OPEN, agent="?"))
