"""Builds the tracking service from its settings."""

import ssl
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial

from starlette.routing import BaseRoute

from posthouse.dns.resolver import DnsClient
from posthouse.mail.secret import Purpose, derive
from posthouse.running.certificate_folder import CertificateFolder
from posthouse.running.http_server import HttpServer
from posthouse.running.identity import new_id
from posthouse.running.program import Resources, Services
from posthouse.running.service import Service
from posthouse.store.database_watchdog import DatabaseWatchdog
from posthouse.store.subscriptions import SubscriptionStore
from posthouse.store.tracking_hosts import TrackingHosts
from posthouse.store.visits import VisitStore
from posthouse.tracking.token import token_keys
from tracking.acme_challenge import AcmeChallenges
from tracking.host_probe import HostProbe
from tracking.host_proofs import HostProofs
from tracking.host_watch import TrackingHostWatch
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
# Of the five that a probe of a host takes: what DNS fails in is said.
_DNS_SECONDS = 4.0


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
    folder = _certificates(settings)
    service = TrackingService(
        list(_servers(settings, paths, folder)),
        VisitWriter(queue, store, time.monotonic, keep_client=settings.tracking_keep_client),
    )
    return Services(
        by_name={
            "tracking": service,
            "tracking-watchdog": watchdog,
            **dict(_beside(settings, resources, folder)),
        },
        checks={"tracking": service.check},
    )


def _beside(
    settings: TrackingSettings, resources: Resources, folder: CertificateFolder | None
) -> Iterator[tuple[str, Service]]:
    yield "tracking-hosts", _host_watch(settings, resources)
    if folder is not None:
        yield "tracking-certificates", folder


def _host_watch(settings: TrackingSettings, resources: Resources) -> TrackingHostWatch:
    dns = DnsClient(settings.nameservers, timeout=_DNS_SECONDS)
    probe = HostProbe(dns, _proof_key(settings), ssl.create_default_context())
    return TrackingHostWatch(TrackingHosts(resources.database), probe)


def _proof_key(settings: TrackingSettings) -> bytes:
    return derive(settings.secret_key.get_secret_value(), Purpose.TRACKING_PROOF)


def _certificates(settings: TrackingSettings) -> CertificateFolder | None:
    folder = settings.tracking_certificates
    return None if folder is None else CertificateFolder(folder)


def _servers(
    settings: TrackingSettings, paths: TrackedPaths, folder: CertificateFolder | None
) -> Iterator[HttpServer]:
    yield HttpServer("tracking", paths, settings.tracking_listen)
    if settings.tracking_https_listen is not None and folder is not None:
        yield HttpServer("tracking", paths, settings.tracking_https_listen, tls=folder.https)


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
    webroot = settings.tracking_acme_webroot
    challenges = () if webroot is None else AcmeChallenges(webroot).routes()
    proofs = HostProofs(_proof_key(settings))
    return (*unsubscribing.routes(), *challenges, *proofs.routes())
