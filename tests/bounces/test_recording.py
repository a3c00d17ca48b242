"""Returned mail recorded in a real PostgreSQL, by the service as it is built."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import aiosmtplib
import asyncpg
import pytest

from bounces.core.reports.reading import read
from bounces.core.verdict import decide
from bounces.return_listener import ReturnListener
from bounces.service import ReturnedMail
from bounces.settings import BouncesSettings
from bounces.wiring import build
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.mail.return_path import sign
from posthouse.mail.secret import Purpose, derive
from posthouse.running.http_server import CannotListen
from posthouse.running.identity import new_id
from posthouse.running.program import Resources
from posthouse.running.settings import SettingsError, load
from posthouse.running.tcp import Endpoint
from posthouse.store.postgres import Postgres
from posthouse.store.returns import ReturnStore
from servers.returned_mail import REPORTS, service_of

TODAY, KEY = date(2026, 3, 3), b"k" * 32
REPORT = {path.stem: path.read_bytes() for path in REPORTS}


@dataclass
class Installation:
    """A database with one account and one delivery to ann@dest.example."""

    url: str
    connection: Any
    account: UUID
    delivery: UUID


@pytest.fixture
async def installation(database: str) -> AsyncIterator[Installation]:
    connection = await asyncpg.connect(database)
    account = await connection.fetchval("INSERT INTO accounts (name) VALUES ('a') RETURNING id")
    yield Installation(database, connection, account, await delivery_of(connection, account))
    await connection.close()


async def delivery_of(connection: Any, account: UUID, return_path: str = "") -> UUID:
    """Of a submission under the profile `native`, which lists after one hard bounce."""
    delivery, submission = new_id(), new_id()
    await connection.execute(
        "INSERT INTO submissions (id, account_id, credential_id, profile, lane, sender, recipients,"
        " smtputf8, client, helo, tls, size) VALUES ($1, $2, $2, 'native', 3, 'shop@s.example',"
        " '{ann@dest.example}', false, '', '', '', 1)",
        submission,
        account,
    )
    await connection.execute(
        "INSERT INTO deliveries (id, submission_id, account_id, rendition_id, lane, recipient,"
        " return_path) VALUES ($1, $2, $3, $4, 3, 'ann@dest.example', $5)",
        delivery,
        submission,
        account,
        new_id(),
        return_path,
    )
    return delivery


async def events(installation: Installation) -> list[tuple[str, str]]:
    rows = await installation.connection.fetch("SELECT kind, detail ->> 'rule' FROM events")
    return [tuple(row) for row in rows]


async def suppressions(installation: Installation) -> list[tuple[UUID, str, UUID]]:
    """Account, address and delivery of the entries that count for good."""
    rows = await installation.connection.fetch(
        "SELECT account_id, address, delivery_id FROM suppressions WHERE expires_at IS NULL"
    )
    return [tuple(row) for row in rows]


async def test_replays_side_by_side_are_one_event_and_lift_no_lifted_suppression(
    installation: Installation,
) -> None:
    async with Postgres(installation.url) as database:
        returns = ReturnStore(database)
        delivery = await returns.find(installation.delivery)
        assert delivery is not None
        _, bounces = service_of(returns, (KEY,), TODAY)
        content = REPORT["user_unknown"]
        copies = [b"Received: by mx%d; now\n%b" % (n, content) for n in range(100)]
        taking = (bounces.take(delivery, ReturnedMail(copy, "", "192.0.2.1")) for copy in copies)
        await asyncio.gather(*taking)
        rule = decide(read(content), delivery).rule
        assert await events(installation) == [("bounced", rule)]
        assert await suppressions(installation) == [
            (installation.account, "ann@dest.example", installation.delivery)
        ]

        await installation.connection.execute("DELETE FROM suppressions")
        await bounces.take(delivery, ReturnedMail(content, "", "192.0.2.1"))
        assert await suppressions(installation) == []


@pytest.mark.parametrize("report", REPORT)
async def test_everything_that_can_come_back_can_be_written_down(
    installation: Installation, report: str
) -> None:
    """With octets in it that a database refuses, too."""
    content = REPORT[report].replace(b"a", b"a\x00\xff\xed\xa0\x80")
    async with Postgres(installation.url) as database:
        returns = ReturnStore(database)
        delivery = await returns.find(installation.delivery)
        assert delivery is not None
        _, bounces = service_of(returns, (KEY,), TODAY)
        for text in (REPORT[report], content):
            await bounces.take(delivery, ReturnedMail(text, "", "::1"))
            await bounces.take(delivery, ReturnedMail(text, "", "::1"))
    assert len(await events(installation)) <= 2


def settings(**given: str) -> BouncesSettings:
    environ = {
        "POSTHOUSE_DATABASE_URL": "postgresql://unused",
        "POSTHOUSE_BROKER_URL": "amqp://unused",
        "POSTHOUSE_SECRET_KEY": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA==",
        "POSTHOUSE_HOSTNAME": "mx.sender.example",
        "POSTHOUSE_BOUNCES_LISTEN": "127.0.0.1:0",
        **given,
    }
    return load(BouncesSettings, environ)


async def test_built_as_a_program_it_takes_what_policy_signed(installation: Installation) -> None:
    wanted = settings()
    key = derive(wanted.secret_key.get_secret_value(), Purpose.RETURN_PATHS)
    return_path = sign(installation.delivery, "b.sender.example", key, datetime.now(UTC).date())
    await installation.connection.execute("UPDATE deliveries SET return_path = $1", return_path)

    async with Postgres(installation.url) as database:
        built = build(wanted, Resources(database, database, EmbeddedBroker()))
        service, stopping = built.by_name["bounces"], asyncio.Event()
        assert isinstance(service, ReturnListener)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(service.run(stopping))
            await built.checks["bounces"]()
            address = await service.address()
            await aiosmtplib.send(
                REPORT["user_unknown"],
                sender="mailer-daemon@dest.example",
                recipients=[return_path],
                hostname=address.host,
                port=address.port,
            )
            stopping.set()
    assert [address for _, address, _ in await suppressions(installation)] == ["ann@dest.example"]


def test_a_key_without_its_certificate_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(SettingsError, match="BOUNCES_TLS_KEY is set without"):
        settings(POSTHOUSE_BOUNCES_TLS_KEY="/tmp/key.pem")


def test_a_certificate_that_cannot_be_used_is_named() -> None:
    wanted = settings(POSTHOUSE_BOUNCES_TLS_CERTIFICATE="/nowhere/cert.pem")
    database = Postgres("postgresql://unused")
    resources = Resources(database, database, EmbeddedBroker())
    with pytest.raises(CannotListen, match=r"/nowhere/cert\.pem"):
        build(wanted, resources)


def test_the_port_is_only_local_unless_told_otherwise() -> None:
    assert settings(POSTHOUSE_BOUNCES_LISTEN="").bounces_listen == Endpoint("127.0.0.1", 2526)
