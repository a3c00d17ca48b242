"""Posthouse as separate processes on PostgreSQL and RabbitMQ, which are all counted."""

import asyncio
import base64
import os
from collections.abc import Mapping
from pathlib import Path

from bench.accounting import open_account
from bench.children import (
    POSTHOUSE,
    PYTHON,
    SHARED_WITH_TESTS,
    Child,
    ProgramFailed,
    answer,
    stop_all,
)
from bench.load_session import Door
from bench.systems import TRACKING_URL, NotMeasured, fresh_folder, make_customer, our_version

from servers.ports import lasting_ports
from servers.rabbitmq_private import NoRabbitMq, installed_scripts


class Split:
    """ingest, policy, dispatcher and bounces, with the servers they need."""

    name = "split"
    title = "Posthouse, split"
    about_per_second = 800.0
    hops = 1

    def __init__(
        self, folder: Path, sink_port: int, *, policies: int = 1, dispatchers: int = 1
    ) -> None:
        """With *policies* processes of policy and *dispatchers* of dispatcher."""
        self._folder = fresh_folder(folder, self.name)
        self._services = [
            "ingest",
            "bounces",
            *["policy"] * policies,
            *["dispatcher"] * dispatchers,
        ]
        self._port, bounces, *self._health = lasting_ports(2 + len(self._services))
        self.environ = {
            "POSTHOUSE_INGEST_LISTENERS": f"127.0.0.1:{self._port}/none",
            "POSTHOUSE_BOUNCES_LISTEN": f"127.0.0.1:{bounces}",
            "POSTHOUSE_ROUTES": f"127.0.0.1:{sink_port}",
            "POSTHOUSE_HOSTNAME": "relay.bench.example",
            "POSTHOUSE_SECRET_KEY": base64.b64encode(os.urandom(32)).decode(),
        }
        self._children: list[Child] = []
        self._door: Door | None = None
        self.dkim_record = b""
        self.version = ""
        self.tracking = ""  # where links lead, where there is such a service
        self.database = self._folder / "postgres"
        self.account = self._backing = open_account(self.name)

    @property
    def door(self) -> Door:
        """See System."""
        assert self._door is not None, "not started"
        return self._door

    def add_tracking(self) -> None:
        """Run a tracking service as well, from the next start on."""
        port, health = lasting_ports(2)
        self._services.append("tracking")
        self._health.append(health)
        self.tracking = self.environ["POSTHOUSE_TRACKING_LISTEN"] = f"127.0.0.1:{port}"
        self.environ["POSTHOUSE_TRACKING_URL"] = TRACKING_URL

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment by which commands find this installation."""
        return self.environ

    async def prepare(self) -> None:
        """See System."""
        try:
            scripts = await asyncio.to_thread(installed_scripts)
        except NoRabbitMq as reason:
            raise NotMeasured(str(reason)) from reason
        broker = scripts.parent.name.replace("rabbitmq_server-", "RabbitMQ ")
        self.version = f"{our_version()}, {broker}"

    async def start(self) -> None:
        """See System."""
        command = [PYTHON, "-m", "bench.backing", str(self._folder)]
        log = self._folder / "backing.log"
        backing = await Child.start(command, log, self._backing, env=SHARED_WITH_TESTS, speaks=True)
        self._children.append(backing)
        urls = await backing.line()
        self.environ["POSTHOUSE_DATABASE_URL"] = urls["database_url"]
        self.environ["POSTHOUSE_BROKER_URL"] = urls["broker_url"]
        if self._door is None:
            await answer([POSTHOUSE, "migrate"], self.environ)
            self._door, self.dkim_record = await make_customer(self._port, self.environ)
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, service in enumerate(self._services):
                    tasks.create_task(self._start(service, number))
        except ExceptionGroup as group:
            # Not except*: before Python 3.11.4 what it raises comes in a group again.
            if isinstance(group.exceptions[0], ProgramFailed):
                raise group.exceptions[0] from None
            raise

    async def stop(self) -> None:
        """See System."""
        await stop_all(self._children)

    async def _start(self, service: str, number: int) -> None:
        health = self._health[number]
        env = {**self.environ, "POSTHOUSE_HEALTH_LISTEN": f"127.0.0.1:{health}"}
        log = self._folder / f"{service}-{number}.log"
        child = await Child.start([POSTHOUSE, service], log, self.account, env=env)
        self._children.append(child)
        await child.ready(health)
