"""Builds the console service from its settings."""

import time
from collections.abc import Iterator

from starlette.applications import Starlette

from console.account_routes import AccountRoutes
from console.api import api
from console.call import ConsoleRoute
from console.console_door import ConsoleDoor
from console.doctor_routes import DoctorRoutes
from console.event_routes import EventRoutes
from console.key_callers import KeyCallers
from console.key_limits import KeyLimits
from console.message_routes import MessageRoutes
from console.queue_routes import QueueRoutes
from console.report_routes import ReportRoutes
from console.settings import ConsoleSettings
from console.suppression_routes import SuppressionRoutes
from console.webhook_requests import WebhookRequests
from console.webhook_routes import WebhookRoutes
from posthouse.authentication.authenticator import Authenticator
from posthouse.authentication.proofs import AuthKeys
from posthouse.mail.secret import Purpose, derive
from posthouse.running.bounded_http import ClientConnections
from posthouse.running.certificate import Certificate
from posthouse.running.certificate_expiry import CertificateUse
from posthouse.running.http_server import HttpServer
from posthouse.running.program import Resources, Services
from posthouse.store.accounts import AccountStore
from posthouse.store.event_pages import EventPages
from posthouse.store.examinations import ExaminationStore
from posthouse.store.message_reports import MessageReports
from posthouse.store.message_search import MessageSearch
from posthouse.store.postgres import Postgres
from posthouse.store.suppression_pages import SuppressionPages
from posthouse.store.suppressions import SuppressionStore
from posthouse.store.timeline import TimelineStore
from posthouse.store.traffic_reports import TrafficReports
from posthouse.store.waiting_mail import WaitingMail
from posthouse.store.webhook_endpoints import WebhookStore

_DIRECTORY_SECONDS = 5.0
_CONNECTIONS_OF_A_CLIENT = 200  # an address, or 64 bits of one of IPv6


def build(settings: ConsoleSettings, resources: Resources) -> Services:
    """The server that customers' programs call. Raises CannotListen."""
    certificate = Certificate.told(
        settings.console_tls_certificate, settings.console_tls_key, CertificateUse.CONSOLE
    )
    server = HttpServer(
        "console",
        application(settings, resources),
        settings.console_listen,
        tls=certificate.https if certificate else None,
        connections=ClientConnections(_CONNECTIONS_OF_A_CLIENT, exempt=settings.console_proxies),
    )
    return Services(
        by_name={
            "console": server,
            **({"console-certificate": certificate} if certificate else {}),
        },
        checks={"console": server.check},
    )


def application(settings: ConsoleSettings, resources: Resources) -> Starlette:
    """What the server serves."""
    return api(_door(settings, resources.database), routes(settings, resources))


def routes(settings: ConsoleSettings, resources: Resources) -> Iterator[ConsoleRoute]:
    """All that can be asked."""
    database = resources.database
    search, reports = MessageSearch(database), MessageReports(database)
    yield from MessageRoutes(search, reports, TimelineStore(database)).routes()
    yield from ReportRoutes(TrafficReports(database), search, reports).routes()
    yield from SuppressionRoutes(SuppressionStore(database), SuppressionPages(database)).routes()
    yield from QueueRoutes(WaitingMail(database), search).routes()
    yield from EventRoutes(EventPages(database)).routes()
    yield from _webhooks(settings, database)
    yield from DoctorRoutes(ExaminationStore(database)).routes()
    yield from AccountRoutes(
        database, settings.console_smtp_ports, settings.console_smtp_host
    ).routes()


def _webhooks(settings: ConsoleSettings, database: Postgres) -> Iterator[ConsoleRoute]:
    store = WebhookStore(database)
    key = derive(settings.secret_key.get_secret_value(), Purpose.WEBHOOK_SECRETS)
    yield from WebhookRoutes(store, key, allow_http=settings.webhook_allow_http).routes()
    yield from WebhookRequests(store).routes()


def _door(settings: ConsoleSettings, database: Postgres) -> ConsoleDoor:
    accounts = AccountStore(database)
    authenticator = Authenticator(
        accounts,
        AuthKeys.derived(settings.secret_key.get_secret_value()),
        time.monotonic,
        _DIRECTORY_SECONDS,
    )
    limits = KeyLimits(
        time.monotonic,
        at_once=settings.console_requests_at_once,
        a_minute=settings.console_requests_a_minute,
    )
    callers = KeyCallers(authenticator, accounts, time.monotonic)
    return ConsoleDoor(callers, limits, settings.console_proxies)
