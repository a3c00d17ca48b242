"""The program that attempts one delivery: see `dispatcher.isolation`."""

import asyncio
import os
import pickle
import signal
import sys
import threading
from dataclasses import replace

from dispatcher.isolation import LENGTH
from dispatcher.settings import DispatcherSettings
from dispatcher.wiring import delivery_attempts
from posthouse.store.deliveries import ClaimedDelivery, Settlement


async def attempt(settings: DispatcherSettings, claimed: ClaimedDelivery) -> Settlement:
    """The result of *claimed*, without its message."""
    attempts = delivery_attempts(settings)
    result = await attempts.run(claimed)
    await attempts.close()
    assert isinstance(result, Settlement)  # nothing else runs here that could leave no room
    return replace(result, claimed=replace(claimed, header=b"", body=b""))


def end_with_parent() -> None:
    """Our input ends when the dispatcher does: then so do we, and it is sent again later."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main() -> None:
    """Read settings and delivery from standard input, write the result to standard output."""
    # A signal to all processes of a service is for the dispatcher, which waits for us.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    given = sys.stdin.buffer
    settings, claimed = pickle.loads(given.read(int.from_bytes(given.read(LENGTH))))  # noqa: S301
    threading.Thread(target=end_with_parent, daemon=True).start()
    answer = os.dup(sys.stdout.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing else goes there
    result = pickle.dumps(asyncio.run(attempt(settings, claimed)))
    with os.fdopen(answer, "wb") as out:
        out.write(result)


if __name__ == "__main__":
    main()
