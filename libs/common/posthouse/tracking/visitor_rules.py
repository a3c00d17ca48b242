"""Whether a person or a machine opened or clicked: the rules of visitor_rules.toml, read once."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from posthouse.tracking.visit import VisitFacts

_DATA = tomllib.loads((files(__package__) / "visitor_rules.toml").read_text())

# Changes with every change of the rules; stored with each verdict.
RULES_VERSION: int = _DATA["version"]


class Visitor(StrEnum):
    """Who asked for a pixel or a link."""

    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"


class VisitVerdict(NamedTuple):
    """Who it was, and the rule that says so; "" where none does."""

    visitor: Visitor
    rule: str


NOBODY_KNOWS = VisitVerdict(Visitor.UNKNOWN, "")

_Holds = Callable[[VisitFacts], bool]


class VisitorRule(NamedTuple):
    """A verdict, where all conditions hold."""

    verdict: VisitVerdict
    conditions: tuple[_Holds, ...]
    why: str
    example: Mapping[str, Any]


def _conditions(entry: Mapping[str, Any]) -> Iterator[_Holds]:
    """What has to hold for a rule; KeyError for what no rule can name."""
    for name, value in entry.items():
        if name not in ("name", "verdict", "why", "example"):
            yield _CONDITIONS[name](value)


def _agents(words: list[str]) -> _Holds:
    @lru_cache(maxsize=1_024)  # most visitors have one of a few
    def has_one(agent: str) -> bool:
        agent = agent.lower()
        return any(word in agent for word in words)

    return lambda facts: has_one(facts.agent)


def _before(seconds: float) -> _Holds:
    return lambda facts: facts.seconds is not None and facts.seconds < seconds


_CONDITIONS: Mapping[str, Callable[[Any], _Holds]] = {
    "kind": lambda kind: lambda facts: facts.kind == kind,
    "head": lambda _: lambda facts: facts.is_head,
    "prefetch": lambda _: lambda facts: facts.is_prefetch,
    "agents": _agents,
    "exact_agents": lambda agents: lambda facts: facts.agent.strip() in agents,
    "before": _before,
    "links_together": lambda least: lambda facts: facts.links_together >= least,
    "links_of_client": lambda least: lambda facts: facts.links_of_client >= least,
    "links_in_order": lambda least: lambda facts: facts.links_in_order >= least,
}


def _rule(entry: Mapping[str, Any]) -> VisitorRule:
    verdict = VisitVerdict(Visitor(entry["verdict"]), entry["name"])
    return VisitorRule(verdict, tuple(_conditions(entry)), entry["why"], entry["example"])


# The first one that matches counts.
VISITOR_RULES: tuple[VisitorRule, ...] = tuple(map(_rule, _DATA["rule"]))


def judge_visit(facts: VisitFacts) -> VisitVerdict:
    """Who it was, by the first rule that matches."""
    for rule in VISITOR_RULES:
        if all(holds(facts) for holds in rule.conditions):
            return rule.verdict
    return NOBODY_KNOWS
