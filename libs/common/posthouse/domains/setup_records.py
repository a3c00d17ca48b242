"""The records that let a domain send through this relay (RULES C19, E03, T26)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from posthouse.domains.spf_record import VERSION, merge_spf
from posthouse.mail.dkim_key import strings, zone_text
from posthouse.profiles.choices import Onboarding
from posthouse.tracking.host_state import HostState

GOOGLE_SPF = "include:_spf.google.com"
DMARC_ADVICE = "v=DMARC1; p=none"
_TTL = 3600  # seconds
_NEGATIVE_TTL = 300
_WITH_HOST = frozenset({"CNAME", "NS", "MX"})


class NoNameservers(ValueError):
    """A domain is delegated to our name servers, and nobody said what they are called."""


class RecordPurpose(StrEnum):
    """What a record is for."""

    RELAY = "relay"
    DELEGATION = "delegation"
    SPF = "spf"
    DKIM = "dkim"
    RETURN_PATH = "return path"
    TRACKING = "tracking"
    DMARC = "dmarc"


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish; *value* as a person enters it in a form."""

    purpose: RecordPurpose
    name: str
    type: str
    value: str
    why: str

    @property
    def zone_line(self) -> str:
        """The record for a zone file: long texts in strings of at most 255 octets."""
        value = zone_text(self.value) if self.type == "TXT" else self.value
        return f"{self.name}. IN {self.type} {value}"

    @property
    def form_lines(self) -> tuple[str, ...]:
        """The record for a web form: one field a line, hosts without the last dot."""
        preference, _, host = self.value.rpartition(" ") if self.type == "MX" else ("", "", "")
        value = host or self.value
        fields = [
            f"type   {self.type}",
            f"name   {self.name}",
            *([f"prio   {preference}"] if preference else []),
            f"value  {value.removesuffix('.') if self.type in _WITH_HOST else value}",
        ]
        if self.type == "TXT" and len(pieces := strings(self.value)) > 1:
            fields.append("or, where a form takes 255 characters only, in one record as:")
            fields.append(" ".join(f'"{piece}"' for piece in pieces))
        return tuple(fields)


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A DKIM key as DNS shows it."""

    selector: str
    algorithm: str
    text: str  # of its TXT record
    state: str


@dataclass(frozen=True, slots=True)
class RelayHosts:
    """The names of ours that records contain, each in lower case."""

    sending: str
    receiving: str
    return_path_host: str
    spf_include: str | None = None  # a name whose SPF record permits our hosts
    nameservers: tuple[str, ...] = ()  # what domains are delegated to
    tracking_host: str | None = None  # what tracking hosts of domains lead to

    @property
    def delegated_to(self) -> tuple[str, ...]:
        """Our name servers; raises NoNameservers."""
        if not self.nameservers:
            raise NoNameservers(
                "the domain is delegated: POSTHOUSE_ZONE_NAMESERVERS has to name your name servers"
            )
        return self.nameservers

    @property
    def permission(self) -> str:
        """The SPF mechanism that permits our hosts."""
        return f"include:{self.spf_include}" if self.spf_include else f"a:{self.sending}"


@dataclass(frozen=True, slots=True)
class DomainSetup:
    """A sending domain, as far as DNS shows it."""

    name: str
    onboarding: Onboarding
    keys: tuple[PublishedKey, ...]
    slots: tuple[str, ...]  # selectors that have CNAME records, with or without a key now
    key_zone: str | None  # of ours, that those lead to
    return_path_host: str | None
    relay: RelayHosts
    tracking: HostState | None = None

    def key_name(self, selector: str) -> str:
        """Where receivers look for a key."""
        return f"{selector}._domainkey.{self.name}"

    def key_target(self, selector: str) -> str:
        """Where the TXT record of a key lies."""
        if self.key_zone is None:
            return self.key_name(selector)
        return f"{selector}.{self.name}.{self.key_zone}"


def records_for(
    setup: DomainSetup, published_spf: Sequence[str] = (), *permissions: str
) -> tuple[Record, ...]:
    """The records that the owner of the domain publishes.

    *published_spf* is what the domain has now, *permissions* are mechanisms that its one SPF record
    contains beside ours. Raises UnusableSpf and NoNameservers.
    """
    if setup.onboarding is Onboarding.DELEGATION:
        return tuple(_delegation(setup))
    return (
        *_spf(setup, published_spf, permissions),
        *_keys(setup),
        *_return_path(setup),
        *tracking_records(setup),
        _dmarc(setup),
    )


def own_records(setup: DomainSetup) -> tuple[Record, ...]:
    """The records in zones of ours: DKIM keys that CNAME records of the domain lead to."""
    if setup.key_zone is None or setup.onboarding is Onboarding.DELEGATION:
        return ()
    return tuple(key_record(setup, key) for key in setup.keys)


def zone_file(setup: DomainSetup, serial: int, *permissions: str) -> str:
    """The whole zone of a domain that is delegated to our name servers (RFC 1035 section 5).

    Raises NoNameservers.
    """
    first, person = setup.relay.delegated_to[0], f"postmaster.{setup.relay.receiving}."
    records = (
        *_delegation(setup),
        *_spf(setup, (), permissions),
        *(key_record(setup, key) for key in setup.keys),
        *_return_path(setup),
        *tracking_records(setup),
    )
    return "\n".join(
        (
            f"$ORIGIN {setup.name}.",
            f"$TTL {_TTL}",
            f"@ IN SOA {first}. {person} {serial} 3600 600 1209600 {_NEGATIVE_TTL}",
            *(record.zone_line for record in records),
        )
    )


def key_record(setup: DomainSetup, key: PublishedKey) -> Record:
    """The TXT record of a DKIM key, in whatever zone."""
    why = {
        "published": "DKIM key that does not sign yet",
        "active": "DKIM key",
        "retired": "DKIM key that signs no more: leave it until `posthouse domain keys list` no "
        "longer shows it",
    }[key.state]
    delegated = setup.onboarding is Onboarding.DELEGATION
    at = setup.key_name(key.selector) if delegated else setup.key_target(key.selector)
    return Record(RecordPurpose.DKIM, at, "TXT", key.text, why)


def _delegation(setup: DomainSetup) -> Iterator[Record]:
    for host in setup.relay.delegated_to:
        why = "delegates the domain to the name servers of the relay"
        yield Record(RecordPurpose.DELEGATION, setup.name, "NS", f"{host}.", why)


def _spf(
    setup: DomainSetup, published: Sequence[str], permissions: Sequence[str]
) -> Iterator[Record]:
    text = merge_spf(published, *permissions, setup.relay.permission)
    why = "SPF: the only such record of this name; replace, do not add"
    yield Record(RecordPurpose.SPF, setup.name, "TXT", text, why)


def _keys(setup: DomainSetup) -> Iterator[Record]:
    if setup.key_zone is None:
        for key in setup.keys:
            yield key_record(setup, key)
        return
    for selector in setup.slots:
        why = "DKIM: leads to a key of the relay, which changes without a change here"
        target = f"{setup.key_target(selector)}."
        yield Record(RecordPurpose.DKIM, setup.key_name(selector), "CNAME", target, why)


def _return_path(setup: DomainSetup) -> Iterator[Record]:
    host, relay = setup.return_path_host, setup.relay
    if host is None:
        return
    why = "returned mail comes to this relay"
    yield Record(RecordPurpose.RETURN_PATH, host, "MX", f"10 {relay.receiving}.", why)
    if host != setup.name:  # else the one SPF record is that of the domain
        text = f"{VERSION} {relay.permission} -all"
        yield Record(RecordPurpose.RETURN_PATH, host, "TXT", text, "SPF of the envelope sender")


def tracking_records(setup: DomainSetup) -> Iterator[Record]:
    """That of the tracking host, where there is one and something that it could lead to."""
    if setup.tracking is not None and setup.relay.tracking_host is not None:
        why = "links in mail of the domain lead to this relay"
        target = f"{setup.relay.tracking_host}."
        yield Record(RecordPurpose.TRACKING, setup.tracking.host, "CNAME", target, why)


def _dmarc(setup: DomainSetup) -> Record:
    why = "DMARC, if the domain has none: advice, with rua=mailto:ADDRESS for reports"
    return Record(RecordPurpose.DMARC, f"_dmarc.{setup.name}", "TXT", DMARC_ADVICE, why)
