"""Resolves the names of endpoints as the system does, in threads that nothing else needs."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

# A name whose servers are silent keeps a thread for some ten seconds; others are asked meanwhile.
_THREADS = 64
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class EndpointResolver(AbstractResolver):
    """Names from /etc/hosts count, too: which addresses may be called is decided afterwards."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhook-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of *host*. Raises OSError."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, _addresses, host, port, family
        )
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=kind, proto=0, flags=_NUMERIC
            )
            for kind, address in found
        ]

    async def close(self) -> None:
        """Leave questions that are open to their threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int, family: int) -> list[tuple[int, str]]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return [(kind, str(address[0])) for kind, _, _, _, address in found]
