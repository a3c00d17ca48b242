"""Settings of the bounces service."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from posthouse.mail.address import Address
from posthouse.running.common_settings import (
    EndpointSetting,
    Networks,
    Separated,
    WithReturnPathHost,
    WithSecretKey,
    WithTokens,
)
from posthouse.running.program import ProgramSettings
from posthouse.running.tcp import Endpoint


def _mailbox(given: str) -> str:
    return str(Address.parse(given))


MailAddress = Annotated[str, AfterValidator(_mailbox)]
"""One mailbox, without angle brackets."""


class WithBounces(WithReturnPathHost):
    """Settings for taking returned mail, in every form of deployment."""

    bounces_listen: EndpointSetting = Endpoint("127.0.0.1", 2526)
    """HOST:PORT that takes returned mail. The MX records of the return-path hosts lead here, so
    the world reaches it on port 25; port 0 takes any free one."""

    bounces_tls_certificate: Path | None = None
    """PEM file with certificate and chain. With it STARTTLS is offered on the bounce port."""

    bounces_tls_key: Path | None = None
    """PEM file with the certificate's key. Default: the certificate's own file has it."""

    bounces_connections: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Most connections for returned mail at one time. When there are as many, the one that has
    been silent for longest makes room, if it has been for 15 seconds; else the new one gets 421."""

    bounces_connections_per_client: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Most connections for returned mail at one time from one IPv4 address or one IPv6 network of
    64 bits; one more is answered 421."""

    bounces_messages_per_minute: Annotated[int, Field(ge=1)] = 1_000
    """Most returned messages a minute from one IPv4 address or one IPv6 network of 64 bits; one
    more is answered 451, and its sender tries again."""

    bounces_proxies: Networks = ()
    """Networks of load balancers, with commas between them, that pass on all connections to the
    bounce port, each with a header of the PROXY protocol. Nobody else can connect then. Default:
    clients connect themselves."""

    complaint_addresses: Annotated[tuple[MailAddress, ...], Separated] = ()
    """Addresses that are registered for feedback loops, with commas between them: mail to them is
    taken at the bounce port, as that to postmaster@ and abuse@ of each host that takes returned
    mail. A complaint counts if it names a message of ours, wherever it comes to."""

    dsn_per_hour: Annotated[int, Field(ge=1)] = 20
    """Most reports of undelivered mail (DSN) an hour to one sender. What fails beyond them is
    listed in one digest at the end of that hour."""

    dsn_gather_seconds: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """How long after the first failure of a message its sender is told, so that recipients that
    fail within this time share one report."""

    alerts_per_hour: Annotated[int, Field(ge=1)] = 20
    """Most messages an hour to the alert address of an account about one kind of alerts. What comes
    beyond them is told together at the end of that hour."""

    operator_address: MailAddress | None = None
    """Where mail to postmaster@ and abuse@ of the hosts that take returned mail is forwarded to, if
    it is no report. It must not lie at such a host. Default: such mail is kept, and `posthouse
    postmaster` shows it."""

    operator_mail_per_hour: Annotated[int, Field(ge=1)] = 20
    """Most messages an hour that are forwarded to the operator's address; the rest is kept."""

    hold_bounce_percent: Annotated[float, Field(ge=0, lt=100)] = 10.0
    """An account is held when more than this share of its recipients, in percent of those
    delivered or bounced, is bounced because the mailbox or its domain does not exist; 0: never."""

    hold_bounce_volume: Annotated[int, Field(ge=1)] = 1_000
    """Recipients delivered or bounced within the hours below which no share of bounces holds an
    account."""

    hold_bounce_hours: Annotated[int, Field(ge=1, le=720)] = 24
    """The hours, up to now, whose bounces count for a hold."""

    hold_complaint_percent: Annotated[float, Field(ge=0, lt=100)] = 0.3
    """An account is held when there are more complaints than this, in percent of the recipients
    delivered; 0: never."""

    hold_complaint_volume: Annotated[int, Field(ge=1)] = 3_000
    """Recipients delivered within the hours below which no share of complaints holds an account."""

    hold_complaint_hours: Annotated[int, Field(ge=1, le=720)] = 24
    """The hours, up to now, whose complaints count for a hold."""

    statistics_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """How many days the counts of `posthouse account statistics` are kept. No window of a hold
    is longer."""

    report_years: Annotated[int, Field(ge=1, le=100)] = 3
    """How many years the counts of reports are kept, with the subjects, tags and senders
    by which they are told apart."""

    report_sets_per_day: Annotated[int, Field(ge=4, le=100_000)] = 1_000
    """How many combinations of subject, tags and sender that are new an account may have a day.
    From half of them on, reports count new subjects of that day as "other", beyond them tags and
    senders too; streams, domains and users are always told apart."""

    @model_validator(mode="after")
    def _a_window_is_kept(self) -> Self:
        hours = max(self.hold_bounce_hours, self.hold_complaint_hours)
        if hours > 24 * self.statistics_days:
            raise ValueError(
                f"POSTHOUSE_STATISTICS_DAYS={self.statistics_days} is less than the {hours} hours "
                "that POSTHOUSE_HOLD_BOUNCE_HOURS or POSTHOUSE_HOLD_COMPLAINT_HOURS look back"
            )
        return self

    @model_validator(mode="after")
    def _a_key_has_a_certificate(self) -> Self:
        if self.bounces_tls_key is not None and self.bounces_tls_certificate is None:
            raise ValueError(
                "POSTHOUSE_BOUNCES_TLS_KEY is set without POSTHOUSE_BOUNCES_TLS_CERTIFICATE"
            )
        return self


class BouncesSettings(ProgramSettings, WithTokens, WithSecretKey, WithBounces):
    """Settings of the bounces service."""
