"""Builds the webhooks service from its settings."""

from posthouse.running.event_reader import EventReader
from posthouse.running.program import Resources, Services
from webhooks.settings import WebhooksSettings


def build(settings: WebhooksSettings, resources: Resources) -> Services:
    """The reader of the events that customers are told."""
    del settings
    reader = EventReader(resources.database.alone(connections=2), ())
    return Services(by_name={"webhook-events": reader}, checks={})
