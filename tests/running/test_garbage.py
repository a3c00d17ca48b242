"""What only the garbage collector finds is freed, however little a process allocates."""

import subprocess
import sys

from servers.patience import on_this_machine

PROGRAM = """
import asyncio, gc, weakref
from posthouse.running.service import main, run

class Exchange:
    pass

class Example:
    async def run(self, stopping):
        exchange = Exchange()
        exchange.itself = exchange
        gone = asyncio.Event()
        weakref.finalize(exchange, gone.set)
        gc.collect()  # it lives through that: the collector is in no hurry to look at it again
        del exchange
        async with asyncio.timeout(120):
            await gone.wait()
        print("freed", flush=True)
        stopping.set()

raise SystemExit(main(run({"example": Example()}, health=None, grace=1, tidy_every=0.05)))
"""


def test_a_cycle_is_freed_while_hardly_anything_is_allocated() -> None:
    """A quiet process, or a steady one, does not keep what it has long let go of."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        timeout=on_this_machine(60),
    )
    assert (0, "freed") == (ended.returncode, ended.stdout.splitlines()[0]), ended.stderr
