"""The garbage collector: what stays for good, and how often it runs.

Objects that refer to each other (a connection and its timer, an exception and its frames) end only
when the collector runs. It runs by the growth in the number of objects, and that of a steady relay
is small: for objects that survived the first rounds it would run every twenty minutes or once in
hours, with megabytes of garbage. When called, it takes some milliseconds: it looks only at objects
made since the start.
"""

import asyncio
import gc

TIDY_SECONDS = 60.0
# Between two rounds of its own, in objects. Mail in flight is a few thousand, not garbage: at
# Python's 700 a busy relay scans it ten times a second, some 10 us for each message.
_COLLECT_AFTER_OBJECTS = 10_000


def freeze() -> None:
    """Keep all present objects (modules, settings, metrics) until the end.

    A collector that scanned all of them each time would stop everything for some 50 ms each
    time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)


async def tidy(every: float) -> None:
    """Free objects that are no longer referred to, each *every* seconds, until cancelled."""
    while True:
        await asyncio.sleep(every)
        gc.collect()
