"""Pages for people, and the application that answers all but opens and clicks."""

from collections.abc import Mapping, Sequence
from html import escape

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

# Nobody keeps a copy, or lists it; nothing is loaded, run or framed; and where a link leads is not
# told by whom it was followed: neither the token nor the address of a webmail page goes there.
COMMON_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store, private, max-age=0",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}
PAGE_HEADERS: Mapping[str, str] = {
    **COMMON_HEADERS,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
}

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}}
h1{{font-size:1.4rem}}</style></head>
<body><main><h1>{title}</h1>
{content}
</main></body>
</html>
"""


def page(title: str, content: str) -> bytes:
    """A page for people. *content* is HTML."""
    return _PAGE.format(title=escape(title), content=content).encode()


NOT_FOUND = page(
    "This link leads nowhere",
    "<p>It is damaged, or older than links are kept. If it came in a message, look whether the "
    "whole link was copied, or ask who sent it.</p>",
)
NOT_NOW = page(
    "This link cannot be followed just now",
    "<p>Where it leads is not known at this moment. Please try again in a few minutes.</p>",
)


def pages(routes: Sequence[BaseRoute]) -> Starlette:
    """What answers everything but opens and clicks: *routes*, and else pages that say no."""
    return Starlette(routes=list(routes), exception_handlers={HTTPException: _refusal})


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {**PAGE_HEADERS, **(error.headers or {})}
    return Response(NOT_FOUND, error.status_code, headers)
