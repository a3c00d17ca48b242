"""Builds the tracking service from its settings."""

from posthouse.running.http_server import HttpServer
from posthouse.running.program import Resources, Services
from tracking.pages import pages
from tracking.settings import TrackingSettings


def build(settings: TrackingSettings, resources: Resources) -> Services:
    """The server that recipients' clients call."""
    del resources
    server = HttpServer("tracking", pages(), settings.tracking_listen)
    return Services(by_name={"tracking": server}, checks={"tracking": server.check})
