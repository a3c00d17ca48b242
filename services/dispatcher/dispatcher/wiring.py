"""Builds the dispatcher from its settings."""

from datetime import timedelta

from dispatcher.attempt_traces import AttemptTraces
from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.isolation import ProcessIsolation
from dispatcher.kept_connections import ReusePolicy
from dispatcher.route_facts import route_facts
from dispatcher.router import MxResolver, Router
from dispatcher.service import Dispatcher
from dispatcher.settings import DispatcherSettings
from dispatcher.sites import Sites
from posthouse.broker import Topic
from posthouse.inspection.inspection import InspectionPlan
from posthouse.inspection.installation_watch import InstallationWatch
from posthouse.running.program import Resources, Services, broker_check
from posthouse.store.clock import ClockWatch
from posthouse.store.deliveries import DeliveryStore
from posthouse.store.examinations import ExaminationStore


def delivery_attempts(settings: DispatcherSettings, sites: Sites | None = None) -> DeliveryAttempts:
    """What resolves and sends, within the limits of *sites* if they are given."""
    resolver = MxResolver(settings.nameservers)
    refused = RefusedHosts(
        frozenset({settings.hostname.lower()}), allowed=settings.private_networks_allowed
    )
    connections = ConnectionPool(
        settings.hostname,
        resolver,
        refused,
        reuse=ReusePolicy(messages_per_connection=settings.messages_per_connection),
        source=settings.source_addresses,
    )
    router = Router(resolver, refused, static=settings.routes)
    return DeliveryAttempts(router, connections, sites or Sites(settings.site_limit))


def build(settings: DispatcherSettings, resources: Resources) -> Services:
    """A program of its own, which looks at the installation from where mail leaves."""
    sending = build_sending(settings, resources)
    return Services({**sending.by_name, "doctor": _watch(settings, resources)}, sending.checks)


def _watch(settings: DispatcherSettings, resources: Resources) -> InstallationWatch:
    plan = InspectionPlan(
        hostname=settings.hostname,
        database_url=settings.database_url.get_secret_value(),
        broker_urls=tuple(url.get_secret_value() for url in settings.broker_url),
        routes=route_facts(settings.routes),
        nameservers=settings.nameservers,
        blocklists=settings.blocklists,
        probe_domains=settings.probe_domains,
    )
    return InstallationWatch(ExaminationStore(resources.database), "dispatcher", plan)


def build_sending(settings: DispatcherSettings, resources: Resources) -> Services:
    """The dispatcher, what wakes it, and the watch over the clock of the database."""
    sites = Sites(settings.site_limit)
    dispatcher = Dispatcher(
        DeliveryStore(
            resources.database,
            resources.background,
            prepared=resources.prepared,
            lease=timedelta(seconds=settings.lease_seconds),
        ),
        delivery_attempts(settings, sites),
        ProcessIsolation(settings),
        settings.limits,
        sites,
        lease_seconds=settings.lease_seconds,
        traces=AttemptTraces(resources.traces) if resources.traces else None,
    )
    resources.broker.listen(Topic.DELIVERIES, dispatcher.wake)
    return Services(
        by_name={
            "dispatcher": dispatcher,
            "clock": ClockWatch(
                resources.database, lease=timedelta(seconds=settings.lease_seconds)
            ),
        },
        checks={"broker": broker_check(resources.broker)},
    )
