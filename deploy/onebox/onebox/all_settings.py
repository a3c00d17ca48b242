"""Which settings each program reads, and those of all services together, as `up` needs them."""

import base64
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, TypeVar

from pydantic import Field

from bounces.settings import BouncesSettings
from console.settings import ConsoleSettings
from dispatcher.settings import DispatcherSettings
from ingest.listeners import collisions
from ingest.settings import IngestSettings
from onebox.installation import Installation
from onebox.installation_settings import InstallationSettings
from policy.settings import PolicySettings
from posthouse.mail.secret import KEY_OCTETS
from posthouse.running import logs
from posthouse.running.common_settings import BrokerUrls
from posthouse.running.program import ProgramSettings
from posthouse.running.settings import PREFIX, Settings, SettingsError, load, names
from posthouse.running.traces import sample_of
from tracking.settings import TrackingSettings
from webhooks.settings import WebhooksSettings

S = TypeVar("S", bound=Settings)

_MOST_BY_DEFAULT = 4


def _cores() -> int:
    return min(len(os.sched_getaffinity(0)), _MOST_BY_DEFAULT)


class OneboxSettings(InstallationSettings):
    """Settings of `posthouse up` beside those of its services."""

    workers: Annotated[int, Field(ge=1, le=64)] = Field(default_factory=_cores)
    """Processes that do the work of `posthouse up`, each with every service. Default: one for each
    core, at most four."""


SERVICES: Mapping[str, type[ProgramSettings]] = {
    "ingest": IngestSettings,
    "policy": PolicySettings,
    "dispatcher": DispatcherSettings,
    "bounces": BouncesSettings,
    "tracking": TrackingSettings,
    "webhooks": WebhooksSettings,
    "console": ConsoleSettings,
}


@cache
def known_names() -> frozenset[str]:
    """Every variable that some program reads: in a shared environment none is a mistake."""
    models: list[type[Settings]] = [*SERVICES.values(), OneboxSettings]
    return frozenset().union(*(names(model) for model in models))


class OtherBroker(Settings):
    """Whether the broker is RabbitMQ instead of this process."""

    broker_url: BrokerUrls | None = None
    """As WithBroker."""


@dataclass(frozen=True, slots=True)
class UpSettings:
    """The settings of each part."""

    installation: Installation
    own: OneboxSettings
    broker_url: BrokerUrls | None  # None: the broker is in this process
    ingest: IngestSettings
    policy: PolicySettings
    dispatcher: DispatcherSettings
    bounces: BouncesSettings
    tracking: TrackingSettings
    webhooks: WebhooksSettings
    console: ConsoleSettings

    @property
    def workers(self) -> int:
        """Processes that do the work."""
        return self.own.workers


def configure_logs(settings: UpSettings) -> None:
    """Send the log lines of this process to standard error."""
    common = settings.ingest
    logs.configure(
        "posthouse",
        level=common.log_level,
        form=common.log_format,
        addresses=common.log_addresses,
        stream=sys.stderr,
        traced=sample_of(common),
    )


def read_settings(environ: Mapping[str, str]) -> UpSettings:
    """Settings for every service out of one environment; SettingsError lists all mistakes.

    Before the first start, which makes the secret key, a placeholder is used.
    """
    mistakes: set[str] = set()

    def read(model: type[S], variables: Mapping[str, str]) -> S:
        try:
            return load(model, variables, also_known=known_names)
        except SettingsError as error:
            mistakes.update(error.mistakes)
            return model.model_construct()

    own = read(OneboxSettings, environ)
    installation = Installation.from_settings(own)
    given = _completed(installation, environ)
    found = UpSettings(
        installation,
        own,
        read(OtherBroker, environ).broker_url,
        read(IngestSettings, given),
        read(PolicySettings, given),
        read(DispatcherSettings, given),
        read(BouncesSettings, given),
        read(TrackingSettings, given),
        read(WebhooksSettings, given),
        read(ConsoleSettings, given),
    )
    if not mistakes:
        mistakes.update(_contradictions(found))
    if mistakes:
        raise SettingsError(sorted(mistakes))
    return found


def _contradictions(settings: UpSettings) -> Iterator[str]:
    others = {
        "POSTHOUSE_BOUNCES_LISTEN": settings.bounces.bounces_listen,
        "POSTHOUSE_TRACKING_LISTEN": settings.tracking.tracking_listen,
        "POSTHOUSE_CONSOLE_LISTEN": settings.console.console_listen,
    }
    if settings.tracking.tracking_https_listen is not None:
        others["POSTHOUSE_TRACKING_HTTPS_LISTEN"] = settings.tracking.tracking_https_listen
    for found in collisions(settings.ingest.ingest_listeners, others):
        yield f"POSTHOUSE_INGEST_LISTENERS: {found}"
    if settings.webhooks.events_exchange and settings.broker_url is None:
        yield "POSTHOUSE_EVENTS_EXCHANGE: needs a RabbitMQ, which POSTHOUSE_BROKER_URL names"


def _completed(installation: Installation, environ: Mapping[str, str]) -> dict[str, str]:
    given = {name: value for name, value in environ.items() if value}

    def has(name: str) -> bool:
        return f"{PREFIX}{name}" in given or f"{PREFIX}{name}_FILE" in given

    def complete(name: str, value: object) -> None:
        if not has(name):
            given[f"{PREFIX}{name}"] = str(value)

    if installation.secret_key_file.exists():
        if not has("SECRET_KEY"):
            given[f"{PREFIX}SECRET_KEY_FILE"] = str(installation.secret_key_file)
    else:
        complete("SECRET_KEY", base64.b64encode(bytes(KEY_OCTETS)).decode())
    # Both are required of a service by itself. Here `up` hands each service the real ones.
    complete("DATABASE_URL", "postgresql://")
    complete("BROKER_URL", "amqp://")
    for service in ("INGEST", "BOUNCES"):
        if not has(f"{service}_TLS_CERTIFICATE"):
            complete(f"{service}_TLS_CERTIFICATE", installation.certificate_file)
            complete(f"{service}_TLS_KEY", installation.certificate_key_file)
    return given
