"""The program that tries suspects, one at a time: see `dispatcher.isolation`."""

import asyncio
import os
import pickle
import select
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


def end_with_input() -> None:
    """Our input ends when the dispatcher does, or no longer needs us: then we end too."""
    waiting = select.poll()
    waiting.register(sys.stdin.fileno(), select.POLLHUP)
    waiting.poll()
    os._exit(0)


def main() -> None:
    """Read settings and a delivery from standard input, write its result to standard output."""
    # A signal to all processes of a service is for the dispatcher, which waits for us.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=end_with_input, daemon=True).start()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing else goes there
    while length := sys.stdin.buffer.read(LENGTH):
        given = sys.stdin.buffer.read(int.from_bytes(length))
        settings, claimed = pickle.loads(given)  # noqa: S301 -- the dispatcher wrote it
        result = pickle.dumps(asyncio.run(attempt(settings, claimed)))
        answers.write(len(result).to_bytes(LENGTH) + result)
        answers.flush()


if __name__ == "__main__":
    main()
