"""The garbage collector, told what stays, and to come in time."""

import asyncio
import gc

# Objects that refer to each other (a connection and its timer, an exception and its frames) end
# only when the collector comes. It goes by how many objects there are more than before, and a
# steady relay has hardly more: for what lived through the first rounds it would come every twenty
# minutes or once in hours, with megabytes lying about. Told to, it takes some milliseconds, as it
# looks only at what was made since the start.
TIDY_SECONDS = 60.0
# Between two of its own rounds, in objects. Mail in hand is a few thousand, none of it garbage: at
# Python's 700 a busy relay has it looked at ten times a second, some 10 us for each message.
_OBJECTS = 10_000


def freeze() -> None:
    """Let everything there is now (modules, settings, metrics) stay until the end.

    A collector that looked at all of it again and again would stop everything for some 50 ms each
    time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS)


async def tidy(every: float) -> None:
    """Free what nobody refers to any more, each so many seconds, until cancelled."""
    while True:
        await asyncio.sleep(every)
        gc.collect()
