"""The store: PostgreSQL keeps what a 250 promised."""

from posthouse.store.failure import StoreFull, StoreRefused, StoreUnavailable

__all__ = ["StoreFull", "StoreRefused", "StoreUnavailable"]
