"""All that was set goes to another database, whole or not at all, and works there as before."""

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from posthouse.store.configuration import CONFIGURATION
from posthouse.store.migrate import migrate
from servers.posthouse_command import Run, call

Command: TypeAlias = Callable[..., Run]

# Mail, its history, what is counted of it, and what only this database knows of itself.
LEFT_BEHIND = {
    *("contents", "submissions", "renditions", "deliveries", "attempts", "events", "message_keys"),
    *("due_submissions", "due_deliveries", "scheduled_submissions", "quarantined_submissions"),
    *("quarantined_deliveries", "sandbox_messages", "idempotency_keys", "operator_mail"),
    *("untold_failures", "untold_reports", "untold_alerts", "notice_windows", "alert_windows"),
    *("message_sets", "traffic_counts", "refusal_samples", "account_statistics"),
    *("webhook_batches", "webhook_dead_letters", "webhook_attempts", "webhook_replays"),
    *("event_cursors", "clock", "witness", "schema_migrations", "secret_check", "relay_names"),
    *("examinations", "program_versions", "retention_cursors"),
}


@pytest.fixture
def elsewhere(posthouse: Command, empty_database: str) -> Command:
    """`posthouse` on another database, which is new."""

    def run(*arguments: str, status: int = 0, **more: str) -> Run:
        return posthouse(*arguments, status=status, POSTHOUSE_DATABASE_URL=empty_database, **more)

    return run


async def rows(url: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def test_every_table_is_moved_or_left_behind(database: str) -> None:
    """Whoever adds a table says which."""
    found = await rows(
        database,
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
        "AND relnamespace = 'public'::regnamespace",
    )
    kept = {name for (name,) in found if not name.endswith("_default")}
    counted = {name for name in kept if name.startswith("counted_")}
    assert kept - counted == LEFT_BEHIND | set(CONFIGURATION)


async def test_what_was_set_is_the_same_elsewhere(
    posthouse: Command, elsewhere: Command, database: str, empty_database: str, tmp_path: Path
) -> None:
    posthouse("account", "create", "group")
    posthouse("account", "create", "shop", "--parent", "group")
    posthouse(
        "credential", "create", "--account", "shop", "--username", "ü", "--domain", "a.example"
    )
    posthouse("stream", "create", "news", "--account", "shop")
    posthouse("suppression", "add", "ann@dest.example", "--account", "shop")
    posthouse("webhook", "add", "https://hook.example/x", "--account", "shop")
    posthouse("profile", "create", "ours", "--account", "shop", "--set", "tracking.opens=true")
    file = tmp_path / "set.jsonl"
    assert "rows written" in posthouse("config", "export", str(file)).stderr
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)

    await migrate(empty_database)
    assert "rows read" in elsewhere("config", "import", str(file)).stderr
    for table in CONFIGURATION:
        same = "WHERE action <> 'config import'" if table == "audit" else ""
        asked = f"SELECT to_jsonb(t)::text FROM {table} t {same} ORDER BY 1"  # noqa: S608
        assert await rows(database, asked) == await rows(empty_database, asked), table
    assert posthouse("credential", "list", "--json").stdout == elsewhere(
        "credential", "list", "--json"
    ).stdout  # fmt: skip
    elsewhere("domain", "keys", "list", "a.example")  # opened with the same secret key

    again = elsewhere("config", "import", str(file), status=1)
    assert "there are accounts in it" in again.stderr


async def test_a_file_that_does_not_fit_changes_nothing(
    posthouse: Command, elsewhere: Command, empty_database: str, tmp_path: Path
) -> None:
    posthouse("account", "create", "shop")
    whole = posthouse("config", "export", "-").stdout
    await migrate(empty_database)
    head, *lines = whole.splitlines(keepends=True)
    another = base64.b64encode(b"another key of thirty-two octets").decode()
    older = json.dumps({**json.loads(head), "configuration": 1}) + "\n"
    unknown = '{"events": {"id": 1}}\n'
    file = tmp_path / "set.jsonl"
    for text, said in (
        ("".join([head, *lines[:-1]]), "not whole"),
        ("".join([head, *lines[:-2], lines[-1]]), "not whole"),
        ("".join([older, *lines]), "its schema is 1"),
        ("".join([head, unknown, *lines]), "no table of the configuration"),
        ("nonsense\n", "none of ours"),
    ):
        file.write_text(text)
        assert said in elsewhere("config", "import", str(file), status=1).stderr
    file.write_text(whole)
    other = call(
        "config", "import", str(file), POSTHOUSE_DATABASE_URL=empty_database,
        POSTHOUSE_SECRET_KEY=another,
    )  # fmt: skip
    assert (1, True) == (other.returncode, "secret key" in other.stderr)
    assert [(0,)] == await rows(empty_database, "SELECT count(*) FROM accounts")
