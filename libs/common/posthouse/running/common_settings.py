"""The settings that several services have in common, as parts to inherit from."""

import base64
import binascii
import socket
from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretBytes,
    SecretStr,
)

from posthouse.running.settings import Settings
from posthouse.running.tcp import Endpoint
from posthouse.tracking.token import KEY_NUMBERS

_SHORTEST_KEY = 32
# An empty variable counts as not set, so that no items are written as a word.
_NOBODY = ("none",)


class LogLevel(StrEnum):
    """The least important log line that is still written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"  # console on a terminal, JSON otherwise
    JSON = "json"
    CONSOLE = "console"


class LogAddresses(StrEnum):
    """How much of mail addresses and user names log lines show."""

    FULL = "full"
    DOMAIN = "domain"  # "***@example.com"
    NONE = "none"  # "***"


def _endpoint(given: object) -> object:
    return Endpoint.parse(given) if isinstance(given, str) else given


def _separated(given: object) -> object:
    """Split "a, b,c" into its items."""
    if not isinstance(given, str):
        return given
    return tuple(item for item in (part.strip() for part in given.split(",")) if item)


def _networks(given: object) -> object:
    if not isinstance(given, str):
        return given
    return tuple(str(ip_network(part)) for part in given.replace(",", " ").split())


def _key(given: object) -> object:
    """Decode a base64 key; never quotes it in a complaint."""
    if not isinstance(given, str):
        return given
    try:
        key = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("should be base64, as `openssl rand -base64 32` prints it") from None
    if len(key) < _SHORTEST_KEY:
        raise ValueError(f"is {len(key)} bytes long, should be at least {_SHORTEST_KEY}")
    return key


def _amqp(urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not all(url.get_secret_value().startswith(("amqp://", "amqps://")) for url in urls):
        raise ValueError("should begin with amqp:// or amqps://")
    return urls


def _postgresql(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("should begin with postgresql://")
    return url


EndpointSetting = Annotated[Endpoint, BeforeValidator(_endpoint), PlainSerializer(str)]
"""HOST:PORT."""

Separated = BeforeValidator(_separated)
"""For `Annotated[tuple[X, ...], Separated]`: items with commas between them."""

HostText = Annotated[str, Field(pattern=r"^[a-z0-9_.-]+$", max_length=200)]
"""The name of a host or zone, in lower case."""

Networks = Annotated[tuple[str, ...], BeforeValidator(_networks)]
"""Networks such as 10.0.0.0/8, with commas between them."""

Hosts = Annotated[tuple[HostText, ...], Separated]
"""Several of them."""

BrokerUrls = Annotated[tuple[SecretStr, ...], Field(min_length=1), Separated, AfterValidator(_amqp)]
"""The nodes of one RabbitMQ."""

DatabaseUrl = Annotated[SecretStr, AfterValidator(_postgresql)]
"""PostgreSQL as a URL."""

SecretKey = Annotated[SecretBytes, BeforeValidator(_key)]
"""At least 32 bytes, written in base64."""


KeyNumber = Annotated[int, Field(ge=0, lt=KEY_NUMBERS)]
"""Of a key of tokens."""


class Common(Settings):
    """Settings of every service."""

    hostname: str = Field(default_factory=socket.gethostname, min_length=1, max_length=255)
    """Name this relay gives itself: in greetings, EHLO and Received fields. It should resolve
    back to this host. Default: the machine's own name."""

    log_level: LogLevel = LogLevel.INFO
    """Least important log line that is written: debug, info, warning or error."""

    log_format: LogFormat = LogFormat.AUTO
    """json, console, or auto: console on a terminal and JSON otherwise."""

    log_addresses: LogAddresses = LogAddresses.FULL
    """How log lines show mail addresses: full, domain (***@example.com) or none (***, user
    names too)."""

    health_listen: EndpointSetting = Endpoint("127.0.0.1", 9180)
    """HOST:PORT for /healthz/live, /healthz/ready and /metrics; port 0 takes any free one."""

    grace_seconds: Annotated[float, Field(ge=0, le=3600)] = 20.0
    """How long work in flight may take to finish after SIGTERM before it is released."""


