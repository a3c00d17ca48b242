"""What recipients' clients may ask for."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute


def pages(routes: Sequence[BaseRoute]) -> Starlette:
    """The application."""
    return Starlette(routes=list(routes))
