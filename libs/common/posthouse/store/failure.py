"""The two ways in which the store can say no, and how PostgreSQL's errors map to them."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg


class StoreUnavailable(Exception):
    """The store cannot answer now; nothing was changed, try again."""


class StoreFull(StoreUnavailable):
    """The store has no room; nothing was changed."""


class StoreRefused(Exception):
    """The store will never take this data."""


@contextmanager
def store_failures() -> Iterator[None]:
    """Map what asyncpg and PostgreSQL raise to the store's own exceptions."""
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise StoreFull(str(error)) from error
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise StoreRefused(str(error)) from error
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    ) as error:
        text = str(error) or type(error).__name__
        raise StoreUnavailable(text) from error
