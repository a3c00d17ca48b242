"""Builds the console service from its settings."""

from console.api import api
from console.settings import ConsoleSettings
from posthouse.running.http_server import HttpServer
from posthouse.running.program import Resources, Services


def build(settings: ConsoleSettings, resources: Resources) -> Services:
    """The server that customers' programs call."""
    del resources
    server = HttpServer("console", api(), settings.console_listen)
    return Services(by_name={"console": server}, checks={"console": server.check})
