"""Detects within half a minute that the other side of a connection has vanished."""

import socket

# Asked after 15 seconds of silence, three times at five seconds; and what was sent may stay
# unacknowledged for as long. Options by their names, because not every system has all of them.
_OPTIONS = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 30_000,  # milliseconds
}


def notice_loss(of: socket.socket) -> None:
    """Detect a lost peer; on a listening socket, for every connection that it accepts."""
    of.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if (option := getattr(socket, name, None)) is not None:
            of.setsockopt(socket.IPPROTO_TCP, option, value)


def bear_with(of: socket.socket, seconds: float) -> None:
    """Let the other side read nothing for *seconds* while we write: that is no loss yet.

    To the kernel a peer that keeps its window shut is as silent as one that is gone.
    """
    if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is not None:
        of.setsockopt(socket.IPPROTO_TCP, option, round(seconds * 1000))
