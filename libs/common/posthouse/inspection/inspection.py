"""Gathers all facts about an installation, each within its own time, whatever else fails."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from posthouse.dns.resolver import DnsClient, UntilDeadline
from posthouse.doctor.examination import InstallationFacts
from posthouse.doctor.host_judges import HostFacts
from posthouse.doctor.key_judges import ActiveKey
from posthouse.doctor.outward_judges import PortFacts, RouteFacts
from posthouse.doctor.place_judges import BrokerFacts, PlaceFacts
from posthouse.domains.setup_records import RelayHosts
from posthouse.inspection.database_facts import DatabaseInspection, inspect_database
from posthouse.inspection.host_facts import HostInspection
from posthouse.inspection.network_facts import greetings, port_25_facts
from posthouse.inspection.place_facts import certificate_facts, file_facts, place_facts
from posthouse.running.tcp import Endpoint
from posthouse.store.failure import StoreUnavailable
from posthouse.store.relay_names import RelayNames

_QUESTION_SECONDS = 5.0
_ALL_QUESTIONS_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class SecretPath:
    """A file or folder that others must not read, or write."""

    path: Path
    needed: bool = True
    folder: bool = False


@dataclass(frozen=True, slots=True)
class InspectionPlan:
    """What to look at; what is not given is left out."""

    hostname: str
    mistakes: tuple[str, ...] | None = None  # in the settings
    database_url: str | None = None
    secret_key: bytes | None = None
    broker_urls: tuple[str, ...] = ()
    routes: tuple[RouteFacts, ...] | None = None
    secrets: tuple[SecretPath, ...] = ()
    certificates: tuple[tuple[Path, Path], ...] = ()  # files of chain and key
    disks: tuple[Path, ...] = ()
    asks_world: bool = True  # DNS, blocklists, port 25
    nameservers: tuple[str, ...] = ()
    blocklists: tuple[str, ...] = ()
    probe_domains: tuple[str, ...] = ()
    spf_include: str | None = None

    @property
    def smarthost(self) -> Endpoint | None:
        """Where all mail goes, if it does."""
        found = (Endpoint(r.host, r.port) for r in self.routes or () if not r.domain)
        return next(found, None)


async def gather_facts(plan: InspectionPlan) -> InstallationFacts:
    """The facts; at most half a minute or so. What is away is a fact too: nothing is raised."""
    database, trouble = await _database(plan)
    names = database.names if database else None
    brokers, place, (hosts, port) = await asyncio.gather(
        _brokers(plan.broker_urls),
        asyncio.to_thread(_place, plan, names.submission if names else plan.hostname),
        _world(plan, names, database.keys if database else ()),
    )
    return InstallationFacts(
        hostname=names.sending if names else plan.hostname,
        differing=names.differing if names else "",
        mistakes=plan.mistakes,
        routes=plan.routes,
        passwords=_passwords(plan),
        place=place,
        database=database.server if database else None,
        database_trouble=trouble,
        schema=database.schema if database else None,
        programs=frozenset(name.program for name in names.names) if names else None,
        versions=database.versions if database else {},
        brokers=brokers,
        hosts=hosts,
        port_25=port,
    )


async def _database(plan: InspectionPlan) -> tuple[DatabaseInspection | None, str]:
    if plan.database_url is None:
        return None, ""
    try:
        return await inspect_database(plan.database_url, plan.secret_key), ""
    except StoreUnavailable as error:
        return None, str(error)


async def _brokers(urls: Sequence[str]) -> tuple[BrokerFacts, ...]:
    if not urls:
        return ()
    from posthouse.inspection.rabbitmq_facts import broker_facts  # noqa: PLC0415 -- as in `program`

    return tuple(await asyncio.gather(*map(broker_facts, urls)))


def _place(plan: InspectionPlan, hostname: str) -> PlaceFacts:
    return place_facts(
        secrets=[file_facts(s.path, needed=s.needed, folder=s.folder) for s in plan.secrets],
        certificates=[certificate_facts(c, k, hostname) for c, k in plan.certificates],
        disks=plan.disks,
    )


async def _world(
    plan: InspectionPlan, names: RelayNames | None, keys: Sequence[ActiveKey]
) -> tuple[HostFacts | None, PortFacts | None]:
    if not plan.asks_world:
        return None, None
    client = DnsClient(plan.nameservers, timeout=_QUESTION_SECONDS)
    dns = UntilDeadline(client, asyncio.get_running_loop().time() + _ALL_QUESTIONS_SECONDS)
    relay = RelayHosts(
        sending=(names.sending if names else plan.hostname).lower(),
        receiving=(names.receiving if names else plan.hostname).lower(),
        return_path_host=(names.return_path_host if names else plan.hostname).lower(),
        spf_include=plan.spf_include,
    )
    inspection = HostInspection(dns, plan.blocklists, plan.nameservers)
    by_smarthost = plan.smarthost is not None
    hosts, port = await asyncio.gather(
        inspection.facts(relay, keys, sends_by_smarthost=by_smarthost), _port_25(plan, dns)
    )
    return hosts, port


async def _port_25(plan: InspectionPlan, dns: UntilDeadline) -> PortFacts | None:
    if plan.smarthost is not None:
        return await greetings([plan.smarthost], smarthost=True)
    return await port_25_facts(dns, plan.probe_domains) if plan.probe_domains else None


def _passwords(plan: InspectionPlan) -> tuple[tuple[str, str], ...]:
    """Of servers over a network: a socket of this machine is guarded by its folder."""
    urls: Sequence[tuple[str, str]] = [
        *([("POSTHOUSE_DATABASE_URL", plan.database_url)] if plan.database_url else ()),
        *(("POSTHOUSE_BROKER_URL", url) for url in plan.broker_urls),
    ]
    return tuple(
        (setting, unquote(urlsplit(url).password or ""))
        for setting, url in urls
        if not _by_socket(url)
    )


def _by_socket(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]
    return not host or host.startswith("/")
