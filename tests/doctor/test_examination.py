"""Each planted fault is found, by the check that it belongs to, and nothing else is."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from doctor.healthy import (
    ADDRESS,
    CERTIFICATE,
    DATABASE,
    DISK,
    EGRESS,
    HEALTHY,
    HOSTS,
    KEY,
    KEY_FILE,
    NAME,
    NOW,
    PLACE,
    RETURN_PATH,
    SCHEMA,
    spf,
)
from posthouse.doctor.check_result import WHY, CheckName, CheckResult, worst
from posthouse.doctor.examination import InstallationFacts, examine
from posthouse.doctor.outward_judges import PortFacts, RouteFacts
from posthouse.doctor.place_judges import BrokerFacts, FileFacts
from posthouse.domains.findings import FindingState
from posthouse.mail.dns_answer import Found, LookupFailed, NoRecords, NoSuchName


def database(**changes: Any) -> InstallationFacts:
    return replace(HEALTHY, database=replace(DATABASE, **changes))


def schema(**changes: Any) -> InstallationFacts:
    return replace(HEALTHY, schema=replace(SCHEMA, **changes))


def place(**changes: Any) -> InstallationFacts:
    return replace(HEALTHY, place=replace(PLACE, **changes))


def certificate(**changes: Any) -> InstallationFacts:
    return place(certificates=(replace(CERTIFICATE, **changes),))


def hosts(**changes: Any) -> InstallationFacts:
    return replace(HEALTHY, hosts=replace(HOSTS, **changes))


def address(**changes: Any) -> InstallationFacts:
    return hosts(egress=(replace(EGRESS, **changes),))


def returned(**changes: Any) -> InstallationFacts:
    return hosts(return_path=replace(RETURN_PATH, **changes))


def route(host: str, port: int, domain: str = "") -> InstallationFacts:
    return replace(HEALTHY, routes=(RouteFacts(host, port, domain),))


def not_found(results: Sequence[CheckResult]) -> list[tuple[CheckName, FindingState]]:
    return [(r.check, r.state) for r in results if r.state is not FindingState.RIGHT]


def broken(name: str, facts: InstallationFacts, check: CheckName, seen: str) -> ParameterSet:
    return pytest.param(facts, check, seen, id=name)


DAY = timedelta(days=1)
BLOCKED = PortFacts({}, {"mx.dest.example:25": "no answer within 10 seconds"})
WRONG = [
    broken(
        "an unknown setting",
        replace(HEALTHY, mistakes=("POSTHOUSE_ROUTE: is not a setting",)),
        CheckName.SETTINGS,
        "is not a setting",
    ),
    broken(
        "the name of a machine", replace(HEALTHY, hostname="vm"), CheckName.HOSTNAME, "'vm' is no"
    ),
    broken(
        "a name of a document",
        replace(HEALTHY, hostname="relay.posthouse.example"),
        CheckName.HOSTNAME,
        "no name for the world",
    ),
    broken(
        "two names",
        replace(HEALTHY, differing="a.example.com (ingest); b.example.com (policy)"),
        CheckName.HOSTNAME,
        "they differ",
    ),
    broken(
        "nobody takes returned mail",
        replace(HEALTHY, programs=frozenset({"ingest", "policy", "dispatcher"})),
        CheckName.PROGRAMS,
        "bounces",
    ),
    broken("our own sink", route("sink", 2600), CheckName.ROUTES, "all mail goes to sink:2600"),
    broken("mailpit", route("127.0.0.1", 1025), CheckName.ROUTES, "a sink for tests"),
    broken(
        "a sink for one domain",
        route("mailhog.lan", 25, "gmail.com"),
        CheckName.ROUTES,
        "mail to gmail.com",
    ),
    broken(
        "a default password",
        replace(HEALTHY, passwords=(("POSTHOUSE_DATABASE_URL", "change-me"),)),
        CheckName.PASSWORD,
        "default one",
    ),
    broken(
        "no password",
        replace(HEALTHY, passwords=(("POSTHOUSE_BROKER_URL", ""),)),
        CheckName.PASSWORD,
        "no password",
    ),
    broken(
        "a lost key",
        place(files=(FileFacts("secret.key", None, trouble="No such file or directory"),)),
        CheckName.SECRET_KEY,
        "No such file",
    ),
    broken("another key", schema(key_matches=False), CheckName.SECRET_KEY, "not the one"),
    broken(
        "a key for everybody",
        place(files=(replace(KEY_FILE, mode=0o644),)),
        CheckName.FILE_MODE,
        "mode 0644",
    ),
    broken(
        "a folder for everybody",
        place(files=(FileFacts("data", 0o777, folder=True),)),
        CheckName.FILE_MODE,
        "others may write",
    ),
    broken(
        "an old certificate", certificate(not_after=NOW - DAY), CheckName.CERTIFICATE, "2026-11-29"
    ),
    broken(
        "a certificate that ends this week",
        certificate(not_after=NOW + 6 * DAY),
        CheckName.CERTIFICATE,
        "2026-12-06",
    ),
    broken(
        "a certificate of tomorrow",
        certificate(not_before=NOW + DAY),
        CheckName.CERTIFICATE,
        "from 2026-12-01 on",
    ),
    broken(
        "a certificate of another host",
        certificate(names=("mail.example.com", "*.relay.example.com")),
        CheckName.CERTIFICATE,
        f"clients ask for {NAME}",
    ),
    broken(
        "a key of another certificate",
        certificate(trouble="KEY_VALUES_MISMATCH"),
        CheckName.CERTIFICATE,
        "MISMATCH",
    ),
    broken("a full disk", place(disks=(replace(DISK, free=100 << 20),)), CheckName.DISK, "0.1 of"),
    broken("no inodes", place(disks=(replace(DISK, free_inodes=1),)), CheckName.DISK, "1 of 1000"),
    broken("few files", place(open_files=1024), CheckName.OPEN_FILES, "1024"),
    broken(
        "no database",
        replace(HEALTHY, database=None, schema=None, database_trouble="cannot connect"),
        CheckName.DATABASE,
        "cannot connect",
    ),
    broken("an old PostgreSQL", database(version=14), CheckName.DATABASE, "PostgreSQL 14"),
    broken("a standby", database(read_only=True), CheckName.DATABASE, "takes no writes"),
    *(
        broken(
            f"{name} off", database(durable={name: "off"}), CheckName.DURABILITY, f"{name} is off"
        )
        for name in DATABASE.durable
    ),
    *(
        broken(f"{name} off", database(vacuuming={name: "off"}), CheckName.VACUUM, f"{name} is off")
        for name in DATABASE.vacuuming
    ),
    broken(
        "near wraparound",
        database(transaction_ages=1_900_000_000),
        CheckName.VACUUM,
        "1,900,000,000",
    ),
    broken("no connection left", database(connected=195), CheckName.CONNECTIONS, "195 of 197"),
    broken(
        "a forgotten transaction",
        database(oldest_transaction_seconds=7200.0),
        CheckName.OLD_TRANSACTION,
        "120 minutes",
    ),
    broken(
        "a prepared transaction", database(prepared_transactions=1), CheckName.OLD_TRANSACTION, "1"
    ),
    broken("a lost standby", database(wal_kept=20 << 30), CheckName.WAL_KEPT, "20,480 MiB"),
    broken(
        "a clock of its own",
        database(clock_ahead_seconds=-90.0),
        CheckName.DATABASE_CLOCK,
        "90.0 seconds behind",
    ),
    broken("no schema", schema(version=None), CheckName.SCHEMA, "no schema"),
    broken("an old schema", schema(version=24), CheckName.SCHEMA, "schema 24"),
    broken("a changed schema", schema(changed=("0007 x",)), CheckName.SCHEMA, "0007 x"),
    broken("a backup", schema(restored=True), CheckName.RESTORED, "restored from a backup"),
    broken(
        "mail of a backup", schema(waiting_since_restore=3), CheckName.RESTORED, "3 messages wait"
    ),
    broken(
        "a point in time",
        schema(known_timeline=1, timeline=2),
        CheckName.RESTORED,
        "timeline 2, and was on 1",
    ),
    broken(
        "no broker",
        replace(HEALTHY, brokers=(BrokerFacts("mq:5672", trouble="refused"),)),
        CheckName.BROKER,
        "refused",
    ),
    broken(
        "an old broker",
        replace(HEALTHY, brokers=(BrokerFacts("mq:5672", "3.8.9"),)),
        CheckName.BROKER,
        "3.8.9",
    ),
    broken(
        "DNS is silent", hosts(made_up=LookupFailed("A: timeout")), CheckName.RESOLVER, "timeout"
    ),
    broken(
        "DNS makes answers up", hosts(made_up=Found(("203.0.113.9",))), CheckName.RESOLVER, "203."
    ),
    broken(
        "a host that nobody knows",
        hosts(addresses=NoSuchName(), egress=(), return_path=None),
        CheckName.HOST_ADDRESS,
        "does not exist",
    ),
    broken("no PTR", address(reverse=NoRecords()), CheckName.REVERSE_NAME, "no name"),
    broken(
        "a PTR that does not lead back",
        address(
            reverse=Found(("host-7.isp.example",)), forward={"host-7.isp.example": NoRecords()}
        ),
        CheckName.REVERSE_NAME,
        "does not lead back",
    ),
    broken(
        "listed",
        address(lists={"zen.spamhaus.org": Found(("127.0.0.2",))}),
        CheckName.BLOCKLIST,
        "127.0.0.2",
    ),
    broken("no MX", returned(mx=NoRecords(), addresses=NoRecords()), CheckName.RETURN_PATH, "lost"),
    broken(
        "returned mail goes elsewhere",
        returned(mx=Found(("10 mx.other.example",))),
        CheckName.RETURN_PATH,
        "elsewhere",
    ),
    broken("SPF of others", returned(spf=spf("v=spf1 -all")), CheckName.SPF, ADDRESS),
    broken("a key that is gone", hosts(keys=((KEY, NoSuchName()),)), CheckName.DOMAIN_KEYS, ""),
    broken(
        "a key of before",
        hosts(keys=((KEY, Found(("v=DKIM1; k=ed25519; p=AAAA",))),)),
        CheckName.DOMAIN_KEYS,
        "",
    ),
    broken("port 25 shut", replace(HEALTHY, port_25=BLOCKED), CheckName.PORT_25, "no answer"),
    broken(
        "a smarthost that is away",
        replace(HEALTHY, port_25=replace(BLOCKED, smarthost=True)),
        CheckName.PORT_25,
        "no answer",
    ),
]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    results = examine(HEALTHY)
    assert [] == not_found(results)
    assert FindingState.RIGHT is worst(results)
    assert set(CheckName) == {result.check for result in results} | {CheckName.SECRET_KEY}


@pytest.mark.parametrize(("facts", "check", "seen"), WRONG)
def test_a_planted_fault_is_found(facts: InstallationFacts, check: CheckName, seen: str) -> None:
    results = examine(facts)
    assert [(check, FindingState.WRONG)] == not_found(results)
    (found,) = (one for one in results if one.state is FindingState.WRONG)
    assert seen in found.seen
    assert found.mend
    assert found.why == WHY[check]


def test_every_check_has_a_planted_fault() -> None:
    # Only advice: in a container nobody can tell the first; the second is so during each upgrade.
    without_wrong = {CheckName.CLOCK, CheckName.VERSIONS}
    assert set(CheckName) - without_wrong == {param.values[1] for param in WRONG}


@pytest.mark.parametrize(
    ("facts", "check", "state"),
    [
        (place(synchronised=False), CheckName.CLOCK, FindingState.ADVICE),
        (
            replace(HEALTHY, versions={"0.2.0": ("ingest",), "0.1.0": ("policy", "ingest")}),
            CheckName.VERSIONS,
            FindingState.ADVICE,
        ),
        (certificate(not_after=NOW + 14 * DAY), CheckName.CERTIFICATE, FindingState.ADVICE),
        (certificate(self_signed=True), CheckName.CERTIFICATE, FindingState.ADVICE),
        (
            place(disks=(replace(DISK, free=1 << 30),)),
            CheckName.DISK,
            FindingState.ADVICE,
        ),
        (database(connected=190), CheckName.CONNECTIONS, FindingState.ADVICE),
        (database(clock_ahead_seconds=5.0), CheckName.DATABASE_CLOCK, FindingState.ADVICE),
        (database(transaction_ages=600_000_000), CheckName.VACUUM, FindingState.ADVICE),
        (
            address(
                reverse=Found(("b.example.com",)), forward={"b.example.com": Found((ADDRESS,))}
            ),
            CheckName.REVERSE_NAME,
            FindingState.ADVICE,
        ),
        (
            address(lists={"zen.spamhaus.org": Found(("127.255.255.254",))}),
            CheckName.BLOCKLIST,
            FindingState.UNKNOWN,
        ),
        (hosts(keys=((KEY, LookupFailed("x")),)), CheckName.DOMAIN_KEYS, FindingState.UNKNOWN),
        (schema(known_timeline=2, timeline=None), CheckName.RESTORED, FindingState.UNKNOWN),
        (address(reverse=LookupFailed("late")), CheckName.REVERSE_NAME, FindingState.UNKNOWN),
        (replace(HEALTHY, port_25=PortFacts({}, {})), CheckName.PORT_25, FindingState.UNKNOWN),
    ],
)
def test_what_is_no_fault_is_told_as_what_it_is(
    facts: InstallationFacts, check: CheckName, state: FindingState
) -> None:
    assert [(check, state)] == not_found(examine(facts))


@pytest.mark.parametrize(
    "facts",
    [
        certificate(names=("*.example.com",)),
        place(open_files=None, synchronised=None),
        database(durable={"synchronous_commit": "remote_apply"}),
        replace(HEALTHY, programs=frozenset({"up"})),
        route("smtp.provider.example", 587),
        place(files=(replace(KEY_FILE, mode=0o640),)),
        place(files=(replace(KEY_FILE, mode=0o644, alone=True),)),
        place(files=(FileFacts("/tmp", 0o2777, folder=True, alone=True),)),  # of Kubernetes
        hosts(sends_by_smarthost=True, addresses=NoSuchName(), egress=()),
        returned(mx=NoRecords()),  # its own address counts (RFC 5321 section 5.1)
        schema(known_timeline=2, timeline=2),
        schema(known_timeline=None, timeline=2),
        hosts(keys=()),
        InstallationFacts(NAME),
    ],
)
def test_what_is_right_in_another_way_is_no_fault(facts: InstallationFacts) -> None:
    assert [] == not_found(examine(facts))


def test_what_is_wrong_weighs_more_than_what_is_unknown() -> None:
    results = examine(replace(address(reverse=LookupFailed("late")), hostname="vm"))
    assert FindingState.WRONG is worst(results)
    assert FindingState.UNKNOWN is worst(r for r in results if r.state is not FindingState.WRONG)
