"""How an API is called (OpenAPI 3.1), made of its routes and types."""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from typing import Any, NamedTuple, Protocol

import msgspec

from posthouse.http.http_response import HttpResponse
from posthouse.http.problem import Kind, ProblemBody

PATH_PART = re.compile(r"\{(\w+)\}")
"""Of the path of a route: it stands for anything but a slash."""

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
_CSP = (("content-security-policy", "default-src 'none'"),)


_WORD: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": 500}


class QueryWord(NamedTuple):
    """A parameter in the query of a URL."""

    name: str
    text: str
    schema: Mapping[str, Any] = _WORD

    @property
    def repeats(self) -> bool:
        """Whether it may be given several times."""
        return bool(self.schema["type"] == "array")

    @property
    def may_be_empty(self) -> bool:
        """Whether it may have no value."""
        return bool(self.schema["type"] == "string" and not self.schema.get("minLength"))


def number_word(name: str, text: str, default: int, most: int) -> QueryWord:
    """A number from 1 on."""
    limits = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return QueryWord(name, text, limits)


class About(NamedTuple):
    """What the description of an API says of a route."""

    summary: str
    answers: tuple[tuple[int, str, Any], ...]  # status, what it means, type of the body or None
    body: tuple[tuple[str, Any], ...] = ()  # media types, and of what type; bytes: as it is
    takes_key: bool = False
    problem: tuple[str, Any] = ("application/problem+json", ProblemBody)  # media type, and type
    query: tuple[QueryWord, ...] = ()
    media_types: tuple[str, ...] = ()  # of answers, beside JSON
    signed: bool = False  # as AWS asks for it, in place of a secret that comes with the request

    @property
    def types(self) -> tuple[Any, ...]:
        """All that are described."""
        bodies = (kind for _, kind in self.body if kind is not bytes)
        answers = (kind for _, _, kind in self.answers if kind is not None)
        return (*bodies, *answers, self.problem[1])


class DescribedRoute(Protocol):
    """Where a handler is found, as its description sees it."""

    @property
    def method(self) -> str:
        """In upper case."""

    @property
    def path(self) -> str:
        """Parts in braces stand for anything but a slash."""

    @property
    def about(self) -> About | None:
        """None: it is not described."""


def page(routes: Iterable[DescribedRoute], kinds: Mapping[Kind, str]) -> HttpResponse:
    """A page that lists operations and problems; it loads nothing from elsewhere."""
    rows = [
        f"<dt><code>{one.method} {one.path}</code></dt><dd>{one.about.summary}</dd>"
        for one in routes
        if one.about is not None
    ]
    problems = [
        f'<dt id="{kind}"><code>{kind}</code></dt><dd>{text}</dd>' for kind, text in kinds.items()
    ]
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Posthouse API</title>'
        '<h1>Posthouse API</h1><p>For programs: <a href="/v1/openapi.json">OpenAPI 3.1</a>.'
        f"<h2>Operations</h2><dl>{''.join(rows)}</dl>"
        f"<h2>Problems</h2><dl>{''.join(problems)}</dl></html>"
    )
    return HttpResponse(200, body.encode(), "text/html; charset=utf-8", _CSP)


def description(routes: Iterable[DescribedRoute]) -> dict[str, Any]:
    """The document: all of *routes* that have a description are told."""
    routes = [one for one in routes if one.about is not None]
    types = [t for one in routes if one.about for t in one.about.types]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, Any] = {}
    for one in routes:
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


def _operation(route: DescribedRoute, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    about = route.about
    assert about is not None
    answers: dict[str, Any] = {
        str(status): _answer(text, "application/json", schemas.get(kind))
        for status, text, kind in about.answers
    }
    for media_type in about.media_types:
        answers["200"]["content"][media_type] = {"schema": {"type": "string"}}
    media_type, problem = about.problem
    answers["default"] = _answer("It is not carried out, and why.", media_type, schemas[problem])
    found: dict[str, Any] = {
        "summary": about.summary,
        "parameters": list(_parameters(route.path, about)),
    }
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


def _parameters(path: str, about: About) -> Iterator[Mapping[str, Any]]:
    for name in PATH_PART.findall(path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for word in about.query:
        yield {"name": word.name, "in": "query", "description": word.text, "schema": word.schema}
    if about.takes_key:
        yield _KEY


def _answer(text: str, media_type: str, schema: Any) -> dict[str, Any]:
    """An answer that is described so; without *schema* it has no body."""
    content = {"content": {media_type: {"schema": schema}}} if schema else {}
    return {"description": text, **content}
