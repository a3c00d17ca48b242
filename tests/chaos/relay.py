"""A whole relay whose parts can be struck one by one: in one process, or in many."""

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from bench.load_session import Door

from chaos.parts import DatabasePart, MemoryPart, Part, PostgresPart, RabbitPart, WorkerPart
from chaos.program import POSTHOUSE, Program
from chaos.told import FailingEndpoint
from command.credential_provisioning import create_credential
from command.provisioning import ensure_account, ensure_domain
from command.secret_making import new_secret
from onebox.postgres_server import dsn
from posthouse.mail.lane import Lane
from posthouse.mail.secret import KEY_OCTETS
from posthouse.store.accounts import AccountStore
from posthouse.store.credentials import CredentialTerms
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres
from servers.first_data import put_first_data
from servers.ports import lasting_ports
from servers.rabbitmq import RabbitNode

SENDER_DOMAIN = "client.example"
# The work of a process that died comes due again this soon: the shortest that may be set.
LEASE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Customer:
    """Ways in: one whose mail is normal unless it says otherwise, one whose mail is bulk."""

    normal: Door
    bulk: Door


class Relay(Protocol):
    """What tests know of a relay, whatever it is made of."""

    database_url: str
    sink_port: int  # where everything is sent to
    customer: Customer
    parts: Mapping[str, Part]


class Onebox:
    """Everything in one process, the database as its child."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        destination: str = "",
    ) -> None:
        """*settings* come on top of ours.

        Without *destination* the sink gets mail for every domain, else only for this one.
        """
        self._key = os.urandom(KEY_OCTETS)
        door, bounces, health, self.sink_port = lasting_ports(4)
        self._door = door
        self.folder = folder
        env = {
            "POSTHOUSE_DATA": str(folder / "data"),
            "POSTHOUSE_INGEST_LISTENERS": f"127.0.0.1:{door}/none",
            "POSTHOUSE_BOUNCES_LISTEN": f"127.0.0.1:{bounces}",
            "POSTHOUSE_TRACKING_LISTEN": "127.0.0.1:0",
            "POSTHOUSE_CONSOLE_LISTEN": "127.0.0.1:0",
            **common_settings(self._key, health),
            **_sending(self.sink_port, destination),
            **(settings or {}),
        }
        self.program = Program((POSTHOUSE, "up"), env, folder / "onebox.log", health)
        self.parts: Mapping[str, Part] = {
            "onebox": self.program,
            "worker": WorkerPart(self.program),
            "database": DatabasePart(self.program),
        }
        self.database_url = dsn(folder / "data" / "postgres")

    async def start(self) -> None:
        """Return when mail can be submitted."""
        put_first_data(self.folder / "data" / "postgres")
        await self.program.start()
        self.customer = await make_customer(self.database_url, self._key, self._door)

    async def tell(self, endpoint: FailingEndpoint) -> None:
        """Tell *endpoint* of what happens to mail of the customer from now on."""
        async with Postgres(self.database_url, connections=1) as database:
            account = await ensure_account(AccountStore(database), "tests")
        await endpoint.become_known(account, self._key)

    def processes(self) -> Mapping[str, int]:
        """The process ids of our programs, without the database's."""
        workers = enumerate(self.program.workers(), 1)
        return {"main": self.program.pid} | {f"worker {number}": pid for number, pid in workers}

    async def close(self) -> None:
        """End it."""
        await self.program.close()


