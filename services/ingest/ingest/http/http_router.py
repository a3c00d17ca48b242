"""Which handler answers a request."""

import re
from collections.abc import Iterable, Mapping

from ingest.http.http_request import HttpRequest, HttpRoute
from posthouse.http.api_description import PATH_PART
from posthouse.http.http_response import HttpResponse
from posthouse.http.problem import Kind, Problem


class HttpRouter:
    """Routes by path and method."""

    def __init__(self, routes: Iterable[HttpRoute]) -> None:
        self._exact: dict[str, dict[str, HttpRoute]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, HttpRoute]]] = []
        for route in routes:
            self._by_method(route.path)[route.method] = route

    def _by_method(self, path: str) -> dict[str, HttpRoute]:
        if not PATH_PART.search(path):
            return self._exact.setdefault(path, {})
        pattern = re.compile(PATH_PART.sub(r"(?P<\1>[^/]+)", path))
        for known, by_method in self._patterns:
            if known == pattern:
                return by_method
        self._patterns.append((pattern, {}))
        return self._patterns[-1][1]

    def find(self, request: HttpRequest) -> HttpRoute:
        """The route of *request*, which learns the parts of its path; raises Problem."""
        path, method = request.head.path, request.head.method
        by_method = self._exact.get(path)
        if by_method is None:
            for pattern, found in self._patterns:
                if match := pattern.fullmatch(path):
                    request.parts, by_method = match.groupdict(), found
                    break
            else:
                raise Problem(404, Kind.NOT_FOUND, f"There is nothing at {path[:80]!a}")
        route = by_method.get(method) or (by_method.get("GET") if method == "HEAD" else None)
        return route or _refusing(method, by_method)


def _refusing(method: str, by_method: Mapping[str, HttpRoute]) -> HttpRoute:
    """What answers *method* at a path that has others, in the form in which these tell errors."""
    allowed = ", ".join(by_method)

    async def refuse(_: HttpRequest) -> HttpResponse:
        detail = f"{method} seen, {allowed} is allowed"
        raise Problem(405, Kind.BAD_REQUEST, detail, fields=(("allow", allowed),))

    other = next(iter(by_method.values()))
    return HttpRoute(method, other.path, refuse, other.problem)
