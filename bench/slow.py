"""Clients that send one octet a second, half of them in a message, half in a command.

    python -m bench.slow --to 127.0.0.1:2525 -n 500 --auth user:secret

Prints a JSON line when all are at it, and goes on until SIGTERM. They come from several addresses
of 127.0.0.0/8, because a server limits the connections of one; those that it closes connect again.
"""

import argparse
import asyncio
import base64
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import repeat

from bench.load_session import Door

_FOR_EACH_ADDRESS = 50
_SECONDS = 1.0  # between two octets
_AGAIN_SECONDS = 1.0  # after it was closed


async def crawl(door: Door, number: int, ready: asyncio.Semaphore) -> None:
    """Be client *number* for ever; releases *ready* when it has begun."""
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            await _crawl(door, number, ready)
        await asyncio.sleep(_AGAIN_SECONDS)


async def _crawl(door: Door, number: int, ready: asyncio.Semaphore) -> None:
    here = f"127.0.1.{1 + number // _FOR_EACH_ADDRESS}"
    reader, writer = await asyncio.open_connection(door.host, door.port, local_addr=(here, 0))
    try:
        if number % 2:
            plain = base64.b64encode(f"\0{door.user}\0{door.secret}".encode()).decode()
            commands = ("EHLO slow", f"AUTH PLAIN {plain}", "MAIL FROM:<news@bench.example>")
            for command in (*commands, "RCPT TO:<slow@dest.example>", "DATA"):
                writer.write(f"{command}\r\n".encode())
            await reader.readuntil(b"354 ")
        else:
            await reader.readuntil(b"220 ")
        ready.release()
        for octet in repeat(b"x"):
            writer.write(octet)
            await asyncio.sleep(_SECONDS)
            if reader.at_eof():
                return
    finally:
        writer.close()


async def run(door: Door, clients: int) -> None:
    """All of them, until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(crawl(door, number, ready)) for number in range(clients)]
    for _ in range(clients):
        await ready.acquire()
    print(json.dumps({"clients": clients}), flush=True)
    await stopping.wait()
    for task in tasks:
        task.cancel()


def main(arguments: Sequence[str]) -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", default="127.0.0.1:2525", metavar="HOST:PORT")
    parser.add_argument("-n", "--clients", type=int, default=500)
    parser.add_argument("--auth", required=True, metavar="USER:SECRET")
    given = parser.parse_args(arguments)
    host, _, port = given.to.rpartition(":")
    user, _, secret = given.auth.partition(":")
    asyncio.run(run(Door(host, int(port), user, secret), given.clients))


if __name__ == "__main__":
    main(sys.argv[1:])
