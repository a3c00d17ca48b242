"""Answers probes of tracking hosts, of this process and of others of the installation."""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tracking.core.host_proof import PROOF_PATH, is_nonce, proof
from tracking.pages import COMMON_HEADERS


class HostProofs:
    """Proves to who asks over a host that it leads here."""

    def __init__(self, key: bytes) -> None:
        """*key*: of `posthouse.mail.secret.Purpose.TRACKING_PROOF`."""
        self._key = key

    def routes(self) -> Sequence[BaseRoute]:
        """Where probes ask."""
        return [Route(f"{PROOF_PATH}/{{nonce}}", self._answer)]

    def _answer(self, request: Request) -> Response:
        nonce = request.path_params["nonce"]
        if not is_nonce(nonce):
            raise HTTPException(404)
        return PlainTextResponse(proof(nonce, self._key), headers=dict(COMMON_HEADERS))
