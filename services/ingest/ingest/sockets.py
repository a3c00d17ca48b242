"""The sockets that clients connect to, for one process or for several that share the work."""

import socket
from collections.abc import Sequence

from ingest.listener import Listener
from posthouse.running.endpoint import Endpoint
from posthouse.running.health import CannotListen
from posthouse.running.keepalive import notice_loss

BACKLOG = 512


def bind(listeners: Sequence[Listener], *, processes: int = 1) -> list[list[socket.socket]]:
    """For each process a socket for every listener; clients may connect from now on.

    Of several processes each gets its share of the clients, and port 0 is the same free port for
    all. Raises CannotListen.
    """
    by_listener = [_bind(listener, processes) for listener in listeners]
    return [list(of_process) for of_process in zip(*by_listener, strict=True)]


def join(listeners: Sequence[Listener]) -> list[socket.socket]:
    """A socket for every listener, in a process that shares them with others already running.

    Raises CannotListen.
    """
    return [_listening(listener, listener.endpoint, shared=True) for listener in listeners]


def addresses(sockets: Sequence[socket.socket]) -> tuple[Endpoint, ...]:
    """Where each is bound: ports that were asked for as 0 are known."""
    return tuple(Endpoint(*one.getsockname()[:2]) for one in sockets)


def _bind(listener: Listener, processes: int) -> list[socket.socket]:
    if processes == 1:
        return [_listening(listener, listener.endpoint, shared=False)]
    # A port that is shared could be shared with anybody of our user, a second relay above all: so
    # first see that it is ours alone.
    alone = _listening(listener, listener.endpoint, shared=False)
    found = Endpoint(listener.endpoint.host, alone.getsockname()[1])
    alone.close()
    return [_listening(listener, found, shared=True) for _ in range(processes)]


def _listening(listener: Listener, endpoint: Endpoint, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    # Named as TCP: on a socket that does not say so asyncio leaves Nagle's algorithm on, and each
    # reply to a pipelining client waits for a delayed acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        notice_loss(bound)
        bound.bind((endpoint.host, endpoint.port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise CannotListen(f"cannot listen on {listener}: {error.strerror or error}") from error
    return bound
