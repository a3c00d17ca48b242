"""Histograms of the hot path show what those of prometheus_client do; one is the loop's lag."""

import asyncio
import time

from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest

from posthouse.running.loop_histogram import LoopHistogram
from posthouse.running.loop_lag import observe_lag
from servers.patience import until

AMOUNTS = (0.0, 0.001, 0.0011, 0.5, 1.0, 2.0, 1e9)
BUCKETS = (0.001, 0.5, 1)


def test_a_scrape_shows_what_prometheus_client_would_show() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = LoopHistogram("x_seconds", "Why.", ["lane"], buckets=BUCKETS, registry=ours)
    model = Histogram("x_seconds", "Why.", ["lane"], buckets=BUCKETS, registry=theirs)
    for lane in ("a", "b"):
        for amount in AMOUNTS:
            histogram.labels(lane).observe(amount)
            model.labels(lane).observe(amount)
        histogram.labels("idle")
        model.labels("idle")

    assert generate_latest(theirs) == generate_latest(ours)


def lag_above(bound: str) -> float:
    name = "posthouse_event_loop_lag_seconds"
    count = REGISTRY.get_sample_value(f"{name}_count")
    below = REGISTRY.get_sample_value(f"{name}_bucket", {"le": bound})
    return (count or 0) - (below or 0)


async def test_a_loop_that_is_held_up_shows() -> None:
    watching = asyncio.create_task(observe_lag(every=0.01))
    await asyncio.sleep(0)
    before = lag_above("0.05")
    time.sleep(0.1)  # noqa: ASYNC251 -- what it is about
    await until(lambda: lag_above("0.05") > before)
    watching.cancel()
