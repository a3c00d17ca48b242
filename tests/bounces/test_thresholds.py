"""Ratios that hold an account: with enough volume, above the limit, and not at it."""

from datetime import timedelta
from uuid import UUID

import pytest

from bounces.core.thresholds import Limit, Threshold, ThresholdLimits, exceeded
from posthouse.mail.account_totals import AccountTotals

DAY = timedelta(hours=24)


def totals(ended: int = 0, hard: int = 0, delivered: int = 0, complaints: int = 0) -> AccountTotals:
    return AccountTotals(UUID(int=1), "shop", None, ended, hard, delivered, complaints)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (totals(), []),
        (totals(ended=999, hard=999), []),  # too few to say anything
        (totals(ended=1000, hard=100), []),  # at the limit
        (totals(ended=1000, hard=101), [Threshold.BOUNCES]),
        (totals(delivered=2999, complaints=2999), []),
        (totals(delivered=3000, complaints=9), []),
        (totals(delivered=3000, complaints=10), [Threshold.COMPLAINTS]),
        (totals(9000, 9000, 9000, 9000), [Threshold.BOUNCES, Threshold.COMPLAINTS]),
    ],
)
def test_the_limits_that_are_given_by_default(
    found: AccountTotals, expected: list[Threshold]
) -> None:
    assert expected == [threshold for threshold, _ in exceeded(found, ThresholdLimits())]


def test_a_limit_of_zero_is_none() -> None:
    limits = ThresholdLimits(Limit(0, 1, DAY), Limit(0, 1, DAY))
    assert [] == list(exceeded(totals(9, 9, 9, 9), limits))


def test_the_reason_has_the_numbers() -> None:
    ((_, reason),) = exceeded(totals(ended=2000, hard=247), ThresholdLimits())
    assert reason == (
        "12.3 % of its mail went to mailboxes or domains that do not exist: 247 of 2000 in 24 "
        "hours; the limit is 10 %"
    )
