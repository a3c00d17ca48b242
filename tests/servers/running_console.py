"""The console's API over a real store, with two customers, of whom one has a child."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from console.call import ConsoleRoute
from console.settings import ConsoleSettings
from console.wiring import application, routes
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.mail.lane import Lane
from posthouse.mail.permission import Permission
from posthouse.mail.secret import Purpose, StoredSecret, derive, hash_secret
from posthouse.mail.submission import Delivery
from posthouse.running.http_server import HttpServer
from posthouse.running.program import Resources
from posthouse.running.settings import load
from posthouse.running.tcp import Endpoint
from posthouse.store.accounts import AccountStore
from posthouse.store.credentials import CredentialTerms
from servers.http_door import Answer, HttpWireClient
from servers.stores import ACCOUNT, Stores, a_submission, open_stores, prepared

SECRET_KEY = bytes(range(32))
SHOP, BRANCH, OTHER = ACCOUNT, UUID(int=11), UUID(int=12)
READING = frozenset(Permission) - {Permission.SMTP, Permission.HTTP}


@dataclass
class RunningConsole:
    """The API, and what is behind it."""

    stores: Stores
    at: Endpoint
    routes: list[ConsoleRoute]
    resources: Resources

    async def ask(
        self, method: str, path: str, value: Any = None, *, user: str = "shop", **fields: str
    ) -> Answer:
        """The answer to one request; *value* is sent as JSON, *fields* by names with _ for -."""
        given = {name.replace("_", "-"): text for name, text in fields.items()}
        if value is not None:
            given.setdefault("Content-Type", "application/json")
        given.setdefault("Authorization", f"Bearer {user}.secret of {user}")
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        async with self.client() as client:
            return await client.request(
                method, path, None if value is None else body, {"Connection": "close", **given}
            )

    async def get(self, path: str, *, user: str = "shop", **fields: str) -> Answer:
        """The answer to GET."""
        return await self.ask("GET", path, user=user, **fields)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[HttpWireClient]:
        """A connection."""
        reader, writer = await asyncio.open_connection(self.at.host, self.at.port)
        try:
            yield HttpWireClient(reader, writer)
        finally:
            writer.close()

    async def user(
        self, name: str, account: UUID, permissions: Collection[str] = READING, **terms: Any
    ) -> None:
        """Make a user whose secret is "secret of NAME"."""
        pepper = derive(SECRET_KEY, Purpose.CREDENTIALS)
        await AccountStore(self.stores.database).create_credential(
            account,
            name,
            StoredSecret(hash_secret(f"secret of {name}", pepper)),
            CredentialTerms(permissions=permissions, **terms),
        )

    async def message(self, account: UUID = SHOP, **changes: Any) -> list[Delivery]:
        """A message of the account, prepared; its deliveries."""
        one = a_submission(Lane.NORMAL, account_id=account, **changes)
        await self.stores.submissions.accept(one)
        (claimed,) = (await self.stores.submissions.claim(1)).submissions
        plan = prepared(claimed)
        await self.stores.submissions.prepare([plan])
        return list(plan.deliveries)


@asynccontextmanager
async def running_console(database: str, **settings: str) -> AsyncIterator[RunningConsole]:
    """The API on a free port; users shop, branch and other have keys of those accounts.

    *settings*: without POSTHOUSE_, and those of the console by itself without CONSOLE_.
    """
    given = {
        f"POSTHOUSE_{'' if name.startswith('webhook_') else 'CONSOLE_'}{name.upper()}": value
        for name, value in settings.items()
    }
    read = load(
        ConsoleSettings,
        {
            "POSTHOUSE_DATABASE_URL": database,
            "POSTHOUSE_BROKER_URL": "amqp://",
            "POSTHOUSE_SECRET_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            **given,
        },
    )
    async with open_stores(database) as stores:
        resources = Resources(stores.database, stores.database, EmbeddedBroker())
        for id_, name, parent in ((BRANCH, "branch", SHOP), (OTHER, "other", None)):
            await stores.sql(
                "INSERT INTO accounts (id, name, parent_id) VALUES ($1, $2, $3)", id_, name, parent
            )
        server = HttpServer("console", application(read, resources), Endpoint("127.0.0.1", 0))
        async with server as at:
            console = RunningConsole(stores, at, list(routes(read, resources)), resources)
            for name, account in (("shop", SHOP), ("branch", BRANCH), ("other", OTHER)):
                await console.user(name, account)
            yield console
