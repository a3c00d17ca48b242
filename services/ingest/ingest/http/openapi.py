"""The description of our own API (OpenAPI 3.1), made of its routes and types."""

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import msgspec

from ingest.http.http_request import HttpRequest, HttpRoute, json_response
from ingest.http.problem import KINDS, HttpResponse, problem_response

_REFERENCE = "#/components/schemas/{name}"
_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Your own name for the message: it is accepted once in 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


_SIGNED = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "AWS4-HMAC-SHA256: Signature Version 4 of AWS, service `ses`, any region.",
}


def described(routes: tuple[HttpRoute, ...]) -> tuple[HttpRoute, ...]:
    """*routes*, and those that describe them."""
    return (*routes, *OpenApi(routes).routes())


class OpenApi:
    """Tells how the API is called: as JSON for programs, and as a page for people."""

    def __init__(self, routes: Iterable[HttpRoute]) -> None:
        """*routes*: all that have a description are told."""
        self._routes = [one for one in routes if one.about is not None]

    def routes(self) -> tuple[HttpRoute, ...]:
        """Where they are found."""
        return (
            HttpRoute("GET", "/v1/openapi.json", self.document, problem_response),
            HttpRoute("GET", "/v1/docs", self.page, problem_response),
        )

    async def document(self, _: HttpRequest) -> HttpResponse:
        """The description as JSON."""
        return json_response(200, self.description())

    async def page(self, _: HttpRequest) -> HttpResponse:
        """A page that lists operations and problems; it loads nothing from elsewhere."""
        rows = [
            f"<dt><code>{one.method} {one.path}</code></dt><dd>{one.about.summary}</dd>"
            for one in self._routes
            if one.about is not None
        ]
        problems = [
            f'<dt id="{kind}"><code>{kind}</code></dt><dd>{text}</dd>'
            for kind, text in KINDS.items()
        ]
        body = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Posthouse API</title>'
            '<h1>Posthouse API</h1><p>For programs: <a href="/v1/openapi.json">OpenAPI 3.1</a>.'
            f"<h2>Operations</h2><dl>{''.join(rows)}</dl>"
            f"<h2>Problems</h2><dl>{''.join(problems)}</dl></html>"
        )
        return HttpResponse(200, body.encode(), "text/html; charset=utf-8", _CSP)

    def description(self) -> dict[str, Any]:
        """The document."""
        types = [t for one in self._routes if one.about for t in one.about.types]
        schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        by_type = dict(zip(types, schemas, strict=True))
        paths: dict[str, Any] = {}
        for one in self._routes:
            paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, by_type)
        return {
            "openapi": "3.1.0",
            "info": {"title": "Posthouse", "version": metadata.version("posthouse-common")},
            "security": [{"bearer": []}, {"basic": []}],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer", "description": "USER.SECRET"},
                    "basic": {"type": "http", "scheme": "basic"},
                    "aws": _SIGNED,
                },
            },
        }


_CSP = (("content-security-policy", "default-src 'none'"),)


def _operation(route: HttpRoute, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    about = route.about
    assert about is not None
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.parts
    ]
    if about.takes_key:
        parameters.append(_KEY)
    answers: dict[str, Any] = {
        str(status): _answer(text, "application/json", schemas.get(kind))
        for status, text, kind in about.answers
    }
    media_type, problem = about.problem
    answers["default"] = _answer("It is not carried out, and why.", media_type, schemas[problem])
    found: dict[str, Any] = {"summary": about.summary, "parameters": parameters}
    if about.signed:
        found["security"] = [{"aws": []}]
    if about.body:
        found["requestBody"] = {
            "required": True,
            "content": {
                media_type: {"schema": {"type": "string"} if kind is bytes else schemas[kind]}
                for media_type, kind in about.body
            },
        }
    return {**found, "responses": answers}


def _answer(text: str, media_type: str, schema: Any) -> dict[str, Any]:
    """An answer that is described so; without *schema* it has no body."""
    content = {"content": {media_type: {"schema": schema}}} if schema else {}
    return {"description": text, **content}
