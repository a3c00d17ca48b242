"""What a receiver's look at an SPF record found."""

from collections.abc import Sequence

from posthouse.domains.findings import Finding, FindingState
from posthouse.domains.setup_records import RecordPurpose
from posthouse.domains.spf_judging import SpfNode, SpfResult, failures, lookups, problems, result
from posthouse.domains.spf_record import MOST_LOOKUPS, VERSION


def judge_spf(
    purpose: RecordPurpose,
    node: SpfNode,
    texts: Sequence[str],
    expected: str,
    addresses: Sequence[str],
) -> Finding:
    """Whether mail of our *addresses* passes SPF at a name that has the TXT records *texts*.

    *expected* is the one record that it should have.
    """
    state, mend = _judged(node, texts, addresses)
    seen = node.records or tuple(text for text in texts if VERSION in text.lower())
    return Finding(purpose, node.domain, "TXT", expected, seen, state, mend)


def _judged(
    node: SpfNode, texts: Sequence[str], addresses: Sequence[str]
) -> tuple[FindingState, str]:
    if unanswered := list(failures(node)):
        return FindingState.UNKNOWN, f"DNS gave no answer: {'; '.join(unanswered)}: try again"
    if not node.records:
        return FindingState.WRONG, _missing(texts)
    if found := list(problems(node)):
        return FindingState.WRONG, "; ".join(found) + _costs(node)
    for address in addresses:
        if (said := result(node, address)) is not SpfResult.PASS:
            return (
                FindingState.WRONG,
                f"mail from {address} gets {said}: replace the record by the expected one",
            )
    if any(step.term.name == "all" and step.term.qualifier == "+" for step in node.steps):
        return FindingState.ADVICE, "+all permits every host of the world: use ~all or -all"
    return FindingState.RIGHT, ""


def _missing(texts: Sequence[str]) -> str:
    broken = [text for text in texts if VERSION in text.lower()]
    if not broken:
        return "there is no SPF record: publish it"
    if '"' in broken[0]:
        return "the record contains quotes: enter the text without them"
    return f"the record does not begin with {VERSION!r} and a space: receivers do not see it"


def _costs(node: SpfNode) -> str:
    """Which terms ask for how many look-ups, if they are too many together."""
    if lookups(node) <= MOST_LOOKUPS:
        return ""
    costs = [
        (1 + (lookups(step.child) if step.child else 0), step.term.text)
        for step in node.steps
        if step.term.looks_up
    ]
    return f" ({', '.join(f'{text}: {cost}' for cost, text in sorted(costs, reverse=True))})"
