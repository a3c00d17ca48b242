"""The sockets of listeners: bound before a process divides, shared by several of them."""

import socket
from collections.abc import Sequence

from ingest.listeners import Listener
from posthouse.running.http_server import CannotListen
from posthouse.running.service import allow_open_files
from posthouse.running.tcp import Endpoint, notice_loss

BACKLOG = 512
_OTHER_FILES = 256  # that a process has open beside its listeners and clients

Sockets = Sequence[Sequence[socket.socket]]
"""For each listener one for each of its ports."""


def bind(listeners: Sequence[Listener], *, processes: int = 1) -> list[Sockets]:
    """For each process the sockets of every listener; clients may connect from now on.

    The kernel divides clients among the processes; port 0 is the same free port for all of them.
    Raises CannotListen.
    """
    _check_open_files(listeners, processes)
    ports = [[_bind(one, at, processes) for at in one.endpoints] for one in listeners]
    return [[[port[n] for port in listener] for listener in ports] for n in range(processes)]


def join(listeners: Sequence[Listener]) -> Sockets:
    """The sockets of every listener, in a process that shares them with others already running.

    Raises CannotListen.
    """
    _check_open_files(listeners, 1)
    return [[_listening(one, at, shared=True) for at in one.endpoints] for one in listeners]


def found(listeners: Sequence[Listener], sockets: Sockets) -> tuple[Listener, ...]:
    """The *listeners* with the ports they are really bound to."""
    of_each = zip(listeners, sockets, strict=True)
    return tuple(listener.at(bound[0].getsockname()[1]) for listener, bound in of_each)


def _check_open_files(listeners: Sequence[Listener], processes: int) -> None:
    ports = sum(len(listener.ports) for listener in listeners)
    needed = ports * processes + _OTHER_FILES
    limit = allow_open_files(needed)
    if needed > limit:
        raise CannotListen(
            f"cannot listen on {ports} ports in {processes} processes: that needs {needed} open "
            f"files, and this process may have {limit} (ulimit -n, LimitNOFILE)"
        )


def _bind(listener: Listener, at: Endpoint, processes: int) -> list[socket.socket]:
    if processes == 1:
        return [_listening(listener, at, shared=False)]
    # A shared port could be shared with any program of our user, such as a second relay: so bind
    # it alone first.
    alone = _listening(listener, at, shared=False)
    found = Endpoint(at.host, alone.getsockname()[1])
    alone.close()
    return [_listening(listener, found, shared=True) for _ in range(processes)]


def _listening(listener: Listener, at: Endpoint, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    # Named as TCP: on a socket that does not say so asyncio leaves Nagle's algorithm on, and each
    # reply to a pipelining client waits for a delayed acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        notice_loss(bound)
        bound.bind((at.host, at.port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        one_of_many = f" ({at})" if len(listener.ports) > 1 else ""
        reason = error.strerror or error
        raise CannotListen(f"cannot listen on {listener.name}{one_of_many}: {reason}") from error
    return bound
