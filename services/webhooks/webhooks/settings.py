"""Settings of the webhooks service."""

from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import AfterValidator, Field

from posthouse.running.common_settings import Separated, WithSecretKey, WithWebhookUrls
from posthouse.running.program import ProgramSettings


def _no_other_exchange(name: str) -> str:
    if name.startswith("amq.") or name == "posthouse-hints":
        raise ValueError(f"{name!a} is an exchange of RabbitMQ itself, or of hints")
    return name


ExchangeName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_.:-]*$", max_length=127), AfterValidator(_no_other_exchange)
]


class Unrouted(StrEnum):
    """What happens to an event that no queue takes."""

    WAIT = "wait"
    DROP = "drop"


class WithWebhooks(WithWebhookUrls):
    """Settings for telling customers, in every form of deployment."""

    webhook_allowed_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], Separated] = ()
    """Networks, such as 10.1.0.0/16, with commas between them, whose addresses endpoints may have
    although they are not of the public internet. Customers choose URLs: do not name a network with
    anything that trusts this machine. Default: none, and no request goes to a private, loopback or
    link-local address."""

    webhook_timeout_seconds: Annotated[float, Field(ge=1, le=30)] = 10.0
    """How long a request to an endpoint may take, from its connection to the end of the answer."""

    webhook_pause_hours: Annotated[float, Field(gt=0, le=168)] = 24.0
    """An endpoint that has failed for so long, and at least 20 times in a row, is paused: nothing
    is sent to it until `posthouse webhook resume`, and its account hears of it at its alert
    address."""

    webhook_retention_days: Annotated[int | None, Field(ge=1, le=3650)] = None
    """How long what an endpoint did not take is kept, with the events in it, and what is known of
    requests to it. Default: as long as the history."""

    events_exchange: ExchangeName = ""
    """Topic exchange of RabbitMQ that events are published to, under their account's id and kind;
    it is made if there is none. Default: none, and nothing is published."""

    events_unrouted: Unrouted = Unrouted.WAIT
    """What happens to an event that no queue of that exchange takes. wait: it and all later ones
    wait until a queue is bound. drop: it is counted, and gone."""


class WebhooksSettings(ProgramSettings, WithSecretKey, WithWebhooks):
    """Settings of the webhooks service."""

    @property
    def facts_kept(self) -> timedelta:
        """How long the history has what it says of any event, opens and clicks included."""
        history = self.history_retention_days
        return timedelta(days=min(history, self.visit_retention_days or history))

    @property
    def kept(self) -> timedelta:
        """How long dead letters are kept, and what is known of requests."""
        return timedelta(days=self.webhook_retention_days or self.history_retention_days)
