"""A connection to PostgreSQL: to the one of its hosts that takes us, while others say nothing."""

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import asyncpg

# For a host to answer in before the next one is asked as well.
_PATIENT_SECONDS = 0.5


async def connect(url: str, *, timeout: float, **terms: Any) -> Any:  # noqa: ASYNC109 -- as asyncpg
    """As asyncpg.connect, which lets a host without a word have all of *timeout* (seconds).

    The hosts of *url* are asked in their order; one that has not answered within half a second goes
    on being asked beside the next. Raises what asyncpg does, for the first that is no standby.
    """
    asking: set[asyncio.Task[Any]] = set()
    failures: list[BaseException] = []
    waiting = _one_host_each(url)
    try:
        while waiting or asking:
            if waiting:
                one = asyncpg.connect(waiting.pop(0), timeout=timeout, **terms)
                asking.add(asyncio.create_task(one))
            done, _ = await asyncio.wait(
                asking,
                timeout=_PATIENT_SECONDS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                asking.remove(task)
                if (failure := task.exception()) is None:
                    return task.result()
                failures.append(failure)
    finally:
        await _give_up(asking)
    raise min(failures, key=lambda one: isinstance(one, asyncpg.TargetServerAttributeNotMatched))


async def _give_up(asking: set[asyncio.Task[Any]]) -> None:
    for task in asking:
        task.cancel()
    for task in asking:
        with suppress(asyncio.CancelledError, Exception):
            (await task).terminate()


def _one_host_each(url: str) -> list[str]:
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")]
