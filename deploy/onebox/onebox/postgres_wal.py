"""Keeps PostgreSQL's log from filling a disk that has little room left."""

import asyncio
import os
from pathlib import Path

import asyncpg

# With less than this free, in octets, the log must not grow to its usual size, a gigabyte.
_SCARCE = 1 << 30
# What may be written of it before old segments are used again.
_MOST_WRITTEN = 32 << 20
_SECONDS = 30.0

_WRITTEN = "SELECT pg_current_wal_lsn() - redo_lsn FROM pg_control_checkpoint()"


def is_scarce(folder: Path) -> bool:
    """Whether the disk of *folder* has little room left."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize < _SCARCE


async def reuse(url: str) -> None:
    """Have the server at *url* begin to use the log's space again, if it has written enough of it.

    A server that cannot begin a segment of its log ends, and finds no room when it starts again.
    Raises what asyncpg raises.
    """
    async with asyncio.timeout(_SECONDS):
        connection = await asyncpg.connect(url)
        try:
            if await connection.fetchval(_WRITTEN) > _MOST_WRITTEN:
                await connection.execute("CHECKPOINT")
        finally:
            connection.terminate()
