"""The endpoints of an account as the API shows them."""

from datetime import datetime

from msgspec import Struct

from console.call import Call
from posthouse.store.webhook_endpoints import WebhookEndpoint, WebhookStore


class ShownWebhook(Struct, frozen=True):
    """An endpoint, and how it does."""

    id: str
    account: str
    url: str
    dialect: str
    kinds: list[str]  # none: all
    streams: list[str]  # none: mail of all, and of none
    every_seconds: int
    note: str
    has_headers: bool
    has_two_secrets: bool
    state: str  # working, failing or paused
    paused_for: str | None
    failures: int  # in a row
    failing_since: datetime | None
    next_try_at: datetime | None
    waiting_events: int
    dead_events: int


class WebhookList(Struct, frozen=True):
    """All of them."""

    webhooks: list[ShownWebhook]


async def own_webhook(store: WebhookStore, call: Call) -> WebhookEndpoint:
    """The one that the path names, of the accounts of the call; raises Problem."""
    found = await store.find(call.id("id", "webhook"))
    if found is None or found.account_id not in call.accounts.values():
        raise call.nothing("id", "webhook")
    return found


def shown(found: WebhookEndpoint) -> ShownWebhook:
    """All but secrets."""
    terms = found.terms
    return ShownWebhook(
        id=found.id.hex,
        account=found.account,
        url=terms.url,
        dialect=terms.dialect,
        kinds=list(terms.kinds),
        streams=list(terms.streams),
        every_seconds=round(terms.gather.total_seconds()),
        note=terms.note,
        has_headers=found.has_fields,
        has_two_secrets=found.has_two_secrets,
        state=found.state.value,
        paused_for=found.paused_for,
        failures=found.failures,
        failing_since=found.failing_since,
        next_try_at=found.retry_at,
        waiting_events=found.waiting,
        dead_events=found.dead,
    )
