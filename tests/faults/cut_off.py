"""Use a PostgreSQL over a network that is cut: run in a network namespace of its own.

    unshare --net python -m faults.cut_off SOCKET DATABASE_URL

SOCKET is the server's; DATABASE_URL has port 5432 of 127.0.0.1. What is printed, as JSON: the
seconds until a statement that was waiting, and one that was sent into the dark, were given up; and
whether the database was used again as soon as the network was back.
"""

import asyncio
import json
import subprocess
import sys

from posthouse.store import StoreUnavailable
from posthouse.store.postgres import Postgres
from servers.forwarding import forward

PORT = 5432
# So long a statement may take here: who gives it up before does so because nothing comes through.
PATIENCE = 120.0


def network(state: str) -> None:
    """Set the only link "up" or "down"; no program that uses it is told."""
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


async def seconds_until_given_up(database: Postgres, statement: str) -> float:
    """How long somebody waits for *statement*; it is not answered."""
    began = asyncio.get_running_loop().time()
    try:
        async with database.connection() as connection:
            await connection.execute(statement, timeout=PATIENCE)
    except StoreUnavailable:
        return asyncio.get_running_loop().time() - began
    raise AssertionError(f"{statement} was answered")


async def main(path: str, url: str) -> dict[str, object]:
    """What is printed."""
    network("up")
    server = await forward("127.0.0.1", PORT, lambda: asyncio.open_unix_connection(path))
    async with Postgres(url, connections=1) as one, Postgres(url, connections=1) as other:
        await one.run("round_trip")
        await other.run("round_trip")
        waiting = asyncio.create_task(seconds_until_given_up(one, "SELECT pg_sleep(60)"))
        await asyncio.sleep(0.5)
        network("down")
        dark = await seconds_until_given_up(other, "SELECT 1")
        found = {"waiting": await waiting, "dark": dark}
        network("up")
        async with asyncio.timeout(60):
            await asyncio.gather(one.run("round_trip"), other.run("round_trip"))
    server.close()
    return {**found, "back": True}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))  # noqa: T201 -- for the test
