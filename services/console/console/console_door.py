"""Every request passes here: who calls, what it may, about which accounts, how often (0044)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import structlog
from prometheus_client import Counter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.call import Answer, Call, ConsoleRoute, invalid
from console.key_callers import KeyCaller, KeyCallers, Peer, needing
from console.key_limits import KeyLimits
from posthouse.authentication.client_networks import forwarded_client, is_within
from posthouse.http.problem import AGAIN, Kind, Problem, fault, problem_response
from posthouse.store import StoreRefused, StoreUnavailable

log = structlog.get_logger()

REQUESTS = Counter(
    "posthouse_console_requests", "Requests to the console's API, by route", ["route", "code_class"]
)
_ANSWER_SECONDS = 60.0
_SHOWN = 80  # characters of a wrong value that are quoted back
_MOST_CHARACTERS = 500  # of a word of the query
_ALWAYS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class ConsoleDoor:
    """Lets requests in."""

    def __init__(
        self, callers: KeyCallers, limits: KeyLimits, proxies: tuple[str, ...] = ()
    ) -> None:
        """*proxies*: networks of those that say who calls."""
        self._callers = callers
        self._limits = limits
        self._proxies = proxies

    @asynccontextmanager
    async def call(self, request: Request, route: ConsoleRoute) -> AsyncIterator[Call]:
        """The call that *request* is, counted until it is answered; raises Problem."""
        peer = self._peer(request)
        caller = await self._callers.caller(request.headers.get("authorization"), peer)
        with self._limits.counted(caller.credential_id):
            needing(caller, route.needed)
            given = _words(request.query_params, route)
            lists = {word.name for word in route.about.query if word.repeats}
            words = {name: values[0] for name, values in given.items() if name not in lists}
            many = {name: values for name, values in given.items() if name in lists}
            yield Call(caller, request, words, many, _accounts(caller, words))

    def _peer(self, request: Request) -> Peer:
        seen = request.client.host if request.client else ""
        has_tls = request.url.scheme == "https"
        if not seen or not is_within(seen, self._proxies):
            return Peer(seen, has_tls)
        told = request.headers.get("x-forwarded-for", "")
        client = forwarded_client(seen, told, lambda one: is_within(one, self._proxies))
        return Peer(client, request.headers.get("x-forwarded-proto", "").lower() == "https")


class PathAnswers:
    """Answers at one path: an application of ASGI."""

    def __init__(self, door: ConsoleDoor, routes: Mapping[str, ConsoleRoute]) -> None:
        """*routes*: by method."""
        self._door = door
        self._routes = routes
        self._path = next(iter(routes.values())).path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        # What streams goes on being counted while it does.
        async with AsyncExitStack() as stack:
            answer = await self._answer(Request(scope, receive), stack)
            REQUESTS.labels(self._path, f"{answer.status_code // 100}xx").inc()
            await answer(scope, receive, send)

    async def _answer(self, request: Request, stack: AsyncExitStack) -> Response:
        try:
            route = self._route(request.method)
            call = await stack.enter_async_context(self._door.call(request, route))
            async with asyncio.timeout(_ANSWER_SECONDS):
                return written(await route.answer(call))
        except Exception as error:  # whatever it is, the client hears of it as a problem
            problem = _problem(error)
            if problem is None:
                log.exception("internal_fault", path=self._path)
            return written(problem_response(problem or fault()))

    def _route(self, method: str) -> ConsoleRoute:
        route = self._routes.get("GET" if method == "HEAD" else method)
        if route is None:
            allowed = ", ".join(self._routes)
            detail = f"{method} seen, {allowed} is allowed"
            raise Problem(405, Kind.BAD_REQUEST, detail, fields=(("allow", allowed),))
        return route


def written(answer: Answer) -> Response:
    """*answer* as it is sent."""
    if isinstance(answer, Response):
        return answer
    headers = {**_ALWAYS, **dict(answer.fields)}
    return Response(answer.body, answer.status, headers, answer.media_type)


def _problem(error: Exception) -> Problem | None:
    """What the client is told; None for a fault of ours."""
    match error:
        case Problem():
            return error
        case StoreUnavailable():
            detail = "The store does not answer, try again later"
            return Problem(503, Kind.UNAVAILABLE, detail, fields=AGAIN)
        case StoreRefused():
            return Problem(422, Kind.INVALID, "The store cannot keep such a value")
        case TimeoutError():
            detail = f"It would have taken more than {_ANSWER_SECONDS:g} seconds: ask for less"
            return Problem(503, Kind.UNAVAILABLE, detail, fields=AGAIN)
        case _:
            return None


def _words(query: QueryParams, route: ConsoleRoute) -> dict[str, list[str]]:
    """The words of the query, each with its values, and all of them known; raises Problem."""
    known = {word.name: word for word in route.about.query}
    found: dict[str, list[str]] = {}
    for name, value in query.multi_items():
        word = known.get(name)
        if word is None:
            allowed = ", ".join(sorted(known))
            raise Problem(400, Kind.BAD_REQUEST, f"{name[:_SHOWN]!a} seen, {allowed} is allowed")
        if name in found and not word.repeats:
            raise Problem(400, Kind.BAD_REQUEST, f"{name} is given twice")
        if (not value and not word.may_be_empty) or "\0" in value or len(value) > _MOST_CHARACTERS:
            raise invalid(f"{name} has to have 1 to {_MOST_CHARACTERS} characters, and no NUL")
        found.setdefault(name, []).append(value)
    return found


def _accounts(caller: KeyCaller, words: Mapping[str, str]) -> Mapping[str, UUID]:
    """Those that the call is about; raises Problem: another account is one that is not there."""
    name = words.get("account")
    if name is None:
        return caller.accounts
    if name not in caller.accounts:
        raise Problem(404, Kind.NOT_FOUND, f"This account has no account {name[:_SHOWN]!a}")
    return {name: caller.accounts[name]}
