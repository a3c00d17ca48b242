"""Whether PostgreSQL is one that the relay's promises can depend on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from posthouse.doctor.check_result import CheckName, CheckResult, advice, right, unknown, wrong

_OLDEST, _NEWEST = 15, 18
# At 2^31 transactions PostgreSQL stops; its own vacuum against that begins at 200 million.
_MANY_XIDS, _MOST_XIDS = 500_000_000, 1_500_000_000
_LONG_SECONDS = 3_600.0  # a dump of a large database takes minutes
_MUCH_WAL = 4 << 30  # octets
_TOLERATED_SECONDS, _MOST_SECONDS = 2.0, 30.0
_SPARE, _FEW = 10, 5  # free connections


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What the server says; settings are those of a session that asks for nothing."""

    version: int  # major
    durable: Mapping[str, str]  # fsync, full_page_writes, synchronous_commit
    vacuuming: Mapping[str, str]  # autovacuum, track_counts
    read_only: bool
    connections: int  # that may be made, those kept for superusers left out
    connected: int  # now
    transaction_ages: int  # of the oldest row that is not frozen, in transactions
    oldest_transaction_seconds: float  # 0 without any
    prepared_transactions: int
    wal_kept: int  # octets, for replication slots that nobody reads
    clock_ahead_seconds: float  # of ours; negative: behind


@dataclass(frozen=True, slots=True)
class SchemaFacts:
    """What is in the database, as far as a program has to know it."""

    version: int | None  # None: no schema
    needed: int
    changed: tuple[str, ...] = ()  # migrations whose files are not those that were applied
    restored: bool = False  # a copy whose open mail has not been quarantined
    waiting_since_restore: int = 0  # messages that a restore quarantined
    known_timeline: int | None = None  # that the operator, or the relay, has seen before
    timeline: int | None = None  # that the server is on; None: it is in recovery
    key_matches: bool = True  # the secret key is the one that it was set up with


def judge_database(facts: DatabaseFacts) -> Iterator[CheckResult]:
    """All about the server."""
    yield _version(facts)
    yield from _durability(facts)
    yield _connections(facts)
    yield from _vacuum(facts)
    yield _transactions(facts)
    yield _wal(facts)
    yield _clock(facts)


def judge_schema(facts: SchemaFacts) -> Iterator[CheckResult]:
    """All about what is in it."""
    yield _schema(facts)
    yield _restored(facts)
    yield _timeline(facts)
    if facts.key_matches:
        yield right(CheckName.SECRET_KEY, "database", "the key that it was set up with")
    else:
        seen = "the secret key is not the one that the database was set up with"
        mend = "put the copy of secret.key back, or correct POSTHOUSE_SECRET_KEY, and start again"
        yield wrong(CheckName.SECRET_KEY, "database", seen, mend)


def _version(facts: DatabaseFacts) -> CheckResult:
    seen = f"PostgreSQL {facts.version}"
    if not _OLDEST <= facts.version <= _NEWEST:
        mend = f"move to PostgreSQL {_OLDEST} to {_NEWEST}: posthouse backup, then restore there"
        return wrong(CheckName.DATABASE, "version", seen, mend)
    if facts.read_only:
        mend = "name the primary in POSTHOUSE_DATABASE_URL, or here: SELECT pg_promote()"
        return wrong(CheckName.DATABASE, "version", f"{seen}, and it takes no writes", mend)
    return right(CheckName.DATABASE, "version", seen)


def _durability(facts: DatabaseFacts) -> Iterator[CheckResult]:
    # With a synchronous standby "remote_write" survives a crash of either, and "remote_apply" and
    # "on" of both; "local" survives that of the machine, not its loss.
    yield from _switched_on(CheckName.DURABILITY, facts.durable)


def _switched_on(check: CheckName, settings: Mapping[str, str]) -> Iterator[CheckResult]:
    for name, value in settings.items():
        if value == "off":
            mend = f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"
            yield wrong(check, name, f"{name} is off", mend)
        else:
            yield right(check, name, f"{name} is {value}")


def _connections(facts: DatabaseFacts) -> CheckResult:
    seen = f"{facts.connected} of {facts.connections} connections are in use"
    mend = (
        f"ALTER SYSTEM SET max_connections = {2 * facts.connections}; and restart PostgreSQL, or a "
        "smaller POSTHOUSE_DATABASE_POOL_SIZE"
    )
    free = facts.connections - facts.connected
    if free < _FEW:
        return wrong(CheckName.CONNECTIONS, "max_connections", seen, mend)
    if free < _SPARE:
        return advice(CheckName.CONNECTIONS, "max_connections", seen, mend)
    return right(CheckName.CONNECTIONS, "max_connections", seen)


