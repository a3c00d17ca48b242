"""What every service of the onebox was told; what the data folder provides need not be given."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from bounces.settings import BouncesSettings
from dispatcher.settings import DispatcherSettings
from ingest.settings import IngestSettings
from onebox.place import Place
from onebox.programs import OneboxSettings, known_names
from policy.settings import PolicySettings
from posthouse.mail.secret import KEY_OCTETS
from posthouse.running.common_settings import BrokerUrls
from posthouse.running.settings import PREFIX, Settings, SettingsError, load

S = TypeVar("S", bound=Settings)


class OtherBroker(Settings):
    """Whether the broker is RabbitMQ instead of this process."""

    broker_url: BrokerUrls | None = None
    """As WithBroker."""


@dataclass(frozen=True, slots=True)
class UpSettings:
    """The settings of each part."""

    place: Place
    workers: int
    broker_url: BrokerUrls | None  # None: the broker is in this process
    ingest: IngestSettings
    policy: PolicySettings
    dispatcher: DispatcherSettings
    bounces: BouncesSettings


def read_settings(environ: Mapping[str, str]) -> UpSettings:
    """Settings for every service out of one environment; SettingsError lists all mistakes.

    Before the first start, which makes a secret key, another one stands in for it.
    """
    mistakes: set[str] = set()

    def read(model: type[S], variables: Mapping[str, str]) -> S:
        try:
            return load(model, variables, also_known=known_names)
        except SettingsError as error:
            mistakes.update(error.mistakes)
            return model.model_construct()

    own = read(OneboxSettings, environ)
    place = Place.told(own)
    given = _completed(place, environ)
    found = UpSettings(
        place,
        own.workers,
        read(OtherBroker, environ).broker_url,
        read(IngestSettings, given),
        read(PolicySettings, given),
        read(DispatcherSettings, given),
        read(BouncesSettings, given),
    )
    if mistakes:
        raise SettingsError(sorted(mistakes))
    return found


def _completed(place: Place, environ: Mapping[str, str]) -> dict[str, str]:
    given = {name: value for name, value in environ.items() if value}

    def has(name: str) -> bool:
        return f"{PREFIX}{name}" in given or f"{PREFIX}{name}_FILE" in given

    def complete(name: str, value: object) -> None:
        if not has(name):
            given[f"{PREFIX}{name}"] = str(value)

    if place.secret_key_file.exists():
        if not has("SECRET_KEY"):
            given[f"{PREFIX}SECRET_KEY_FILE"] = str(place.secret_key_file)
    else:
        complete("SECRET_KEY", base64.b64encode(bytes(KEY_OCTETS)).decode())
    # Both are required of a service by itself. Here `up` hands each service the real ones.
    complete("DATABASE_URL", "postgresql://")
    complete("BROKER_URL", "amqp://")
    for service in ("INGEST", "BOUNCES"):
        if not has(f"{service}_TLS_CERTIFICATE"):
            complete(f"{service}_TLS_CERTIFICATE", place.certificate_file)
            complete(f"{service}_TLS_KEY", place.certificate_key_file)
    return given
