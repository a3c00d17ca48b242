"""What customers may ask."""

from starlette.applications import Starlette


def api() -> Starlette:
    """The application."""
    return Starlette(routes=[])
