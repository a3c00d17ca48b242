"""Where clients connect, what TLS means there (RULES X01, X02), and the sockets for it."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from posthouse.running.health import CannotListen
from posthouse.running.tcp import Endpoint, notice_loss

BACKLOG = 512


class TlsMode(StrEnum):
    """The TLS mode of a listener."""

    NONE = "none"  # in clear, AUTH included: for a private network
    OPPORTUNISTIC = "opportunistic"  # STARTTLS offered, AUTH also without it
    STARTTLS_REQUIRED = "starttls_required"  # nothing but STARTTLS before TLS
    IMPLICIT = "implicit"  # TLS from the first octet (RFC 8314)

    @property
    def needs_certificate(self) -> bool:
        """Whether a client may ask for TLS."""
        return self is not TlsMode.NONE


@dataclass(frozen=True, slots=True)
class Listener:
    """An address and port, and the TLS mode of its sessions."""

    endpoint: Endpoint
    tls: TlsMode

    @classmethod
    def parse(cls, text: str) -> "Listener":
        """Read "127.0.0.1:2587/starttls_required"; ValueError says what was seen."""
        endpoint, slash, mode = text.strip().partition("/")
        modes = {str(mode): mode for mode in TlsMode}
        if not slash or mode not in modes:
            known = ", ".join(modes)
            raise ValueError(f"{text!r} is not HOST:PORT/MODE with one of these modes: {known}")
        return cls(Endpoint.parse(endpoint), modes[mode])

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.tls}"


def bind(listeners: Sequence[Listener], *, processes: int = 1) -> list[list[socket.socket]]:
    """For each process a socket for every listener; clients may connect from now on.

    The kernel divides clients among the processes; port 0 is the same free port for all of them.
    Raises CannotListen.
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
    # A shared port could be shared with any program of our user, such as a second relay: so bind
    # it alone first.
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
