"""What is worse than usual is said, and what to fix first."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from posthouse.answers import AnswerClass
from posthouse.traffic.advice import advice_on
from posthouse.traffic.deliverability import ProviderRates, deliverability_of
from posthouse.traffic.measures import Counts
from posthouse.traffic.tallying import RefusalSample


@pytest.mark.parametrize(
    ("recent", "past", "worse"),
    [
        # Twice as many of a thousand, and of so few that it is chance.
        (Counts(delivered=960, hard=40), Counts(delivered=9800, hard=200), ("hard",)),
        (Counts(delivered=98, hard=4), Counts(delivered=9800, hard=200), ()),
        # Too few, however bad.
        (Counts(delivered=40, soft=50), Counts(delivered=9800, soft=1), ()),
        (Counts(delivered=960, soft=40), Counts(delivered=90), ()),
        # Not by chance, and not worth a word.
        (Counts(delivered=890_000, soft=110_000), Counts(delivered=900_000, soft=100_000), ()),
        # Better.
        (Counts(delivered=1000), Counts(delivered=900, soft=100), ()),
        (
            Counts(delivered=900, deferred=900, complained=30, expired=60),
            Counts(delivered=9000, deferred=10),
            ("expired", "deferred", "complained"),
        ),
        (Counts(), Counts(), ()),
    ],
)
def test_a_rate_is_worse_if_it_is_noticeable_and_not_chance(
    recent: Counts, past: Counts, worse: tuple[str, ...]
) -> None:
    assert worse == ProviderRates("other", recent, past).worse


def test_providers_and_reasons_come_with_the_most_mail_first() -> None:
    sample = RefusalSample(datetime(2026, 11, 30, tzinfo=UTC), UUID(int=7), "550 blocked")
    recent = {
        ("", ""): Counts(accepted=9),
        ("small", ""): Counts(delivered=50),
        ("big", ""): Counts(delivered=80, expired=1),
        ("big", "greylisted"): Counts(deferred=70),
        ("big", "reputation"): Counts(soft=30, deferred=5),
        ("small", "reputation"): Counts(soft=9, deferred=90),
        ("small", "no such mailbox"): Counts(hard=30),
    }
    found = deliverability_of(
        recent, {("big", ""): Counts(delivered=1000)}, {("big", "reputation"): sample}
    )
    assert ["big", "small"] == [one.provider for one in found.providers]
    assert [("soft", "deferred"), ()] == [one.worse for one in found.providers]
    assert [
        ("reputation", 39, 95, "big", sample),
        ("no such mailbox", 30, 0, "small", None),
        ("", 1, 0, "big", None),
        ("greylisted", 0, 70, "big", None),
    ] == [(r.answer, r.refused, r.deferred, r.provider, r.sample) for r in found.reasons]
    assert 19.5 == found.reasons[0].share
    told = found.as_json()
    assert {
        "message": UUID(int=7).hex,
        "at": "2026-11-30T00:00:00+00:00",
        "reply": "550 blocked",
    } == (told["reasons"][0]["sample"])
    assert (["soft", "deferred"], None) == (
        told["providers"][0]["worse"],
        told["providers"][1]["before"]["hard"],
    )


def test_there_is_advice_on_every_class_and_on_those_of_other_versions() -> None:
    advice = {advice_on(answer) for answer in AnswerClass}
    assert len(AnswerClass) == len(advice)
    assert advice_on("") == advice_on("of a later version")
    assert advice_on("") not in advice
