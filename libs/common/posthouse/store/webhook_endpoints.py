"""The endpoints of accounts: what operators, and customers, see and change of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from posthouse.store.audit_log import AuditLine, run_audited
from posthouse.store.postgres import Postgres
from posthouse.webhooks.event_batch import KEEP_TRYING

MOST_OF_AN_ACCOUNT = 50
_ROWS = 1_000


class NoRoomForWebhook(Exception):
    """The account has as many endpoints as it may have."""


class WebhookState(StrEnum):
    """What an endpoint does."""

    WORKING = "working"
    FAILING = "failing"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class WebhookTerms:
    """What is chosen for an endpoint. Secrets are sealed."""

    url: str
    dialect: str
    kinds: Sequence[str]  # empty: all
    streams: Sequence[str]  # empty: mail of all, and of none
    gather: timedelta
    note: str = ""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An endpoint, and how it does."""

    id: UUID
    account_id: UUID
    account: str
    terms: WebhookTerms
    created_at: datetime
    state: WebhookState
    paused_at: datetime | None
    paused_for: str | None
    failures: int
    failing_since: datetime | None
    retry_at: datetime | None
    has_two_secrets: bool
    has_fields: bool
    waiting: int  # events
    oldest_at: datetime | None  # of those
    dead: int  # events


@dataclass(frozen=True, slots=True)
class MadeAttempt:
    """A request that was made."""

    id: UUID
    batch_id: UUID
    at: datetime
    events: int
    number: int  # of the tries of its batch
    result: str
    status: int | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class ReplayChoice:
    """Which events an endpoint is told once more; what is empty chooses all."""

    since: datetime
    until: datetime
    kinds: Sequence[str] = ()
    ids: Sequence[UUID] = ()  # of events; of the past also of messages


@dataclass(frozen=True, slots=True)
class TermChanges:
    """What is None stays as it is."""

    url: str | None = None
    dialect: str | None = None
    kinds: Sequence[str] | None = None
    streams: Sequence[str] | None = None
    gather: timedelta | None = None
    note: str | None = None
    sealed_fields: bytes | None = None
    has_new_fields: bool = False


