"""Sockets that lead to no address that requests may not go to.

Asked when a socket is made for an address, after every name was resolved: what a name leads to
later, or to another asker, does not matter.
"""

import errno
import socket
from collections.abc import Sequence
from typing import Any

from aiohttp import AddrInfoType

from webhooks.core.public_address import Network, may_be_called


class ForbiddenTarget(OSError):
    """The address is none of the public internet, and the operator does not allow it."""


class GuardedSockets:
    """Makes sockets for aiohttp's connector."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def __call__(self, target: AddrInfoType) -> socket.socket:
        """A socket for *target*. Raises ForbiddenTarget."""
        family, kind, protocol, _, address = target
        host: Any = address[0]
        if not isinstance(host, str) or not may_be_called(host, self._allowed):
            raise ForbiddenTarget(errno.EACCES, f"{host} is no address of the public internet")
        return socket.socket(family, kind, protocol)
