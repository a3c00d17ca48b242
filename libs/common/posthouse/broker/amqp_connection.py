"""What every connection to RabbitMQ needs: limits of time, and an end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import aio_pika
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from posthouse.broker import BrokerUnavailable

_CLOSE_SECONDS = 1.0


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """What is inside takes no more than *seconds*, or raises BrokerUnavailable."""
    # Not the library's own limits: they use `asyncio.wait_for`, which before Python 3.12 loses a
    # cancellation that comes together with the answer.
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise BrokerUnavailable(f"no answer within {seconds:g} seconds") from error


async def find_host(url: str) -> None:
    """Raise OSError unless the host of *url* can be resolved.

    A look-up that uvloop makes while it connects outlives the time limit, and its failure is then
    logged as "Future exception was never retrieved".
    """
    parts = urlsplit(url)
    await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port)


async def close(connection: aio_pika.Connection) -> None:
    """Close *connection*, within a second."""
    with suppress(*CONNECTION_EXCEPTIONS):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connection.close()


def heed_cancellation() -> None:
    """Raise CancelledError if this task was cancelled.

    The library may answer a cancellation with the failure of the connection that it met meanwhile.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
