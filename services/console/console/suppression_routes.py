"""Addresses that an account does not mail."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from console.call import Call, ConsoleRoute, as_json, invalid, reading
from posthouse.http.api_description import About, QueryWord, number_word
from posthouse.http.http_response import HttpResponse
from posthouse.http.problem import Kind, Problem
from posthouse.mail.address import InvalidAddress, normal_form, parse_address_or_domain
from posthouse.mail.permission import Permission
from posthouse.mail.suppression_list import (
    Suppression,
    SuppressionList,
    stream_scope,
    tag_scope,
)
from posthouse.store.suppression_pages import SuppressionPages, SuppressionPlace, UnreadablePlace
from posthouse.store.suppressions import SuppressionFilter, SuppressionStore

_MOST = 1_000
_Text = Annotated[str, Meta(min_length=1, max_length=500)]
_LISTS = {"type": "string", "enum": [each.value for each in SuppressionList]}
_LIST = QueryWord("list", "Only of this list.", _LISTS)
_STREAM = QueryWord("stream", "Only for mail of this stream.")
_TAG = QueryWord("tag", "Only for mail with this tag.")


class SuppressionEntry(Struct, frozen=True):
    """Why an address is not mailed."""

    address: str  # or "@" and a domain
    list: str
    stream: str | None  # only mail of this
    tag: str | None  # only mail with this
    reason: str
    since: datetime | None
    until: datetime | None = None


class SuppressionPage(Struct, frozen=True):
    """Entries in the order of their addresses; null for the cursor: there are no others."""

    entries: list[SuppressionEntry]
    cursor: str | None


class NewSuppression(Struct, frozen=True, forbid_unknown_fields=True):
    """An address, or "@" and a domain, that is not to be mailed."""

    address: _Text
    reason: _Text = "added over HTTP"
    list: SuppressionList = SuppressionList.MANUAL
    stream: _Text | None = None
    tag: _Text | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None


class AddedSuppression(Struct, frozen=True):
    """It is suppressed now; whether it was not before."""

    address: str
    added: bool


class AskedAddresses(Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses that are about to be mailed."""

    addresses: Annotated[list[_Text], Meta(min_length=1, max_length=_MOST)]


class CheckedAddress(Struct, frozen=True):
    """An address, and all entries that hold for it; none: it is mailed."""

    address: str
    entries: list[SuppressionEntry]


class CheckedAddresses(Struct, frozen=True):
    """In the order in which they were asked."""

    results: list[CheckedAddress]


_LISTING = About(
    "List who is not mailed by one account, and why.",
    ((200, "A page.", SuppressionPage),),
    query=(
        QueryWord("text", "Somewhere in the address."),
        *(_LIST, _STREAM, _TAG),
        QueryWord("reason", "Exactly this reason."),
        QueryWord("cursor", "Go on from there: the page before ended with it."),
        number_word("limit", "Most entries.", 100, _MOST),
    ),
)
_ADDING = About(
    "Do not mail an address again.",
    ((200, "It is suppressed.", AddedSuppression),),
    (("application/json", NewSuppression),),
)
_REMOVING = About(
    "Mail an address again: take it off all lists, or off the one that is named.",
    ((200, "It was taken off.", AddedSuppression),),
    query=(QueryWord("address", "Or @ and a domain. Required."), _LIST, _STREAM, _TAG),
)
_CHECKING = About(
    "Tell for up to 1000 addresses whether they are mailed.",
    ((200, "Each, in their order.", CheckedAddresses),),
    (("application/json", AskedAddresses),),
)


