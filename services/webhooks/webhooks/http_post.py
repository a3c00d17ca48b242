"""One request to the endpoint of a customer, who is not trusted."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from time import monotonic
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from webhooks.core.public_address import Network
from webhooks.endpoint_resolver import EndpointResolver
from webhooks.guarded_sockets import ForbiddenTarget, GuardedSockets

_MOST_OCTETS_OF_ANSWER: Final = 64 << 10  # that are read, so that the connection can be kept
_MOST_CONNECTIONS: Final = 1_000
_MOST_DIGITS: Final = 6
_OWN_FIELDS: Final = {"content-type": "application/json", "user-agent": "Posthouse-Webhooks/1"}


class PostResult(StrEnum):
    """What became of a request, in one of a closed list; counted and shown under this name."""

    ANSWERED = "answered"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"  # no address, no connection, or it broke off
    TLS_FAILED = "tls_failed"
    FORBIDDEN = "forbidden"  # the URL, or every address that it leads to


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of it."""

    result: PostResult
    milliseconds: int
    status: int | None = None  # of the answer
    asked: timedelta | None = None  # Retry-After, where it is a number of seconds


class HttpPost:
    """Sends requests; connections are kept, and nothing is known of one endpoint to another."""

    def __init__(
        self, *, seconds: float, allow_http: bool = False, allowed: Sequence[Network] = ()
    ) -> None:
        """*seconds*: what a request may take in all; *allowed* may be called although private."""
        self._timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=seconds / 2)
        self._schemes = ("https", "http") if allow_http else ("https",)
        self._sockets = GuardedSockets(allowed)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=_MOST_CONNECTIONS,
            ssl=ssl.create_default_context(),
            socket_factory=self._sockets,
            resolver=EndpointResolver(),
            ttl_dns_cache=60,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            max_field_size=8190,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, url: str, fields: Mapping[str, str], body: bytes) -> Posted:
        """POST *body*; every failure is a result. Redirects are answers, and not followed."""
        began = monotonic()
        try:
            status, asked = await self._send(URL(url), {**_OWN_FIELDS, **fields}, body)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            return Posted(_what_failed(error), _since(began))
        return Posted(PostResult.ANSWERED, _since(began), status, asked)

    async def _send(
        self, url: URL, fields: Mapping[str, str], body: bytes
    ) -> tuple[int, timedelta | None]:
        assert self._session is not None
        if url.scheme not in self._schemes or url.user is not None or not url.host:
            raise aiohttp.InvalidURL(url)
        async with self._session.post(
            url, data=body, headers=fields, allow_redirects=False
        ) as answer:
            await _read_some(answer)
            return answer.status, _seconds(answer.headers.get("retry-after", ""))


async def _read_some(answer: aiohttp.ClientResponse) -> None:
    """Read an answer that is short, and break the connection of a long one off."""
    left = _MOST_OCTETS_OF_ANSWER
    while left > 0 and (piece := await answer.content.readany()):
        left -= len(piece)
    if left <= 0:
        answer.close()


def _seconds(given: str) -> timedelta | None:
    return (
        timedelta(seconds=int(given)) if given.isdecimal() and len(given) < _MOST_DIGITS else None
    )


def _what_failed(error: BaseException) -> PostResult:
    if isinstance(error, aiohttp.InvalidURL) or _is_forbidden(error):
        return PostResult.FORBIDDEN
    if isinstance(error, asyncio.TimeoutError):
        return PostResult.TIMED_OUT
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | ssl.CertificateError):
        return PostResult.TLS_FAILED
    return PostResult.UNREACHABLE


def _is_forbidden(error: BaseException | None) -> bool:
    """Whether an address was refused; aiohttp may have put several failures together."""
    if isinstance(error, ForbiddenTarget):
        return True
    if isinstance(error, aiohttp.ClientConnectorError):
        return _is_forbidden(error.os_error) or _is_forbidden(error.__cause__)
    if isinstance(error, OSError) and "no address of the public internet" in str(error):
        return True
    return isinstance(error, BaseExceptionGroup) and any(map(_is_forbidden, error.exceptions))


def _since(began: float) -> int:
    return round(1000 * (monotonic() - began))