class WebhookStore:
    """Reads and changes them; the service has the changes at once."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def create(
        self,
        account_id: UUID,
        terms: WebhookTerms,
        sealed: bytes,
        sealed_fields: bytes | None = None,
        actor: str = "",
    ) -> UUID:
        """A new endpoint; it is told of what happens from now on. Raises NoRoomForWebhook."""
        row = await self._database.first(
            "create_webhook",
            *(account_id, terms.url, terms.dialect, list(terms.kinds), list(terms.streams)),
            *(terms.gather, sealed, sealed_fields, MOST_OF_AN_ACCOUNT, terms.note),
        )
        if row is None:
            raise NoRoomForWebhook(
                f"the account has {MOST_OF_AN_ACCOUNT} endpoints, which is the most"
            )
        if actor:
            await self._audit(actor, "add", account_id, row["id"], url=terms.url)
        made: UUID = row["id"]
        return made

    async def all(self, account_id: UUID | None = None) -> list[WebhookEndpoint]:
        """Those of an account, or all."""
        rows = await self._database.fetch("list_webhooks", account_id, None)
        return [_endpoint(row) for row in rows]

    async def find(self, id_: UUID) -> WebhookEndpoint | None:
        """That one, if there is one."""
        row = await self._database.first("list_webhooks", None, id_)
        return None if row is None else _endpoint(row)

    async def change(self, endpoint: WebhookEndpoint, to: TermChanges, actor: str = "") -> bool:
        """Change what is chosen; events that wait are sent as they were written."""
        return await self._run(
            (actor, "edit", endpoint),
            "change_webhook",
            *(to.url, _list(to.kinds), _list(to.streams), to.gather),
            *(to.has_new_fields, to.sealed_fields, to.note, to.dialect),
        )

    async def rotate(
        self, endpoint: WebhookEndpoint, sealed: bytes, keep: timedelta, actor: str = ""
    ) -> bool:
        """A new secret signs; the one before does so as well, for *keep*."""
        return await self._run((actor, "rotate", endpoint), "rotate_webhook_secret", sealed, keep)

    async def pause(self, endpoint: WebhookEndpoint, reason: str, actor: str = "") -> bool:
        """Send nothing more; events wait for seven days. False if it is paused already."""
        return await self._run((actor, "pause", endpoint), "pause_webhook", reason)

    async def resume(self, endpoint: WebhookEndpoint, actor: str = "") -> bool:
        """Try it at once. False if it neither was paused nor fails."""
        return await self._run((actor, "resume", endpoint), "resume_webhook")

    async def remove(self, endpoint: WebhookEndpoint, actor: str = "") -> bool:
        """Delete it with all that waits for it, and its dead letters."""
        removed = await self._run((actor, "remove", endpoint), "delete_webhook")
        for statement in ("delete_webhook_batches", "delete_webhook_dead_letters"):
            while len(await self._database.fetch(statement, endpoint.id, _ROWS)) == _ROWS:
                continue
        return removed

    async def test(self, id_: UUID, batch_id: UUID, body: bytes) -> None:
        """Send one event at once, also to an endpoint that is paused; *batch_id* is a new one."""
        await self._database.run("add_webhook_test", batch_id, id_, body)

    async def attempt_of(self, id_: UUID, batch_id: UUID) -> MadeAttempt | None:
        """The last request with that batch."""
        row = await self._database.first("find_webhook_attempt", id_, batch_id)
        return None if row is None else _attempt(row)

    async def attempts(
        self, id_: UUID, limit: int, before: UUID | None = None
    ) -> list[MadeAttempt]:
        """The newest *limit* requests, newest first; those made before that one."""
        rows = await self._database.fetch("list_webhook_attempts", id_, before, limit)
        return [_attempt(row) for row in rows]

    async def replay(
        self, endpoint: WebhookEndpoint, choice: ReplayChoice, actor: str = ""
    ) -> bool:
        """Tell events of the history once more: the service does so, with the same ids."""
        return await self._run(
            (actor, "replay", endpoint),
            "ask_for_webhook_replay",
            *(choice.since, choice.until, list(choice.kinds), list(choice.ids)),
        )

    async def revive(self, endpoint: WebhookEndpoint, choice: ReplayChoice, actor: str = "") -> int:
        """Try dead letters again that have such events: how many events those are."""
        events = 0
        while rows := await self._database.fetch(
            "revive_webhook_dead_letters",
            *(endpoint.id, choice.since, choice.until, list(choice.kinds), list(choice.ids)),
            *(_ROWS // 10, KEEP_TRYING),
        ):
            events += sum(row["events"] for row in rows)
        if actor and events:
            await self._audit(actor, "revive", endpoint.account_id, endpoint.id, events=events)
        return events

    async def _run(
        self, who: tuple[str, str, WebhookEndpoint], query: str, *arguments: object
    ) -> bool:
        actor, action, endpoint = who
        detail = {"endpoint": endpoint.id.hex, "url": endpoint.terms.url}
        line = AuditLine(actor, f"webhook {action}", endpoint.account_id, detail)
        return await run_audited(self._database, line, query, endpoint.id, *arguments)

    async def _audit(
        self, actor: str, action: str, account_id: UUID, id_: UUID, **detail: object
    ) -> None:
        full: Mapping[str, object] = {"endpoint": id_.hex, **detail}
        await self._database.run("write_audit", actor, f"webhook {action}", account_id, full)


def _list(given: Iterable[str] | None) -> list[str] | None:
    return None if given is None else list(given)


def _endpoint(row: Any) -> WebhookEndpoint:
    state = (
        WebhookState.PAUSED
        if row["paused_at"] is not None
        else WebhookState.WORKING
        if row["failing_since"] is None
        else WebhookState.FAILING
    )
    terms = WebhookTerms(
        *(row["url"], row["dialect"], row["kinds"], row["streams"], row["gather"], row["note"])
    )
    same = ("id", "account_id", "account", "created_at", "paused_at", "paused_for", "failures")
    more = ("failing_since", "retry_at", "has_fields", "waiting", "oldest_at", "dead")
    return WebhookEndpoint(
        terms=terms,
        state=state,
        has_two_secrets=bool(row["has_two_secrets"]),
        **{name: row[name] for name in (*same, *more)},
    )


def _attempt(row: Any) -> MadeAttempt:
    return MadeAttempt(**dict(row))
