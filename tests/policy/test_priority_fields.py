"""How a message looks to its recipients, by its lane."""

from dataclasses import replace

import pytest

from ingest.core.admission import first_decision
from ingest.core.priority_rules import choose_lane
from policy.core.draft import Draft
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.priority_fields import show_lane
from policy.core.request import read
from policy.core.steps import run_steps, steps_for
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header
from posthouse.profiles import resolve
from servers.admitting import facts_for, incoming
from servers.stores import a_submission

FIELDS = ("X-Priority", "Importance", "Priority", "X-MSMail-Priority")
FACTS = Facts(
    Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32), {}, {}
)


def shown(lane: Lane, fields: str = "", **knobs: bool) -> dict[str, tuple[str, ...]]:
    """The priority fields of a message in *lane* that has these *fields*."""
    profile = resolve("mailup", overrides={f"priority.{k}": v for k, v in knobs.items()})
    header = f"From: jo@a.example\r\n{fields}\r\n".encode()
    draft = Draft.of(read(a_submission(lane, header=header), profile))
    result = run_steps(steps_for(profile), draft, FACTS)
    assert isinstance(result, Draft)
    found = {name: result.copies[0].header.values(name) for name in FIELDS}
    return {name: values for name, values in found.items() if values}


@pytest.mark.parametrize(
    ("lane", "number", "importance"),
    [
        (Lane.VERY_HIGH, "1 (Highest)", "high"),
        (Lane.HIGH, "2 (High)", "high"),
        (Lane.LOW, "4 (Low)", "low"),
        (Lane.BULK, "5 (Lowest)", "low"),
    ],
)
def test_U12_recipients_see_the_priority(lane: Lane, number: str, importance: str) -> None:
    found = shown(lane)
    assert found["X-Priority"] == (number,)
    assert found["Importance"] == (importance,)
    assert found["X-MSMail-Priority"] == (importance.capitalize(),)


def test_U12_the_effective_priority_is_shown_once() -> None:
    """Not what the client wrote: its user may have a higher one, or may not claim that one."""
    wrote = "X-Priority: 1\r\nx-priority: 3\r\nImportance: high\r\n"
    assert shown(Lane.HIGH, wrote)["X-Priority"] == ("2 (High)",)
    assert shown(Lane.NORMAL, wrote) == {}
    assert shown(Lane.NORMAL) == {}


def test_U12_queue_and_looks_are_two_knobs() -> None:
    wrote = "X-Priority: 5\r\n"
    assert shown(Lane.VERY_HIGH, wrote, fields_show_lane=False) == {"X-Priority": ("5",)}
    assert shown(Lane.VERY_HIGH, fields_show_lane=True, from_header=False)["X-Priority"]


@pytest.mark.parametrize("lane", list(Lane))
def test_U10_U12_what_is_shown_is_read_as_the_same_lane(lane: Lane) -> None:
    """So another relay of ours on the way does with it what this one did."""
    profile = resolve("mailup")
    draft = Draft.of(read(a_submission(lane, header=b"From: jo@a.example\r\n\r\n"), profile))
    header: Header = show_lane(draft, FACTS).copies[0].header
    facts = replace(facts_for("mailup"), lane=Lane.BULK)
    message = incoming(bytes(header), facts)
    expected = Lane.BULK if lane is Lane.NORMAL else lane  # which no field says
    assert choose_lane(message, first_decision(message)).lane is expected


def test_U08_U09_mailup_takes_the_higher_one_and_3_is_one() -> None:
    """Its users may claim the highest lane, unless they are told otherwise."""

    def lane(default: Lane, fields: str, highest: Lane = Lane.VERY_HIGH) -> Lane:
        facts = replace(facts_for("mailup"), lane=default, highest_lane=highest)
        message = incoming(f"From: jo@a.example\n{fields}", facts)
        return choose_lane(message, first_decision(message)).lane

    assert lane(Lane.NORMAL, "") is Lane.NORMAL
    assert lane(Lane.BULK, "X-Priority: 3") is Lane.NORMAL
    assert lane(Lane.BULK, "X-Priority: 4") is Lane.LOW
    assert lane(Lane.HIGH, "X-Priority: 5") is Lane.HIGH
    assert lane(Lane.NORMAL, "X-Priority: 1") is Lane.VERY_HIGH
    assert lane(Lane.NORMAL, "X-Priority: 1", Lane.HIGH) is Lane.HIGH
