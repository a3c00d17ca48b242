"""Asks a tracking host as a recipient's browser would, whether it leads to this installation."""

import secrets
import socket
import ssl
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from posthouse.dns.resolver import Questions
from posthouse.mail.dns_answer import Found, LookupFailed, NoSuchName
from tracking.core.host_proof import PROOF_PATH, is_proof

_SECONDS = 5.0  # for all of a probe
_NONCE_OCTETS = 24
_MOST_OCTETS = 1_024  # of an answer that are read
_MOST_LETTERS = 200  # of a reason
_HTTPS = 443


class HostProbe:
    """Asks by the *dns* that is given, over HTTPS with certificates that *tls* trusts.

    Used as a context; each probe has a connection of its own, and follows no redirect.
    """

    def __init__(
        self,
        dns: Questions,
        key: bytes,
        tls: ssl.SSLContext,
        *,
        port: int = _HTTPS,
        seconds: float = _SECONDS,
    ) -> None:
        """*key*: of `posthouse.mail.secret.Purpose.TRACKING_PROOF`."""
        self._dns = dns
        self._key = key
        self._tls = tls
        self._port = port
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            ssl=self._tls,
            resolver=_PublicNames(self._dns),
            use_dns_cache=False,
            force_close=True,
            limit=0,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={"User-Agent": "Posthouse-Probe/1"},
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def finding(self, host: str) -> str | None:
        """Why links to *host* would not come here; None where they do."""
        nonce = secrets.token_urlsafe(_NONCE_OCTETS)
        try:
            status, answer = await self._ask(host, nonce)
        except TimeoutError:
            return "it gave no answer in time"
        except _NoAddress as error:
            return str(error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _why(error)
        if status == 200 and is_proof(answer, nonce, self._key):  # noqa: PLR2004 -- OK
            return None
        return f"it leads elsewhere: what answers there is not this relay (status {status})"

    async def _ask(self, host: str, nonce: str) -> tuple[int, bytes]:
        assert self._session is not None
        url = f"https://{host}:{self._port}{PROOF_PATH}/{nonce}"
        async with self._session.get(url, allow_redirects=False) as answer:
            octets = b""
            while len(octets) < _MOST_OCTETS and (piece := await answer.content.readany()):
                octets += piece
            return answer.status, octets


class _NoAddress(OSError):
    """DNS leads nowhere."""


class _PublicNames(AbstractResolver):
    """What DNS says: names that only this machine knows lead no recipient anywhere."""

    def __init__(self, dns: Questions) -> None:
        self._dns = dns

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of *host*, of whatever family. Raises OSError."""
        del family
        answer = await self._dns.addresses(host)
        match answer:
            case Found():
                return [_resolved(host, address, port) for address in answer.values]
            case LookupFailed():
                raise _NoAddress(f"DNS gave no answer ({answer.reason})"[:_MOST_LETTERS])
            case NoSuchName():
                raise _NoAddress("there is no such name in DNS")
            case _:
                raise _NoAddress("it has no address in DNS")

    async def close(self) -> None:
        """Nothing is kept."""


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=numeric
    )


def _why(error: Exception) -> str:
    """What failed, in the words of who noticed; aiohttp wraps what others say."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, _NoAddress):
        return str(inner)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate does not count: {inner.verify_message}"[:_MOST_LETTERS]
    if isinstance(inner, ssl.SSLError):
        return f"TLS failed: {inner.reason or inner}"[:_MOST_LETTERS]
    said = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return f"no connection: {said}"[:_MOST_LETTERS]
