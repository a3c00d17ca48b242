"""What waits, and what is done to it, in one account (0040)."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from console.call import Call, ConsoleRoute, as_json, invalid, reading
from posthouse.http.api_description import About, QueryWord
from posthouse.http.http_response import HttpResponse
from posthouse.http.problem import Kind, Problem
from posthouse.mail.mail_selector import MailOperation, MailSelector
from posthouse.mail.message_query import UnusableQuery
from posthouse.mail.message_state import MessageState
from posthouse.mail.permission import Permission
from posthouse.store.message_search import MessageSearch
from posthouse.store.waiting_mail import WaitingMail

# What the operator quarantined is the operator's to decide about.
_STATES = tuple(state for state in MessageState if state in (
    MessageState.READY, MessageState.INFLIGHT, MessageState.DEFERRED, MessageState.PARKED,
    MessageState.HELD, MessageState.SCHEDULED,
))  # fmt: skip
_WORDS: Mapping[str, str] = {
    "recipient": "An address.",
    "domain": "Of the recipient.",
    "site": "As the counts show it.",
    "user": "The SMTP user or key that sent it.",
    "stream": "A stream.",
    "tag": "A tag.",
    "lane": "A lane, by its name.",
    "older-than": "Accepted longer ago: 30min, 2h, 5d.",
    "newer-than": "Accepted since then.",
    "class": "Of the last answer.",
    "state": f"Several with commas: {', '.join(_STATES)}.",
}
_OPERATIONS = {
    MailOperation.RETRY: "Try deferred mail now, and not at the time of its next attempt.",
    MailOperation.CANCEL: "Never send mail that waits; nobody hears of it.",
    MailOperation.BOUNCE: "Never send mail that waits; its sender hears why.",
}
_Id = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]


class WaitingCount(Struct, frozen=True):
    """How much waits in one place: a message before it is prepared, then each recipient."""

    stage: str
    lane: str
    site: str
    state: str
    messages: int


class WaitingCounts(Struct, frozen=True):
    """What waits."""

    messages: int
    counts: list[WaitingCount]


class ChosenMail(Struct, frozen=True, forbid_unknown_fields=True):
    """Which mail is meant: all that is given is true of it."""

    ids: Annotated[list[_Id], Meta(max_length=1_000)] = []  # of messages
    words: dict[str, Annotated[str, Meta(min_length=1, max_length=500)]] = {}  # as GET /v1/queue
    everything: bool = False  # has to be said where nothing else is
    why: Annotated[str, Meta(max_length=500)] = ""  # told to the sender of what bounces


class ChangedMail(Struct, frozen=True):
    """How many were changed, and how many others were writing until the end."""

    changed: int
    missed: int


class QueueRoutes:
    """Counts what waits, and changes it."""

    def __init__(self, waiting: WaitingMail, search: MessageSearch) -> None:
        self._waiting = waiting
        self._search = search

    def routes(self) -> Iterator[ConsoleRoute]:
        """Where they are found."""
        needed = Permission.MANAGE_QUEUE
        about = About(
            "Count the mail of one account that waits.",
            ((200, "What waits.", WaitingCounts),),
            query=tuple(QueryWord(name, text) for name, text in _WORDS.items()),
        )
        yield ConsoleRoute("GET", "/v1/queue", needed, self.count, about)
        for operation, summary in _OPERATIONS.items():
            about = About(
                summary,
                ((200, "It is done.", ChangedMail),),
                (("application/json", ChosenMail),),
            )
            change: Callable[[Call], Awaitable[HttpResponse]] = partial(self._change, operation)
            yield ConsoleRoute("POST", f"/v1/queue/{operation}", needed, change, about)

    async def count(self, call: Call) -> HttpResponse:
        """What waits."""
        words = {name: value for name, value in call.words.items() if name != "account"}
        preview = await self._waiting.preview(MailOperation.CANCEL, _selector(call, words))
        counts = [
            WaitingCount(one.stage, one.lane.label, one.site, one.state.value, one.messages)
            for one in preview.lines
        ]
        return as_json(WaitingCounts(preview.messages, counts))

    async def _change(self, operation: MailOperation, call: Call) -> HttpResponse:
        chosen = await call.body(ChosenMail)
        if not (chosen.ids or chosen.words or chosen.everything):
            raise invalid("say which mail: ids, words, or everything")
        if operation is MailOperation.BOUNCE and not chosen.why.strip():
            raise invalid("why is required: its sender is told")
        ids = [UUID(text) for text in chosen.ids]
        await self._check_own(call, ids)
        selector = _selector(call, chosen.words, ids)
        result = await self._waiting.run(operation, selector, call.caller.actor, chosen.why)
        return as_json(ChangedMail(*result))

    async def _check_own(self, call: Call, ids: list[UUID]) -> None:
        """Raise Problem if one of *ids* is not a message of the account."""
        found = await self._search.named(ids) if ids else ()
        own = {one.id for one in found if one.account_id == call.account[1]}
        for id_ in ids:
            if id_ not in own:
                raise Problem(404, Kind.NOT_FOUND, f"This account has no message {id_.hex!a}")


def _selector(call: Call, words: Mapping[str, str], ids: list[UUID] | None = None) -> MailSelector:
    """What *words* choose in the one account that *call* is about; raises Problem."""
    given = {"state": ",".join(_STATES), **words}
    if unknown := given.keys() - _WORDS.keys():
        raise invalid(f"{min(unknown)[:80]!a} is none of {', '.join(_WORDS)}")
    if unknown := {one.strip() for one in given["state"].split(",")} - set(_STATES):
        raise invalid(f"state: {min(unknown)[:80]!a} is none of {', '.join(_STATES)}")
    with reading(UnusableQuery):
        return MailSelector.of({**given, "account": call.account[0]}, ids or ())
