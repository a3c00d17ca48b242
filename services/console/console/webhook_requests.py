"""What was sent to an endpoint, and what is to be sent to it once more."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from console.call import Call, ConsoleRoute, as_json, invalid, reading
from console.own_webhooks import own_webhook
from console.webhook_routes import WEBHOOKS
from posthouse.http.api_description import About, QueryWord, number_word
from posthouse.http.http_response import HttpResponse
from posthouse.mail.permission import Permission
from posthouse.running.identity import new_id
from posthouse.store.webhook_endpoints import MadeAttempt, ReplayChoice, WebhookStore
from posthouse.webhooks.dialects import DIALECTS
from posthouse.webhooks.endpoint_terms import UnusableWebhook, checked_kinds
from posthouse.webhooks.sample_event import sample

_MOST = 200
_SINCE = timedelta(days=30)
_Id = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
_Moment = Annotated[datetime, Meta(tz=True)]


class MadeRequest(Struct, frozen=True):
    """A request to an endpoint, and what it answered."""

    id: str
    batch: str  # the same in every try
    at: datetime
    events: int
    number: int  # of the tries of its batch
    result: str
    status: int | None  # of HTTP; null: there was no answer
    milliseconds: int


class MadeRequests(Struct, frozen=True):
    """Newest first; null for the cursor: there are no others."""

    deliveries: list[MadeRequest]
    cursor: str | None


class AskedReplay(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are told once more, with the same ids."""

    since: _Moment | None = None  # null: of the last 30 days
    until: _Moment | None = None
    kinds: Annotated[list[str], Meta(max_length=100)] = []  # none: those of the endpoint
    ids: Annotated[list[_Id], Meta(max_length=1_000)] = []  # of events or messages; none: all
    dead_letters: bool = False  # only what was given up, in whole batches


class BegunReplay(Struct, frozen=True):
    """How many events are tried again; null: those that the history has."""

    events: int | None


class BegunTest(Struct, frozen=True):
    """An event that did not happen is sent; how that went is among the deliveries."""

    batch: str


class WebhookRequests:
    """Lists them, and asks for more."""

    def __init__(self, store: WebhookStore) -> None:
        self._store = store

    def routes(self) -> Iterator[ConsoleRoute]:
        """Where they are found."""
        needed, one = Permission.MANAGE_WEBHOOKS, f"{WEBHOOKS}/{{id}}"
        about = About(
            "List the requests that were made to an endpoint, newest first.",
            ((200, "A page.", MadeRequests),),
            query=(
                QueryWord("cursor", "Go on from there: the page before ended with it."),
                number_word("limit", "Most requests.", 50, _MOST),
            ),
        )
        yield ConsoleRoute("GET", f"{one}/deliveries", needed, self.deliveries, about)
        about = About(
            "Send an event that did not happen, once, also to a paused endpoint.",
            ((200, "It is sent.", BegunTest),),
        )
        yield ConsoleRoute("POST", f"{one}/test", needed, self.test, about)
        about = About(
            "Tell an endpoint once more of what happened.",
            ((200, "The events are sent.", BegunReplay),),
            (("application/json", AskedReplay),),
        )
        yield ConsoleRoute("POST", f"{one}/replay", needed, self.replay, about)

    async def deliveries(self, call: Call) -> HttpResponse:
        """A page of requests."""
        found = await own_webhook(self._store, call)
        limit = call.number("limit", 50, _MOST)
        made = await self._store.attempts(found.id, limit, _place(call.words.get("cursor")))
        cursor = made[-1].id.hex if len(made) == limit else None
        return as_json(MadeRequests([_request(one) for one in made], cursor))

    async def test(self, call: Call) -> HttpResponse:
        """Send a sample."""
        found, batch = await own_webhook(self._store, call), new_id()
        told = sample(batch, found.account, datetime.now(UTC))
        body = b",".join(DIALECTS[found.terms.dialect].render(told))
        await self._store.test(found.id, batch, body)
        return as_json(BegunTest(batch.hex))

    async def replay(self, call: Call) -> HttpResponse:
        """Send events of the past, or dead letters."""
        found, actor = await own_webhook(self._store, call), call.caller.actor
        asked, now = await call.body(AskedReplay), datetime.now(UTC)
        with reading(UnusableWebhook):
            kinds = checked_kinds(asked.kinds)
        ids = [UUID(id_) for id_ in asked.ids]
        choice = ReplayChoice(asked.since or now - _SINCE, asked.until or now, kinds, ids)
        if asked.dead_letters:
            return as_json(BegunReplay(await self._store.revive(found, choice, actor)))
        await self._store.replay(found, choice, actor)
        return as_json(BegunReplay(None))


def _place(cursor: str | None) -> UUID | None:
    if cursor is None:
        return None
    try:
        return UUID(cursor)
    except ValueError:
        raise invalid(f"cursor: {cursor[:80]!a} is not what a page ended with") from None


def _request(made: MadeAttempt) -> MadeRequest:
    return MadeRequest(
        id=made.id.hex,
        batch=made.batch_id.hex,
        at=made.at,
        events=made.events,
        number=made.number,
        result=made.result,
        status=made.status,
        milliseconds=made.milliseconds,
    )
