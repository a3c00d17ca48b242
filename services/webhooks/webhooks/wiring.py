"""Builds the webhooks service from its settings."""

from datetime import timedelta
from typing import TYPE_CHECKING

from posthouse.mail.secret import Purpose, derive
from posthouse.running.event_reader import EventReader
from posthouse.running.program import Resources, Services
from posthouse.running.service import Service
from webhooks.batch_sender import WebhookSender
from webhooks.core.endpoint_pace import PauseRule
from webhooks.delivery import BatchDelivery
from webhooks.fan_out import FanOut
from webhooks.http_post import HttpPost
from webhooks.settings import WebhooksSettings

if TYPE_CHECKING:
    from webhooks.event_publisher import EventPublishing

_LOOK_SECONDS = 1.0  # for events: how long a customer waits for them at most, about


def build(settings: WebhooksSettings, resources: Resources) -> Services:
    """The reader of the events that customers are told, and what sends them."""
    post = HttpPost(
        seconds=settings.webhook_timeout_seconds,
        allow_http=settings.webhook_allow_http,
        allowed=settings.webhook_allowed_networks,
    )
    delivery = BatchDelivery(
        resources.background,
        post,
        derive(settings.secret_key.get_secret_value(), Purpose.WEBHOOK_SECRETS),
        PauseRule(after=timedelta(hours=settings.webhook_pause_hours)),
    )
    sender = WebhookSender(resources.background, delivery)
    database = resources.database.alone(connections=2)
    fan_out = FanOut(
        database,
        keep=settings.kept,
        facts=settings.facts_kept,
        announce=sender.wake,
    )
    reader = EventReader(database, (fan_out,), look_seconds=_LOOK_SECONDS)
    services: dict[str, Service] = {"webhook-events": reader, "webhook-sender": sender}
    if not settings.events_exchange:
        return Services(services, checks={})
    publishing = _publishing(settings, resources)
    return Services(
        {**services, "event-publisher": publishing}, checks={"event_exchange": publishing.check}
    )


def _publishing(settings: WebhooksSettings, resources: Resources) -> "EventPublishing":
    # `up` starts without what RabbitMQ needs.
    from webhooks.event_exchange import EventExchange  # noqa: PLC0415
    from webhooks.event_publisher import EventPublishing  # noqa: PLC0415

    urls = [url.get_secret_value() for url in settings.broker_url]
    return EventPublishing(
        resources.database.alone(connections=2),
        EventExchange(settings.events_exchange, urls),
        settings.events_unrouted,
        look_seconds=_LOOK_SECONDS,
    )