class Split:
    """Every service a process of its own, on a PostgreSQL of our own and the RabbitMQ given."""

    def __init__(
        self,
        folder: Path,
        broker_url: str,
        rabbitmq: RabbitNode | None,
        *,
        dispatchers: int = 2,
        copies: int = 1,
        settings: Mapping[str, str] | None = None,
        settings_of: Mapping[str, Mapping[str, str]] | None = None,
        commands: Mapping[str, Sequence[str | Path]] | None = None,
        postgres: Mapping[str, str] | None = None,
    ) -> None:
        """Without *rabbitmq* the broker is not ours to strike.

        *copies*: how many processes of each other service there are. Each ingest and each bounces
        has a port of its own. *settings_of* and *commands* are of single programs, by name, and
        win; *postgres* are settings of the server.
        """
        self._key = os.urandom(KEY_OCTETS)
        ports = iter(lasting_ports(1 + 5 * copies + dispatchers))
        self.sink_port = next(ports)
        self._doors = [next(ports) for _ in range(copies)]
        self._postgres = PostgresPart(folder / "postgres", postgres)
        self.database_url = self._postgres.url
        env = {
            "POSTHOUSE_DATABASE_URL": self.database_url,
            "POSTHOUSE_BROKER_URL": broker_url,
            **_sending(self.sink_port),
        }

        def program(service: str, name: str, listening: Mapping[str, str]) -> Program:
            health = next(ports)
            own = {**env, **listening, **common_settings(self._key, health), **(settings or {})}
            own |= (settings_of or {}).get(name, {})
            command = (commands or {}).get(name, (POSTHOUSE, service))
            return Program(command, own, folder / f"{name}.log", health)

        self.dispatchers = {
            name: program("dispatcher", name, {})
            for name in (f"dispatcher {number}" for number in range(1, dispatchers + 1))
        }
        self.programs = dict(self.dispatchers)
        for number, door in enumerate(self._doors, 1):
            listening = {
                "ingest": {"POSTHOUSE_INGEST_LISTENERS": f"127.0.0.1:{door}/none"},
                "policy": {},
                "bounces": {"POSTHOUSE_BOUNCES_LISTEN": f"127.0.0.1:{next(ports)}"},
            }
            for service, variables in listening.items():
                name = service if number == 1 else f"{service} {number}"
                self.programs[name] = program(service, name, variables)
        self.parts: Mapping[str, Part] = {
            **self.programs,
            "postgres": self._postgres,
        }
        if rabbitmq is not None:
            broker = RabbitPart(rabbitmq)
            self.parts = {**self.parts, "rabbitmq": broker, "memory": MemoryPart(broker)}

    @property
    def doors(self) -> list[Door]:
        """The normal customer's, one at each ingest."""
        return [replace(self.customer.normal, port=port) for port in self._doors]

    def processes(self) -> Mapping[str, int]:
        """The process ids of our programs."""
        return {name: program.pid for name, program in self.programs.items()}

    async def start(self) -> None:
        """Return when mail can be submitted and every service is ready."""
        await self.start_database()
        async with asyncio.TaskGroup() as tasks:
            for program in self.programs.values():
                tasks.create_task(program.start())

    async def start_database(self) -> None:
        """Return when it is migrated and knows the customer."""
        await self._postgres.start()
        await migrate(self.database_url)
        self.customer = await make_customer(self.database_url, self._key, self._doors[0])

    async def close(self) -> None:
        """End everything but the broker."""
        for program in self.programs.values():
            await program.close()
        await self._postgres.stop()


async def make_customer(database_url: str, key: bytes, port: int) -> Customer:
    """An account with a domain that signs, and two credentials for the listener at *port*."""
    async with Postgres(database_url, connections=1) as database:
        accounts = AccountStore(database)
        account = await ensure_account(accounts, "tests")
        today = datetime.now(UTC).date()
        await ensure_domain(accounts, account, SENDER_DOMAIN, key, today=today, actor="chaos")

        async def door(lane: Lane) -> Door:
            terms = CredentialTerms(lane=lane, highest_lane=Lane.VERY_HIGH)
            made = await create_credential(accounts, account, new_secret(key), None, terms)
            return Door("127.0.0.1", port, made.username, made.secret.text)

        return Customer(normal=await door(Lane.NORMAL), bulk=await door(Lane.BULK))


def common_settings(key: bytes, health: int) -> dict[str, str]:
    """Those of every program; *health*: the port of its health checks."""
    return {
        "POSTHOUSE_HOSTNAME": "relay.example",
        "POSTHOUSE_SECRET_KEY": base64.b64encode(key).decode(),
        "POSTHOUSE_HEALTH_LISTEN": f"127.0.0.1:{health}",
        "POSTHOUSE_LOG_LEVEL": "warning",
        "POSTHOUSE_LOG_FORMAT": "json",
        "POSTHOUSE_DKIM_VERIFY_ONE_IN": "1",  # what does not verify is not sent, and so is missed
    }


def _sending(sink_port: int, destination: str = "") -> dict[str, str]:
    return {
        "POSTHOUSE_ROUTES": f"{destination and destination + '='}127.0.0.1:{sink_port}",
        "POSTHOUSE_LEASE_SECONDS": str(LEASE_SECONDS),
    }
