"""What answers count against addresses, and which entries the rules of today would not make."""

from collections.abc import Mapping
from typing import Any

import pytest

from posthouse.answers import Stage, failure_of, judge, read_answer, why_not_listed
from posthouse.mail.address_failure import FailureWeight

UNKNOWN, CALLOUT = "550 5.1.1 no such user", "550 Sender verify failed"
FULL, GREY = "452 4.2.2 mailbox full", "450 4.7.1 greylisted, come back later"


@pytest.mark.parametrize(
    ("text", "stage", "weight"),
    [
        (UNKNOWN, Stage.RCPT, FailureWeight.HARD),
        (UNKNOWN, Stage.REPORT, FailureWeight.HARD),
        (FULL, Stage.RCPT, FailureWeight.SOFT),
        ("550 5.1.2 the domain does not exist", Stage.REPORT, FailureWeight.GONE),
        (CALLOUT, Stage.RCPT, None),
        (GREY, Stage.RCPT, None),
        ("550", Stage.RCPT, None),
    ],
)
def test_what_an_answer_counts(text: str, stage: Stage, weight: FailureWeight | None) -> None:
    answer = read_answer(text, stage)
    failure = failure_of(answer, judge(answer), host="mx.dest.example")
    assert weight == (failure and failure.weight)
    if failure is not None:
        kept = failure.as_json()
        assert ("mx.dest.example", answer.code) == (kept["host"], kept["code"])


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("450 4.2.0 not now", FailureWeight.SOFT),
        ("450", FailureWeight.SOFT),
        (FULL, FailureWeight.SOFT),
        (GREY, None),
        ("451 4.3.0 out of memory", None),
        ("421 4.7.0 too many connections from your address", None),
    ],
)
def test_what_did_not_pass_within_days_counts_when_it_is_about_the_mailbox(
    text: str, weight: FailureWeight | None
) -> None:
    """As a soft failure, and so it stays when it is judged again."""
    answer = read_answer(text, Stage.RCPT)
    failure = failure_of(answer, judge(answer), expired=True)
    assert weight == (failure and failure.weight)
    if failure is not None:
        kept = {**failure.as_json(), "at": "2026-07-01T12:00:00+00:00", "delivery": "d"}
        assert not falls(kept, for_good=False)


def bounce(text: str, weight: FailureWeight, day: int = 1, **changes: Any) -> dict[str, Any]:
    """A failure as an entry keeps it, of rules that made it weigh so much."""
    answer = read_answer(text, Stage.RCPT)
    return {
        "weight": weight.value, "kind": "no such mailbox", "answer": text, "stage": "RCPT",
        "code": answer.code, "enhanced": list(answer.enhanced), "provider": "", "recipients": 1,
        "rule": "old", "rules": "1", "delivery": f"d{day}", "at": f"2026-07-0{day}T12:00:00+00:00",
        **changes,
    }  # fmt: skip


def falls(*bounces: Mapping[str, Any], for_good: bool) -> bool:
    return bool(why_not_listed({"bounces": list(bounces)}, for_good=for_good))


HARD, GONE, SOFT = FailureWeight


def test_an_entry_that_still_holds() -> None:
    assert not falls(bounce(UNKNOWN, HARD), for_good=True)
    assert not falls(*(bounce(FULL, SOFT, day) for day in (1, 2, 3)), for_good=False)


def test_an_entry_that_was_made_by_a_callout_says_why() -> None:
    why = why_not_listed({"bounces": [bounce(CALLOUT, HARD)]}, for_good=True)
    assert why.startswith("sender verification: ")
    assert "(rule " in why


def test_one_wrong_failure_of_several_that_were_needed() -> None:
    assert falls(bounce(UNKNOWN, HARD), bounce(CALLOUT, HARD, 2), for_good=True)
    assert falls(*(bounce(t, SOFT, d) for d, t in ((1, FULL), (2, GREY))), for_good=False)


def test_one_wrong_failure_that_was_not_needed() -> None:
    """A soft one beside a hard one; one of two on the same day."""
    assert not falls(bounce(UNKNOWN, HARD), bounce(GREY, SOFT, 2), for_good=True)
    assert not falls(bounce(FULL, SOFT), bounce(GREY, SOFT), for_good=False)


def test_a_hard_failure_that_is_soft_today_makes_no_hard_entry() -> None:
    assert falls(bounce(FULL, HARD), for_good=True)


def test_a_failure_that_was_counted_mildly_stays_so() -> None:
    """Such as a member of an alias that is gone: its words are hard, and it counts as soft."""
    assert not falls(*(bounce(UNKNOWN, SOFT, day) for day in (1, 2, 3)), for_good=False)


def test_a_domain_that_was_gone_twice() -> None:
    said = "550 5.1.2 the domain does not exist"
    assert not falls(bounce(said, GONE), bounce(said, GONE, 2), for_good=True)
    assert falls(bounce(said, GONE), bounce(GREY, GONE, 2), for_good=True)


@pytest.mark.parametrize(
    ("evidence", "fallen"),
    [
        ({"code": 550, "enhanced": None, "reply": "Sender verify failed"}, True),
        ({"code": 550, "enhanced": "5.1.1", "reply": "user unknown"}, False),
        ({"code": 550, "reply": ""}, True),
        ({"status": "5.1.1", "diagnostic": "smtp; 550 5.1.1 no such user"}, False),
        ({"status": "5.7.1", "diagnostic": "smtp; 550 5.7.1 refused"}, True),
        ({"imported": "old.csv"}, False),
        ({"by": "operator"}, False),
        ({}, False),
    ],
)
def test_entries_without_counted_failures(evidence: dict[str, Any], *, fallen: bool) -> None:
    """Those that were made before failures were counted are judged; imported ones are not."""
    assert fallen is bool(why_not_listed(evidence, for_good=True))
