"""Builds the tracking service from its settings."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from starlette.routing import BaseRoute

from posthouse.running.http_server import HttpServer
from posthouse.running.program import Resources, Services
from posthouse.store.database_watchdog import DatabaseWatchdog
from posthouse.store.subscriptions import SubscriptionStore
from posthouse.tracking.token import token_keys
from tracking.pages import pages
from tracking.settings import TrackingSettings
from tracking.unsubscribing import Unsubscribing

# Longer than a lock is waited for (3 s); mail programs give up after some ten seconds.
_UNSUBSCRIBE_SECONDS = 8.0


def build(settings: TrackingSettings, resources: Resources) -> Services:
    """The server that recipients' clients call."""
    watchdog = DatabaseWatchdog(resources.database.alone())
    routes = _routes(settings, resources, watchdog)
    server = HttpServer("tracking", pages(routes), settings.tracking_listen)
    return Services(
        by_name={"tracking": server, "tracking-watchdog": watchdog},
        checks={"tracking": server.check},
    )


def _routes(
    settings: TrackingSettings, resources: Resources, watchdog: DatabaseWatchdog
) -> Sequence[BaseRoute]:
    """Of the pages for people."""
    revocable = timedelta(days=settings.resubscribe_days)
    unsubscribing = Unsubscribing(
        SubscriptionStore(resources.database, revocable=revocable),
        token_keys(settings.secret_key.get_secret_value(), settings.token_keys),
        partial(watchdog.deadline, _UNSUBSCRIBE_SECONDS),
    )
    return unsubscribing.routes()