class WithDatabase(Settings):
    """For a service that uses the store."""

    database_url: DatabaseUrl
    """PostgreSQL to use, as postgresql://user:password@host:5432/name; with standbys all hosts."""

    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 8
    """Most connections to the database at one time, per process."""


class WithBroker(Settings):
    """For a service that is woken through RabbitMQ."""

    broker_url: BrokerUrls
    """RabbitMQ to use, as amqp://user:password@host:5672/vhost; of a cluster each node, with commas
    between them: they are tried in turn. In a password a comma is written %2C."""


class WithSecretKey(Settings):
    """For a service that signs, or opens sealed keys."""

    secret_key: SecretKey
    """At least 32 random bytes in base64. Every other key is derived from it: losing it makes
    DKIM keys, credentials and return paths unusable."""


class WithWebhookUrls(Settings):
    """For a program that lets accounts choose URLs, or calls them."""

    webhook_allow_http: bool = False
    """Whether endpoints may be called without TLS, as http://. What they are told can then be read
    and changed on its way."""


class WithTokens(Settings):
    """For a service that makes or reads the tokens of tracked links."""

    token_keys: Annotated[tuple[KeyNumber, ...], Field(min_length=1), Separated] = (0,)
    """Numbers, from 0 to 15, of the keys of tracked links, pixels and links to unsubscribe, with
    commas between them. The first one signs, and tokens under any of them are understood; each key
    is derived from POSTHOUSE_SECRET_KEY. To change keys, give 0,1 to all processes, then 1,0; leave
    out 0 when no mail that has it is to work any more."""


class WithRelayDkimDomain(Settings):
    """For a service that signs as the relay, or lets nobody else be it."""

    relay_dkim_domain: Annotated[str | None, Field(pattern=r"^[a-z0-9.-]+$")] = None
    """Domain that signs for sending domains without DKIM keys. Default: such mail is not signed.
    Ingest has to know it, too: no account may send as this domain unless it has verified it."""


class WithReturnPathHost(Settings):
    """For a service that makes return paths, or takes what comes back to them."""

    return_path_host: Annotated[str | None, Field(pattern=r"^[a-z0-9.-]+$", max_length=200)] = None
    """Host that returned mail of domains without a return-path host of their own comes back to.
    Its MX record leads to the bounces service. Default: the host name of this relay."""


class WithTrackingUrl(Settings):
    """For a service that makes tracked links."""

    tracking_url: Annotated[str, Field(pattern=r"^(https?://[a-z0-9.-]+(:[0-9]{1,5})?)?$")] = ""
    """Where tracked links and pixels lead, as https://t.relay.example: the tracking service answers
    there. Links in mail that was sent lead there for good. Tracking hosts of sending domains are
    CNAME records that lead to this host. Empty: only mail of domains with a host that is in use is
    tracked; other messages that ask for it say in their timeline that they are not."""

    @property
    def tracking_host(self) -> str | None:
        """The host of *tracking_url*; None without one."""
        return self.tracking_url.partition("://")[2].partition(":")[0] or None


class WithNameservers(Settings):
    """For a program that asks DNS."""

    nameservers: Annotated[tuple[str, ...], Separated] = ()
    """DNS servers to ask, as addresses; none: the system's own."""


class WithDoctor(WithNameservers):
    """For a program that looks at the whole installation."""

    doctor_blocklists: Annotated[tuple[HostText, ...], Separated] = (
        "zen.spamhaus.org",
        "bl.spamcop.net",
    )
    """Zones of blocklists (DNSBL), with commas between them, that are asked about the addresses
    mail leaves from; "none" asks nobody."""

    doctor_probe_domains: Annotated[tuple[HostText, ...], Separated] = ("gmail.com", "outlook.com")
    """Domains, with commas between them, whose mail exchangers are connected to, to see whether
    port 25 is open outwards: they are sent QUIT and nothing else. "none" connects to nobody."""

    @property
    def blocklists(self) -> tuple[str, ...]:
        """The zones to ask."""
        return () if self.doctor_blocklists == _NOBODY else self.doctor_blocklists

    @property
    def probe_domains(self) -> tuple[str, ...]:
        """The domains to connect to."""
        return () if self.doctor_probe_domains == _NOBODY else self.doctor_probe_domains
