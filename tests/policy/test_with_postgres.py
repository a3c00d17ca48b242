"""Policy on the real store: from an accepted submission to deliveries that wait to be claimed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import asyncpg
import dkim
import pytest
import pytest_asyncio
from pydantic import SecretBytes, SecretStr

from policy import gathering
from policy.settings import PolicySettings
from policy.wiring import build
from posthouse.broker import Topic
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.mail.dkim_key import Algorithm, check, record
from posthouse.mail.lane import Lane
from posthouse.mail.secret import Purpose, derive, seal
from posthouse.mail.submission import Submission
from posthouse.profiles import resolve
from posthouse.running.program import Resources
from posthouse.store.accounts import AccountStore, NewKey
from posthouse.store.postgres import Postgres
from posthouse.store.submissions import SubmissionStore
from posthouse.store.suppressions import SuppressionStore
from servers.patience import eventually, on_this_machine, until
from servers.rsa_keys import rsa_key
from servers.stores import a_submission

SECRET_KEY = b"k" * 32
KEY = rsa_key()
DNS = record(check(Algorithm.RSA, KEY)).encode()


def submission(account: UUID, *recipients: str) -> Submission:
    return a_submission(
        Lane.HIGH,
        account_id=account,
        sender="news@sender.example",
        recipients=recipients,
        client="10.0.0.1",
        header=b"From: news@sender.example\r\nBcc: b@x.example\r\nSubject: Hi\r\n\r\n",
        body=b"Hello  there \r\n\r\n",
    )


@pytest_asyncio.fixture
async def resources(database: str) -> AsyncIterator[Resources]:
    async with Postgres(database) as store:
        yield Resources(store, store, EmbeddedBroker())


@pytest_asyncio.fixture
async def account(resources: Resources) -> UUID:
    """An account that may send as sender.example, and has a key for it."""
    accounts = AccountStore(resources.database)
    id_ = await accounts.create_account("shop")
    sealed = seal(KEY, derive(SECRET_KEY, Purpose.DKIM_KEYS), b"n" * 12)
    key = NewKey("s1", "rsa-sha256", sealed, DNS.decode())
    await accounts.create_sending_domain(id_, "sender.example", [key], verified=True)
    return id_


async def test_a_submission_becomes_deliveries_that_can_be_claimed(
    resources: Resources, account: UUID, database: str
) -> None:
    """Signed, without the suppressed recipient, and gone from the list of what is due."""
    store = SubmissionStore(resources.database, resources.background)
    await SuppressionStore(resources.database).add(account, "dead@x.example", "bounced", {})
    sent = submission(account, "a@x.example", "dead@x.example", "b@x.example")
    heard: list[Lane] = []
    resources.broker.listen(Topic.DELIVERIES, heard.append)

    async with working(resources, database):
        await store.accept(sent)
        await until(lambda: heard == [Lane.HIGH])

    rows = await _rows(database, "SELECT recipient, lane, return_path FROM deliveries ORDER BY id")
    assert [(r["recipient"], r["lane"]) for r in rows] == [("a@x.example", 2), ("b@x.example", 2)]
    assert all(r["return_path"].endswith("@relay.example") for r in rows)
    assert len(await _rows(database, "SELECT FROM due_deliveries")) == 2
    assert await _rows(database, "SELECT FROM due_submissions") == []

    [rendition] = await _rows(database, "SELECT header, body FROM renditions")
    assert dkim.verify(rendition["header"] + sent.body, dnsfunc=lambda *_, **__: DNS)
    assert b"Bcc" not in rendition["header"]
    events = await _rows(database, "SELECT kind FROM events ORDER BY kind")
    assert [r["kind"] for r in events] == ["accepted", "prepared", "suppressed"]


async def test_C16_mail_of_an_own_domain_shows_that_domain_everywhere(
    resources: Resources, account: UUID, database: str
) -> None:
    """In its envelope sender, which SPF is asked of, in its signature, and in From."""
    back = "UPDATE sending_domains SET return_path_host = 'back.sender.example'"
    await _rows(database, back)
    store = SubmissionStore(resources.database, resources.background)
    async with working(resources, database):
        await store.accept(submission(account, "a@x.example"))
        await until_row(database, "true", table="deliveries")

    [delivery] = await _rows(database, "SELECT return_path FROM deliveries")
    assert delivery["return_path"].endswith("@back.sender.example")
    [rendition] = await _rows(database, "SELECT header FROM renditions")
    assert b"d=sender.example;" in rendition["header"]
    assert b"\r\nFrom: news@sender.example\r\n" in rendition["header"]
    assert b"\r\nSender:" not in rendition["header"]


async def test_mail_of_a_newer_profile_waits_for_a_newer_version(
    resources: Resources, account: UUID, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older one gives it back, however often it comes, and counts nothing against it."""
    store = SubmissionStore(resources.database, resources.background)
    sent = replace(submission(account, "a@x.example"), profile="later", profile_revision=3)
    await store.accept(sent)

    async with working(resources, database):
        for _ in range(8):
            await until_row(
                database, "due_at > now() + interval '1 s' AND NOT leased AND claim = 0"
            )
            await _rows(database, "UPDATE due_submissions SET due_at = now()")
    assert len(await _rows(database, "SELECT FROM quarantined_submissions")) == 0

    later = replace(resolve("native"), name="later", revision=3)
    monkeypatch.setattr(gathering, "resolve", lambda *_: later)
    await _rows(database, "UPDATE due_submissions SET due_at = now()")
    async with working(resources, database):
        await until_row(database, "true", table="deliveries")

    [event] = await _rows(database, "SELECT detail FROM events WHERE kind = 'prepared'")
    assert '"profile": "later"' in event["detail"]


async def test_a_database_that_cannot_be_reached_ends_nothing(resources: Resources) -> None:
    """The service waits for it, and still stops when it is told to."""
    nowhere = Postgres("postgresql://nobody@127.0.0.1:1/none")
    settings = PolicySettings(
        database_url=SecretStr("postgresql://unused"),
        broker_url=(SecretStr("amqp://unused"),),
        secret_key=SecretBytes(SECRET_KEY),
        hostname="relay.example",
    )
    service = build(settings, Resources(nowhere, nowhere, resources.broker)).by_name
    stopping = asyncio.Event()

    async with asyncio.timeout(on_this_machine(20)), asyncio.TaskGroup() as group:
        running = group.create_task(service["policy"].run(stopping))
        await asyncio.sleep(0.3)
        assert not running.done()
        stopping.set()


@asynccontextmanager
async def working(resources: Resources, database: str) -> AsyncIterator[None]:
    """Policy at work; told to stop at the end, and waited for."""
    settings = PolicySettings(
        database_url=SecretStr(database),
        broker_url=(SecretStr("amqp://unused"),),
        secret_key=SecretBytes(SECRET_KEY),
        hostname="relay.example",
        dkim_verify_one_in=1,
    )
    stopping = asyncio.Event()
    async with asyncio.timeout(on_this_machine(60)), asyncio.TaskGroup() as group:
        for service in build(settings, resources).by_name.values():
            group.create_task(service.run(stopping))
        yield
        stopping.set()


async def until_row(database: str, condition: str, *, table: str = "due_submissions") -> None:
    """Return when there is a row for which *condition* holds."""

    async def found() -> bool:
        return bool(await _rows(database, f"SELECT FROM {table} WHERE {condition}"))

    await eventually(found, look=0.01)


async def _rows(database: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query)
        return rows
    finally:
        await connection.close()
