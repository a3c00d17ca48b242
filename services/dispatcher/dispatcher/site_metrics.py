"""How many destinations are at a limit at this moment, by their provider."""

from dataclasses import dataclass
from functools import cache

from prometheus_client import Gauge

LIMITED = Gauge(
    "posthouse_sites_limited",
    "Destinations at a limit, by their provider: full (as many transactions run as may) or slowed"
    " (fewer may run, since its hosts did not answer).",
    ["provider", "state"],
)
_limited = cache(LIMITED.labels)


@dataclass(slots=True)
class ShownSite:
    """What the metric counts of one destination."""

    provider: str
    full: bool = False
    slowed: bool = False

    def show(self, *, full: bool, slowed: bool) -> None:
        """Count it as what it is now."""
        if full != self.full:
            _limited(self.provider, "full").inc(1 if full else -1)
        if slowed != self.slowed:
            _limited(self.provider, "slowed").inc(1 if slowed else -1)
        self.full, self.slowed = full, slowed
