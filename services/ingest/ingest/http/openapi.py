"""Where our own API describes itself (OpenAPI 3.1)."""

from ingest.http.http_request import HttpRequest, HttpRoute
from posthouse.http.api_description import description, page
from posthouse.http.http_response import HttpResponse, json_response
from posthouse.http.problem import KINDS, problem_response


def described(routes: tuple[HttpRoute, ...]) -> tuple[HttpRoute, ...]:
    """*routes*, and those that describe them: as JSON for programs, as a page for people."""

    async def document(_: HttpRequest) -> HttpResponse:
        return json_response(200, description(routes))

    async def for_people(_: HttpRequest) -> HttpResponse:
        return page(routes, KINDS)

    return (
        *routes,
        HttpRoute("GET", "/v1/openapi.json", document, problem_response),
        HttpRoute("GET", "/v1/docs", for_people, problem_response),
    )
