"""How well mail arrives, against what is usual for the account, and what to fix first."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

from posthouse.traffic.advice import advice_on
from posthouse.traffic.measures import NOTHING, Counts
from posthouse.traffic.tallying import RefusalSample

# A rate is worse than before if chance would hardly ever make it so, and if anybody would notice.
_DEVIATIONS = 3.0
_NOTICEABLE = 0.2  # of its value before
_FEWEST = 100  # mail in each of both times, below which no rate says anything,
_FEWEST_BAD = 5  # and those of them that it is about, recently


class RateOf(NamedTuple):
    """A share of a whole."""

    part: int
    whole: int

    @property
    def percent(self) -> float | None:
        """None where there is nothing to be a share of."""
        return 100 * self.part / self.whole if self.whole else None


@dataclass(frozen=True, slots=True)
class ProviderRates:
    """What became of the mail to one provider, recently and before that."""

    provider: str
    recent: Counts
    past: Counts

    @property
    def worse(self) -> tuple[str, ...]:
        """The rates that are worse than before, and not by chance."""
        recent, past = rates_of(self.recent), rates_of(self.past)
        return tuple(name for name in recent if _is_worse(recent[name], past[name]))


@dataclass(frozen=True, slots=True)
class RefusalReason:
    """Why mail is refused: one class of answers."""

    answer: str
    refused: int  # for good: bounced or expired
    deferred: int  # attempts
    share: float  # of all that ended, in percent
    provider: str  # where most of it is
    advice: str
    sample: RefusalSample | None  # of that provider, if one is kept


@dataclass(frozen=True, slots=True)
class Deliverability:
    """Rates by provider, where most mail goes first; reasons, where most was refused first."""

    providers: tuple[ProviderRates, ...]
    reasons: tuple[RefusalReason, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs; rates in percent, null where there was no mail."""
        return {
            "providers": [
                {
                    "provider": one.provider,
                    "mail": one.recent.ended,
                    **{name: rate.percent for name, rate in rates_of(one.recent).items()},
                    "before": {name: rate.percent for name, rate in rates_of(one.past).items()},
                    "worse": list(one.worse),
                }
                for one in self.providers
            ],
            "reasons": [
                {
                    "class": one.answer,
                    "refused": one.refused,
                    "deferred": one.deferred,
                    "share": one.share,
                    "provider": one.provider,
                    "advice": one.advice,
                    "sample": None if one.sample is None else _sample(one.sample),
                }
                for one in self.reasons
            ],
        }


def rates_of(counts: Counts) -> dict[str, RateOf]:
    """Hard, soft and expired of all that ended, deferred of attempts, complained of deliveries."""
    return {
        "hard": RateOf(counts.hard, counts.ended),
        "soft": RateOf(counts.soft, counts.ended),
        "expired": RateOf(counts.expired, counts.ended),
        "deferred": RateOf(counts.deferred, counts.deferred + counts.delivered + counts.bounced),
        "complained": RateOf(counts.complained, counts.delivered),
    }


def deliverability_of(
    recent: Mapping[tuple[str, str], Counts],
    past: Mapping[tuple[str, str], Counts],
    samples: Mapping[tuple[str, str], RefusalSample],
) -> Deliverability:
    """The judgement of counts by provider and class of the answer, of two times."""
    now, before = _by_provider(recent), _by_provider(past)
    providers = [ProviderRates(p, now[p], before.get(p, NOTHING)) for p in now if now[p].ended]
    providers.sort(key=lambda one: (-one.recent.ended, one.provider))
    return Deliverability(tuple(providers), tuple(_reasons(recent, samples)))


def _by_provider(counts: Mapping[tuple[str, str], Counts]) -> dict[str, Counts]:
    found: defaultdict[str, list[Counts]] = defaultdict(list)
    for (provider, _), each in counts.items():
        if provider:
            found[provider].append(each)
    return {provider: Counts.sum(each) for provider, each in found.items()}


def _reasons(
    counts: Mapping[tuple[str, str], Counts], samples: Mapping[tuple[str, str], RefusalSample]
) -> list[RefusalReason]:
    ended = sum(each.ended for each in counts.values())
    places: defaultdict[str, dict[str, Counts]] = defaultdict(dict)
    for (provider, answer), each in counts.items():
        if _refused(each) or each.deferred:
            places[answer][provider] = each
    reasons = []
    for answer, by_provider in places.items():
        total = Counts.sum(by_provider.values())
        worst = max(by_provider, key=lambda p: (_refused(by_provider[p]), by_provider[p].deferred))
        share = 100 * _refused(total) / ended if ended else 0.0
        reasons.append(
            RefusalReason(
                *(answer, _refused(total), total.deferred, share, worst, advice_on(answer)),
                samples.get((worst, answer)),
            )
        )
    return sorted(reasons, key=lambda r: (-r.refused, -r.deferred, r.answer))


def _refused(counts: Counts) -> int:
    return counts.bounced + counts.expired


def _is_worse(recent: RateOf, past: RateOf) -> bool:
    """Whether two shares differ by more than chance (the test of two proportions)."""
    if min(recent.whole, past.whole) < _FEWEST or recent.part < _FEWEST_BAD:
        return False
    now, before = recent.part / recent.whole, past.part / past.whole
    both = (recent.part + past.part) / (recent.whole + past.whole)
    deviation = sqrt(both * (1 - both) * (1 / recent.whole + 1 / past.whole))
    return now - before > max(_DEVIATIONS * deviation, _NOTICEABLE * before)


def _sample(sample: RefusalSample) -> dict[str, str]:
    return {
        "message": sample.submission_id.hex,
        "at": sample.at.isoformat(),
        "reply": sample.reply,
    }
