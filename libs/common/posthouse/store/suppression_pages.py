"""Entries of suppression lists in pages, in an order that stays."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, NamedTuple, Self

import msgspec

from posthouse.store.postgres import Postgres
from posthouse.store.suppressions import SuppressionFilter


class UnreadablePlace(ValueError):
    """The text is none that a page ended with."""


class SuppressionPlace(NamedTuple):
    """After one entry of an account."""

    normal: str = ""
    list: str = ""
    scope: str = ""

    @classmethod
    def of(cls, row: Any) -> Self:
        """Behind an entry of a page."""
        return cls(row["normal"], row["list"], row["scope"])

    @classmethod
    def parse(cls, text: str) -> Self:
        """The opposite of `text`; raises UnreadablePlace. "" is before all."""
        try:
            octets = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            parts = msgspec.json.decode(octets, type=tuple[str, str, str]) if text else ()
        except (ValueError, msgspec.MsgspecError):
            raise UnreadablePlace(f"{text[:80]!a} is not a cursor that a page ended with") from None
        if any("\0" in part for part in parts):
            raise UnreadablePlace(f"{text[:80]!a} is not a cursor that a page ended with")
        return cls(*parts)

    @property
    def text(self) -> str:
        """For programs, which do not look into it."""
        return urlsafe_b64encode(msgspec.json.encode(tuple(self))).decode().rstrip("=")


class SuppressionPages:
    """Reads only."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def page(
        self, chosen: SuppressionFilter, after: SuppressionPlace, limit: int
    ) -> list[Any]:
        """The next *limit* entries that count and are *chosen*; an account has to be."""
        return await self._database.fetch(
            "page_suppressions",
            *(chosen.account_id, chosen.text, chosen.list, chosen.scope, chosen.reason),
            *(*after, limit),
        )