class SuppressionRoutes:
    """Lists, adds, removes and checks, in one account."""

    def __init__(self, store: SuppressionStore, pages: SuppressionPages) -> None:
        self._store = store
        self._pages = pages

    def routes(self) -> Iterator[ConsoleRoute]:
        """Where they are found."""
        path, needed = "/v1/suppressions", Permission.MANAGE_SUPPRESSIONS
        yield ConsoleRoute("GET", path, needed, self.list, _LISTING)
        yield ConsoleRoute("POST", path, needed, self.add, _ADDING)
        yield ConsoleRoute("DELETE", path, needed, self.remove, _REMOVING)
        yield ConsoleRoute("POST", f"{path}/check", needed, self.check, _CHECKING)

    async def list(self, call: Call) -> HttpResponse:
        """A page of entries."""
        text = call.words.get("text")
        chosen = SuppressionFilter(
            account_id=call.account[1],
            text=text and normal_form(text),
            list=_list_in(call),
            scope=_scope(call.words.get("stream"), call.words.get("tag")),
            reason=call.words.get("reason"),
        )
        limit = call.number("limit", 100, _MOST)
        with reading(UnreadablePlace):
            after = SuppressionPlace.parse(call.words.get("cursor", ""))
        rows = await self._pages.page(chosen, after, limit)
        cursor = SuppressionPlace.of(rows[-1]).text if len(rows) == limit else None
        return as_json(SuppressionPage([_entry(row) for row in rows], cursor))

    async def add(self, call: Call) -> HttpResponse:
        """Suppress an address."""
        new = await call.body(NewSuppression)
        address = _address(new.address)
        added = await self._store.add(
            call.account[1],
            address,
            new.reason,
            {"by": call.caller.username},
            on=new.list,
            scope=_scope(new.stream, new.tag) or "",
            expires_at=new.until,
            actor=call.caller.actor,
        )
        return as_json(AddedSuppression(address, added))

    async def remove(self, call: Call) -> HttpResponse:
        """Mail an address again."""
        if "address" not in call.words:
            raise invalid("address is required")
        address = _address(call.words["address"])
        removed = await self._store.remove(
            call.account[1],
            address,
            on=_list_in(call),
            scope=_scope(call.words.get("stream"), call.words.get("tag")),
            actor=call.caller.actor,
        )
        if not removed:
            detail = f"{address!a} is not suppressed in this account"
            raise Problem(404, Kind.NOT_FOUND, detail)
        return as_json(AddedSuppression(address, added=False))

    async def check(self, call: Call) -> HttpResponse:
        """Which of the addresses are mailed."""
        asked = (await call.body(AskedAddresses)).addresses
        account: UUID = call.account[1]
        found = await self._store.find([(account, address) for address in asked])
        results = [
            CheckedAddress(one, [_of_check(each) for each in found.get((account, one), ())])
            for one in asked
        ]
        return as_json(CheckedAddresses(results))


def _list_in(call: Call) -> SuppressionList | None:
    text = call.words.get("list")
    if text is None:
        return None
    try:
        return SuppressionList(text)
    except ValueError:
        allowed = ", ".join(SuppressionList)
        raise invalid(f"list: {text[:80]!a} seen, {allowed} is allowed") from None


def _address(text: str) -> str:
    with reading(InvalidAddress):
        return parse_address_or_domain(text)


def _scope(stream: str | None, tag: str | None) -> str | None:
    if stream and tag:
        raise invalid("stream or tag: an entry holds for one of them")
    return stream_scope(stream) if stream else tag_scope(tag) if tag else None


def _entry(row: Any) -> SuppressionEntry:
    stream, tag = _scoped(row["scope"])
    return SuppressionEntry(
        *(row["address"], row["list"], stream, tag),
        *(row["reason"], row["created_at"], row["expires_at"]),
    )


def _of_check(found: Suppression) -> SuppressionEntry:
    stream, tag = _scoped(found.scope)
    return SuppressionEntry(found.entry, found.list.value, stream, tag, found.reason, found.since)


def _scoped(scope: str) -> tuple[str | None, str | None]:
    """The stream, and the tag, that an entry of that scope holds for."""
    kind, _, name = scope.partition(":")
    return (name if kind == "stream" else None), (name if kind == "tag" else None)
