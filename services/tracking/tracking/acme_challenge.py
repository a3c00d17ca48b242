"""Answers to challenges of an ACME client (RFC 8555 section 8.3), which writes them to a folder."""

import re
from collections.abc import Sequence
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tracking.pages import COMMON_HEADERS

_PATH = "/.well-known/acme-challenge"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MOST_OCTETS = 1_024


class AcmeChallenges:
    """Serves the webroot of certbot, lego and others: only this folder, and only short files."""

    def __init__(self, webroot: Path) -> None:
        self._folder = webroot / _PATH.lstrip("/")

    def routes(self) -> Sequence[BaseRoute]:
        """Where the certificate authority asks."""
        return [Route(f"{_PATH}/{{token}}", self._answer)]

    def _answer(self, request: Request) -> Response:
        token = request.path_params["token"]
        if not _TOKEN.fullmatch(token):
            raise HTTPException(404)
        try:
            with (self._folder / token).open("rb") as file:
                text = file.read(_MOST_OCTETS)
        except OSError:
            raise HTTPException(404) from None
        return Response(text, media_type="application/octet-stream", headers=dict(COMMON_HEADERS))
