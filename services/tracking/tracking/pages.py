"""What recipients' clients may ask for."""

from starlette.applications import Starlette


def pages() -> Starlette:
    """The application."""
    return Starlette(routes=[])
