"""The only place of the dispatcher that names concrete things."""

from datetime import timedelta

from dispatcher.connections import Connections, Keeping
from dispatcher.core.routes import Ourselves
from dispatcher.courier import Courier
from dispatcher.mx_resolver import MxResolver
from dispatcher.router import Router
from dispatcher.service import Dispatcher
from dispatcher.settings import DispatcherSettings
from dispatcher.sites import Sites
from posthouse.broker import Topic
from posthouse.running.program import Backing, Wired, broker_check
from posthouse.store.clock import ClockWatch
from posthouse.store.deliveries import DeliveryStore


def wire(settings: DispatcherSettings, behind: Backing) -> Wired:
    """The dispatcher, what wakes it, and the watch over the clock of the database."""
    resolver = MxResolver(settings.nameservers)
    ourselves = Ourselves(frozenset({settings.hostname.lower()}))
    sites = Sites(settings.site_limit)
    connections = Connections(
        settings.hostname,
        resolver,
        ourselves,
        keeping=Keeping(messages_per_connection=settings.messages_per_connection),
    )
    courier = Courier(Router(resolver, ourselves, static=settings.routes), connections, sites)
    dispatcher = Dispatcher(
        DeliveryStore(
            behind.database,
            behind.background,
            prepared=behind.prepared,
            lease=timedelta(seconds=settings.lease_seconds),
        ),
        courier,
        settings.limits,
        sites,
        lease_seconds=settings.lease_seconds,
    )
    behind.broker.listen(Topic.DELIVERIES, dispatcher.wake)
    return Wired(
        services={
            "dispatcher": dispatcher,
            "clock": ClockWatch(behind.database, lease=timedelta(seconds=settings.lease_seconds)),
        },
        checks={"broker": broker_check(behind.broker)},
    )
