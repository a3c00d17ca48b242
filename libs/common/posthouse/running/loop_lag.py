"""How late the event loop is: whatever holds it up delays every message of the process."""

import asyncio
import time

from posthouse.running.loop_histogram import LoopHistogram

LAG = LoopHistogram(
    "posthouse_event_loop_lag_seconds",
    "How much later than asked for the event loop woke a task up, looked at twice a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

_EVERY_SECONDS = 0.5


async def observe_lag(every: float = _EVERY_SECONDS) -> None:
    """Observe the lag each *every* seconds, until cancelled."""
    lag = LAG.labels()
    while True:
        due = time.perf_counter() + every  # the clock of uvloop counts whole milliseconds
        await asyncio.sleep(every)
        lag.observe(max(time.perf_counter() - due, 0.0))
