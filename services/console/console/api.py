"""What customers may ask: all routes, and the application that serves them."""

from collections.abc import Iterable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.call import ConsoleRoute
from console.console_door import ConsoleDoor, PathAnswers, written
from posthouse.http.api_description import QueryWord, description, page
from posthouse.http.http_response import json_response
from posthouse.http.problem import KINDS, Kind, Problem, problem_response

_OF_MESSAGES = {Kind.REFUSED, Kind.SENDER, Kind.KEY_TAKEN}  # that are given to the relay
_KINDS = {kind: text for kind, text in KINDS.items() if kind not in _OF_MESSAGES}

ACCOUNT = QueryWord("account", "Only of this account: your own, or a child of it, by its name.")
"""Known on every route."""


def with_account(routes: Iterable[ConsoleRoute]) -> Sequence[ConsoleRoute]:
    """*routes*, each of which may be asked about one account."""
    return [
        route._replace(about=route.about._replace(query=(*route.about.query, ACCOUNT)))
        for route in routes
    ]


def api(door: ConsoleDoor, routes: Iterable[ConsoleRoute]) -> Starlette:
    """The application."""
    all_routes = with_account(routes)
    by_path: dict[str, dict[str, ConsoleRoute]] = {}
    for route in all_routes:
        by_path.setdefault(route.path, {})[route.method] = route

    async def document(_: Request) -> Response:
        return written(json_response(200, description(all_routes)))

    async def for_people(_: Request) -> Response:
        return written(page(all_routes, _KINDS))

    return Starlette(
        routes=[
            Route("/v1/openapi.json", document, methods=["GET"]),
            Route("/v1/docs", for_people, methods=["GET"]),
            *(Route(path, PathAnswers(door, each)) for path, each in by_path.items()),
        ],
        exception_handlers={HTTPException: _told},
    )


async def _told(request: Request, error: Exception) -> Response:
    """Nothing answers there."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:80]
    is_method = error.status_code == 405  # noqa: PLR2004 - Method Not Allowed
    kind = Kind.BAD_REQUEST if is_method else Kind.NOT_FOUND
    detail = f"{request.method} is not allowed" if is_method else f"There is nothing at {path!a}"
    fields = tuple((name.lower(), value) for name, value in (error.headers or {}).items())
    return written(problem_response(Problem(error.status_code, kind, detail, fields=fields)))