def _vacuum(facts: DatabaseFacts) -> Iterator[CheckResult]:
    yield from _switched_on(CheckName.VACUUM, facts.vacuuming)
    seen = f"the oldest row is {facts.transaction_ages:,} transactions old"
    mend = "VACUUM (FREEZE); and see what keeps autovacuum from it"
    if facts.transaction_ages > _MOST_XIDS:
        yield wrong(CheckName.VACUUM, "wraparound", seen, mend)
    elif facts.transaction_ages > _MANY_XIDS:
        yield advice(CheckName.VACUUM, "wraparound", seen, mend)
    else:
        yield right(CheckName.VACUUM, "wraparound", seen)


def _transactions(facts: DatabaseFacts) -> CheckResult:
    if facts.prepared_transactions:
        seen = f"{facts.prepared_transactions} prepared transactions wait for their end"
        mend = "SELECT gid FROM pg_prepared_xacts; then ROLLBACK PREPARED each of them"
        return wrong(CheckName.OLD_TRANSACTION, "transactions", seen, mend)
    seconds = facts.oldest_transaction_seconds
    if seconds > _LONG_SECONDS:
        mend = (
            "SELECT pid, application_name, query FROM pg_stat_activity ORDER BY xact_start; and "
            "pg_terminate_backend(pid) of the first"
        )
        seen = f"a transaction is open for {round(seconds / 60)} minutes"
        return wrong(CheckName.OLD_TRANSACTION, "transactions", seen, mend)
    return right(CheckName.OLD_TRANSACTION, "transactions", "none is open for more than an hour")


def _wal(facts: DatabaseFacts) -> CheckResult:
    seen = f"{facts.wal_kept >> 20:,} MiB of log are kept for replication slots that nobody reads"
    if facts.wal_kept > _MUCH_WAL:
        mend = (
            "SELECT slot_name FROM pg_replication_slots WHERE NOT active; start the reader again, "
            "or SELECT pg_drop_replication_slot(slot_name)"
        )
        return wrong(CheckName.WAL_KEPT, "replication slots", seen, mend)
    return right(CheckName.WAL_KEPT, "replication slots", seen)


def _clock(facts: DatabaseFacts) -> CheckResult:
    ahead = facts.clock_ahead_seconds
    seen = f"{abs(ahead):.1f} seconds {'ahead of' if ahead >= 0 else 'behind'} this machine's"
    mend = "let chrony or systemd-timesyncd keep both clocks: timedatectl set-ntp true"
    if abs(ahead) > _MOST_SECONDS:
        return wrong(CheckName.DATABASE_CLOCK, "database", seen, mend)
    if abs(ahead) > _TOLERATED_SECONDS:
        return advice(CheckName.DATABASE_CLOCK, "database", seen, mend)
    return right(CheckName.DATABASE_CLOCK, "database", seen)


def _schema(facts: SchemaFacts) -> CheckResult:
    if facts.version is None or facts.version < facts.needed:
        has = "no schema" if facts.version is None else f"schema {facts.version}"
        seen = f"it has {has}, this version needs {facts.needed}"
        return wrong(CheckName.SCHEMA, "version", seen, "posthouse migrate")
    if facts.changed:
        seen = f"these migrations are not those that were applied: {', '.join(facts.changed)}"
        mend = "install the version of Posthouse that this database was migrated by, unchanged"
        return wrong(CheckName.SCHEMA, "version", seen, mend)
    return right(CheckName.SCHEMA, "version", f"schema {facts.version}")


def _restored(facts: SchemaFacts) -> CheckResult:
    if facts.restored:
        seen = "it was restored from a backup, and no program works on it yet"
        return wrong(CheckName.RESTORED, "backup", seen, "posthouse migrate")
    if facts.waiting_since_restore:
        seen = f"{facts.waiting_since_restore} messages wait since a backup was restored"
        mend = "posthouse queue quarantined; then release or cancel them with --reason restored"
        return wrong(CheckName.RESTORED, "backup", seen, mend)
    return right(CheckName.RESTORED, "backup", "nothing waits for a decision")


def _timeline(facts: SchemaFacts) -> CheckResult:
    known, found = facts.known_timeline, facts.timeline
    if known in {None, found}:
        return right(CheckName.RESTORED, "timeline", "the server goes on where it was")
    if found is None:
        seen = "its timeline is not known: it is a standby, or its recovery has not ended"
        return unknown(CheckName.RESTORED, "timeline", seen, "ask again when it takes writes")
    seen = (
        f"the server is on timeline {found}, and was on {known}: it was recovered to a point "
        "in time, or a standby took over"
    )
    mend = (
        "after a recovery: posthouse queue quarantine --reason restored; after a standby with all "
        "commits took over nothing; then posthouse doctor --accept-timeline"
    )
    return wrong(CheckName.RESTORED, "timeline", seen, mend)
