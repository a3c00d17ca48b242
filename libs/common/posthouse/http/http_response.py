"""An answer to a request over HTTP."""

from typing import Any, NamedTuple

import msgspec


class HttpResponse(NamedTuple):
    """An answer."""

    status: int
    body: bytes = b""
    media_type: str = "application/json"
    fields: tuple[tuple[str, str], ...] = ()


def json_response(status: int, value: Any, *fields: tuple[str, str]) -> HttpResponse:
    """An answer in JSON."""
    return HttpResponse(status, msgspec.json.encode(value), fields=fields)
