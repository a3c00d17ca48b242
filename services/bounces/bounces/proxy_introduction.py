"""Whose connection a proxy passes on to the bounce port (PROXY protocol)."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from bounces.return_metrics import REFUSED
from posthouse.authentication.client_networks import client_address, is_within
from posthouse.smtp.proxy_header import BadProxyHeader, read_proxy_header

log = structlog.get_logger()

_SECONDS = 5.0  # for the header, which proxies send at once

Peer = tuple[Any, ...]
"""A socket address."""


class ProxyIntroduction:
    """Takes what comes on one connection until its header is whole.

    Then calls *introduced* with the connection, the client's address, or that of the proxy where
    the header names none, and the octets behind the header. A connection of no proxy, and one
    without a good header in time, is closed; nothing is answered.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        proxies: tuple[str, ...],
        introduced: Callable[[asyncio.Transport, Peer, bytes], None],
        *,
        seconds: float = _SECONDS,
    ) -> None:
        """*proxies*: networks; *seconds*: for the header."""
        self._transport = transport
        self._peer: Peer = transport.get_extra_info("peername") or ("",)
        self._introduced = introduced
        self._received = b""
        self._over = False
        self._timer = asyncio.get_running_loop().call_later(
            seconds, self._refuse, f"not complete within {seconds:g} seconds"
        )
        if not is_within(client_address(str(self._peer[0])), proxies):
            self._refuse("its address is in no network of POSTHOUSE_BOUNCES_PROXIES")

    def take(self, octets: bytes) -> None:
        """Go on with *octets* that came."""
        if self._over:
            return
        self._received += octets
        try:
            header = read_proxy_header(self._received)
        except BadProxyHeader as error:
            self._refuse(str(error))
            return
        if header is not None:
            self.end()
            client = self._peer if header.client is None else (client_address(header.client), 0)
            self._introduced(self._transport, client, self._received[header.octets :])

    def end(self) -> None:
        """Wait no longer."""
        self._over = True
        self._timer.cancel()

    def _refuse(self, reason: str) -> None:
        self.end()
        log.info("proxy_header_refused", client=str(self._peer[0]), reason=reason)
        REFUSED.labels(reason="no_proxy_header").inc()
        self._transport.close()
