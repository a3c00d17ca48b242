"""The ways in which the store fails, and how PostgreSQL's errors map to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import asyncpg


class StoreUnavailable(Exception):
    """The store cannot answer now; nothing was changed, try again."""


class StoreFull(StoreUnavailable):
    """The store has no room; nothing was changed."""


class TooManyConnections(StoreUnavailable):
    """The server has no connection left; nothing was changed."""


class LoginRefused(StoreUnavailable):
    """The server does not know us by this user and password; nothing was changed."""


class StoreRefused(Exception):
    """The store will never take this data."""


@contextmanager
def store_failures() -> Iterator[None]:
    """Map what asyncpg and PostgreSQL raise to the store's own exceptions."""
    try:
        yield
    except asyncpg.TooManyConnectionsError as error:
        raise TooManyConnections(str(error)) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise LoginRefused(str(error)) from error
    except asyncpg.DiskFullError as error:
        raise StoreFull(_said(error)) from error
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise StoreRefused(_said(error)) from error
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    ) as error:
        raise StoreUnavailable(_said(error)) from error


def _said(error: Exception) -> str:
    """The error without PostgreSQL's DETAIL, which quotes the row: reasons are logged."""
    text = error.args[0] if isinstance(error, asyncpg.PostgresError) else str(error)
    return str(text) or type(error).__name__


@contextmanager
def connection_failures(url: str) -> Iterator[None]:
    """Name the database that could not be connected to in StoreUnavailable.

    A server with many more clients than it may have closes a connection before it is asked for
    anything, and its reason is lost on the way.
    """
    try:
        with store_failures():
            try:
                yield
            except asyncpg.ConnectionDoesNotExistError as error:
                raise asyncpg.TooManyConnectionsError("it closed the connection at once") from error
    except StoreUnavailable as error:
        text = f"cannot connect to the database {whereabouts(url)}: {error}"
        raise type(error)(text) from error


def whereabouts(url: str) -> str:
    """Host, port and name of the database at *url*, and nothing that is secret."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2] or ",".join(parse_qs(parts.query).get("host", ()))
    return f"{parts.path.removeprefix('/')} at {hosts or 'localhost'}".lstrip()
