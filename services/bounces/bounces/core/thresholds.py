"""When an account's recipients say that its mail must stop: ratios over some hours."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from posthouse.mail.account_totals import AccountTotals


class Threshold(StrEnum):
    """What may hold an account."""

    BOUNCES = "bounces"  # recipients that do not exist, of all that were delivered or bounced
    COMPLAINTS = "complaints"  # of all that were delivered


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that is allowed of a volume, within a window that ends now."""

    percent: float  # 0: no limit
    volume: int  # recipients; with fewer of them a ratio says nothing
    window: timedelta

    def is_exceeded(self, count: int, volume: int) -> bool:
        """Whether *count* of *volume* is too much."""
        return 0 < self.percent < 100 * count / max(volume, 1) and volume >= self.volume


@dataclass(frozen=True, slots=True)
class ThresholdLimits:
    """Both limits. The defaults are lenient: docs/decisions/0025."""

    bounces: Limit = Limit(10.0, 1_000, timedelta(hours=24))
    complaints: Limit = Limit(0.3, 3_000, timedelta(hours=24))


def exceeded(totals: AccountTotals, limits: ThresholdLimits) -> Iterator[tuple[Threshold, str]]:
    """Each threshold that *totals* exceed, and a sentence that says so."""
    bounces, complaints = limits.bounces, limits.complaints
    if bounces.is_exceeded(totals.hard, totals.ended):
        what = "mailboxes or domains that do not exist"
        yield Threshold.BOUNCES, _sentence(what, totals.hard, totals.ended, bounces)
    if complaints.is_exceeded(totals.complaints, totals.delivered):
        what = "recipients who complained"
        yield Threshold.COMPLAINTS, _sentence(what, totals.complaints, totals.delivered, complaints)


def _sentence(what: str, count: int, volume: int, limit: Limit) -> str:
    return (
        f"{100 * count / volume:.3g} % of its mail went to {what}: {count} of {volume} "
        f"in {limit.window / timedelta(hours=1):g} hours; the limit is {limit.percent:g} %"
    )
