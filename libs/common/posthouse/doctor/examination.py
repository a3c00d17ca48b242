"""All checks over all facts that could be gathered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from posthouse.doctor.check_result import CheckName, CheckResult, wrong
from posthouse.doctor.database_judges import (
    DatabaseFacts,
    SchemaFacts,
    judge_database,
    judge_schema,
)
from posthouse.doctor.host_judges import HostFacts, judge_hostname, judge_hosts
from posthouse.doctor.outward_judges import (
    PortFacts,
    RouteFacts,
    judge_port_25,
    judge_programs,
    judge_routes,
    judge_settings,
    judge_versions,
)
from posthouse.doctor.place_judges import (
    BrokerFacts,
    PlaceFacts,
    judge_broker,
    judge_passwords,
    judge_place,
)


@dataclass(frozen=True, slots=True)
class InstallationFacts:
    """What was gathered; None: nobody looked, and there is no result."""

    hostname: str
    differing: str = ""
    mistakes: tuple[str, ...] | None = None
    routes: tuple[RouteFacts, ...] | None = None
    passwords: tuple[tuple[str, str], ...] = ()  # setting and password
    place: PlaceFacts | None = None
    database: DatabaseFacts | None = None
    database_trouble: str = ""  # why it cannot be used
    schema: SchemaFacts | None = None
    programs: frozenset[str] | None = None
    versions: Mapping[str, Sequence[str]] = field(default_factory=dict)  # programs by version
    brokers: tuple[BrokerFacts, ...] = ()
    hosts: HostFacts | None = None
    port_25: PortFacts | None = None


def examine(facts: InstallationFacts) -> tuple[CheckResult, ...]:
    """Every result, in the order in which to mend: what is first may cause what follows."""
    return tuple(_results(facts))


def _results(facts: InstallationFacts) -> Iterator[CheckResult]:
    if facts.mistakes is not None:
        yield from judge_settings(facts.mistakes)
    yield from judge_hostname(facts.hostname, facts.differing)
    if facts.place is not None:
        yield from judge_place(facts.place)
    yield from judge_passwords(dict(facts.passwords))
    yield from _of_database(facts)
    yield from map(judge_broker, facts.brokers)
    if facts.programs is not None:
        yield judge_programs(facts.programs)
    if facts.versions:
        yield judge_versions(facts.versions)
    if facts.hosts is not None:
        yield from judge_hosts(facts.hosts)
    if facts.routes is not None:
        yield from judge_routes(facts.routes)
    if facts.port_25 is not None:
        yield judge_port_25(facts.port_25)


def _of_database(facts: InstallationFacts) -> Iterator[CheckResult]:
    if facts.database_trouble:
        mend = "start PostgreSQL, or correct POSTHOUSE_DATABASE_URL"
        yield wrong(CheckName.DATABASE, "connection", facts.database_trouble, mend)
    if facts.database is not None:
        yield from judge_database(facts.database)
    if facts.schema is not None:
        yield from judge_schema(facts.schema)
