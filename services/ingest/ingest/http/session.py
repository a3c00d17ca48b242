"""One client's HTTP session: its requests go to handlers, and their answers back."""

import time
from collections.abc import Callable, Coroutine, Sequence
from email.utils import formatdate
from functools import cache, lru_cache
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address

import structlog
from prometheus_client import Counter, Histogram

from ingest.http.http_request import HttpRequest
from ingest.http.http_router import HttpRouter
from ingest.http.request_parser import BadRequest
from ingest.http.served import HttpClientGone
from ingest.http.wire import HttpWire
from ingest.listeners import Listener, TlsMode
from ingest.session_context import SessionContext
from posthouse.authentication.client_networks import forwarded_client
from posthouse.http.http_response import HttpResponse
from posthouse.http.problem import AGAIN, Kind, Problem, fault, problem_response

log = structlog.get_logger()

REQUESTS = Counter(
    "posthouse_http_requests", "HTTP requests by the class of their status", ["route", "code_class"]
)
ANSWERING = Histogram(
    "posthouse_http_request_duration_seconds", "From the head of a request to its answer", ["route"]
)
_requests = cache(REQUESTS.labels)
_answering = cache(ANSWERING.labels)

_NO_ROUTE = "none"

_NOT_HERE = Problem(
    403, Kind.FORBIDDEN, "Plain HTTP is spoken with this machine and named proxies only"
)

Proxies = Sequence[IPv4Network | IPv6Network]


class HttpSession:
    """Serves one client over a wire."""

    _wire: HttpWire
    _peer = ""  # the address of the other end

    def __init__(self, context: SessionContext, router: HttpRouter, listener: Listener) -> None:
        self._context = context
        self._router = router
        self._listener = listener

    def begin(self, wire: HttpWire) -> Coroutine[None, None, None] | None:
        """Serve the client until it or we leave; None: it was turned away."""
        self._wire, self._peer = wire, wire.client
        if problem := self._refusal():
            response = problem_response(problem)
            wire.send(encoded(response, last=True, without_body=False))
            wire.close()
            return None
        return self._serve(wire)

    def _refusal(self) -> Problem | None:
        """Why the client is not served; else it is counted."""
        is_plain = self._listener.tls is TlsMode.HTTP
        if is_plain and not may_be_plain(self._peer, self._listener.proxies):
            return _NOT_HERE
        if refusal := self._context.connections.admit(self, self._peer):
            return Problem(503, Kind.UNAVAILABLE, refusal.text, fields=AGAIN)
        return None

    def leave(self) -> None:
        """The connection is gone."""
        self._context.connections.leave(self, self._peer)

    async def _serve(self, wire: HttpWire) -> None:
        try:
            while await self._serve_one(wire):
                pass
        except HttpClientGone:
            log.debug("client_gone", client=self._peer)
        except Exception:
            log.exception("internal_fault", client=self._peer)
        finally:
            wire.close()

    def stop(self) -> None:
        """Close the session: at once when it is idle, else when its request is answered."""
        if self._wire.is_idle:
            self._wire.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._wire.abort()

    async def _serve_one(self, wire: HttpWire) -> bool:
        """Answer a request; whether another one may follow."""
        method = ""
        route = _NO_ROUTE
        began = time.perf_counter()
        try:
            head = await wire.next_request()
            method, began = head.method, time.perf_counter()
            request = HttpRequest(head, wire, self._context.memory)
            self._find_client(request, wire)
            response, route = await self._answer(request)
        except BadRequest as error:
            problem = Problem(error.status, Kind.BAD_REQUEST, str(error))
            log.info("request_refused", client=self._peer, reason=str(error))
            response = problem_response(problem)
        _requests(route, f"{response.status // 100}xx").inc()
        _answering(route).observe(time.perf_counter() - began)
        last = not wire.may_go_on or self._context.connections.stopping
        await wire.respond(encoded(response, last=last, without_body=method == "HEAD"), last=last)
        return not last

    async def _answer(self, request: HttpRequest) -> tuple[HttpResponse, str]:
        path = _NO_ROUTE
        written: Callable[[Problem], HttpResponse] = problem_response
        try:
            route = self._router.find(request)
            written, path = route.problem, route.path
            return await route.handle(request), path
        except Problem as problem:
            log.debug(
                "problem", client=request.client, status=problem.status, detail=problem.detail
            )
            return written(problem), path
        except (BadRequest, HttpClientGone):
            raise
        except Exception:
            # A fault of ours must not make a client give up its message.
            log.exception("internal_fault", client=request.client)
            return written(fault()), path
        finally:
            request.release()
            self._context.connections.log_out(request)

    def _find_client(self, request: HttpRequest, wire: HttpWire) -> None:
        request.client, request.tls = self._peer, wire.tls
        proxies = self._listener.proxies
        if not _is_in(self._peer, proxies):
            return
        told = request.field("x-forwarded-for") or ""
        request.client = forwarded_client(self._peer, told, lambda one: _is_in(one, proxies))
        if (request.field("x-forwarded-proto") or "").lower() == "https":
            request.tls = "TLS of a proxy"


def may_be_plain(client: str, proxies: Proxies) -> bool:
    """Whether it may call without TLS: what it says stays on this machine or is a proxy's."""
    return ip_address(client).is_loopback or _is_in(client, proxies)


def _is_in(client: str, networks: Proxies) -> bool:
    return any(ip_address(client) in network for network in networks)


def encoded(response: HttpResponse, *, last: bool, without_body: bool) -> bytes:
    """The octets of an answer."""
    lines = [
        _status_line(response.status),
        f"date: {_date(int(time.time()))}\r\n",
        f"content-type: {response.media_type}\r\n",
        f"content-length: {len(response.body)}\r\n",
        "cache-control: no-store\r\nx-content-type-options: nosniff\r\n",
        *(f"{name}: {value}\r\n" for name, value in response.fields),
        "connection: close\r\n\r\n" if last else "\r\n",
    ]
    head = "".join(lines).encode("ascii")
    return head if without_body else head + response.body


@cache
def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
