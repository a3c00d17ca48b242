"""Builds the tracking service from its settings."""

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from starlette.routing import BaseRoute

from posthouse.running.http_server import HttpServer
from posthouse.running.identity import new_id
from posthouse.running.program import Resources, Services
from posthouse.store.database_watchdog import DatabaseWatchdog
from posthouse.store.subscriptions import SubscriptionStore
from posthouse.store.visits import VisitStore
from posthouse.tracking.token import token_keys
from tracking.link_targets import LinkTargets
from tracking.pages import pages
from tracking.request_client import RequestClient
from tracking.service import TrackingService
from tracking.settings import TrackingSettings
from tracking.tracked_paths import TrackedPaths
from tracking.unsubscribing import Unsubscribing
from tracking.visit_queue import VisitQueue
from tracking.visit_writer import VisitWriter

# How long a person who clicks waits for the database.
_LOOKUP_SECONDS = 2.0
# Longer than a lock is waited for (3 s); mail programs give up after some ten seconds.
_UNSUBSCRIBE_SECONDS = 8.0


def build(settings: TrackingSettings, resources: Resources) -> Services:
    """The server that recipients' clients call, and what writes opens and clicks."""
    watchdog = DatabaseWatchdog(resources.database.alone())
    store, queue = VisitStore(resources.database), VisitQueue()

    async def find(link_set: bytes) -> Sequence[str] | None:
        async with watchdog.deadline(_LOOKUP_SECONDS):
            return await store.targets(link_set)

    paths = TrackedPaths(
        token_keys(settings.secret_key.get_secret_value(), settings.token_keys),
        LinkTargets(find, time.monotonic),
        RequestClient(settings.tracking_proxies),
        queue.put,
        pages(_routes(settings, resources, watchdog)),
        clock=time.monotonic,
        new_id=new_id,
    )
    server = HttpServer("tracking", paths, settings.tracking_listen)
    writer = VisitWriter(queue, store, time.monotonic, keep_client=settings.tracking_keep_client)
    return Services(
        by_name={"tracking": TrackingService(server, writer), "tracking-watchdog": watchdog},
        checks={"tracking": server.check},
    )


def _routes(
    settings: TrackingSettings, resources: Resources, watchdog: DatabaseWatchdog
) -> Sequence[BaseRoute]:
    """Of all that is answered beside opens and clicks."""
    revocable = timedelta(days=settings.resubscribe_days)
    unsubscribing = Unsubscribing(
        SubscriptionStore(resources.database, revocable=revocable),
        token_keys(settings.secret_key.get_secret_value(), settings.token_keys),
        partial(watchdog.deadline, _UNSUBSCRIBE_SECONDS),
    )
    return unsubscribing.routes()
