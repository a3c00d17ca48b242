"""The garbage collector, told what stays, and to come in time."""

import asyncio
import gc

# Objects that refer to each other (a connection and its timer, an exception and its frames) end
# only when the collector comes. It goes by how many objects there are more than before, and a
# steady relay has hardly more: for what lived through the first rounds it would come every twenty
# minutes or once in hours, with megabytes lying about. Told to, it takes some milliseconds, as it
# looks only at what was made since the start.
TIDY_SECONDS = 60.0


def freeze() -> None:
    """Let everything there is now (modules, settings, metrics) stay until the end.

    A collector that looked at all of it again and again would stop everything for some 50 ms each
    time.
    """
    gc.collect()
    gc.freeze()


async def tidy(every: float) -> None:
    """Free what nobody refers to any more, each so many seconds, until cancelled."""
    while True:
        await asyncio.sleep(every)
        gc.collect()
