"""One relay that the tests of a module share, its customers, and the sink that all mail goes to."""

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosmtplib
import asyncpg
from bench.sink import Sink
from bench.sink_session import Arrival, Manners

from onebox.postgres_server import dsn
from posthouse.mail.dkim_key import Algorithm, PublicKey, check, record
from posthouse.mail.secret import KEY_OCTETS
from posthouse.running.tcp import Endpoint
from servers.first_data import put_first_data
from servers.patience import eventually
from servers.posthouse_command import call
from servers.rsa_keys import rsa_key
from servers.whole_relay import ANY, running

HOST = "relay.example"  # the relay's own name

_PEM = "-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n"
_QUEUED = re.compile(r"queued as ([0-9a-f]{32})|([0-9a-f]{32})")
_OPEN = """
SELECT EXISTS (SELECT FROM due_submissions WHERE id = $1)
    OR EXISTS (SELECT FROM due_deliveries JOIN deliveries USING (id) WHERE submission_id = $1)
"""


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the relay."""

    username: str
    secret: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """A message that was accepted."""

    id: UUID
    reply: str  # to the final dot


class Refused(Exception):
    """The relay did not take the message; the text is the reply that said so, on one line."""


@dataclass
class SharedRelay:
    """A relay that runs, with its operator, its clients and its destinations."""

    environ: Mapping[str, str]  # by which commands find it
    ports: Mapping[str, int]  # of its listeners, by their mode
    sink: Sink
    database: Any
    records: list[dict[str, str]]  # of its own name
    tracking: Endpoint  # where links and pixels are asked for
    bounces: Endpoint
    health: Endpoint  # has the metrics

    @property
    def port(self) -> int:
        """That of the opportunistic listener."""
        return self.ports["opportunistic"]

    async def command(self, *arguments: str) -> str:
        """What `posthouse` prints."""
        done = await asyncio.to_thread(call, *arguments, **self.environ)
        assert 0 == done.returncode, done.stderr or done.stdout
        return done.stdout

    async def domain(self, account: str, name: str, *options: str) -> list[dict[str, str]]:
        """Add a domain that may send at once; the records that its owner is told to publish."""
        trusted = ("--onboarding", "trusted", "--published-spf", "")
        said = await self.command(
            "domain", "add", name, "--account", account, "--json", *trusted, *options
        )
        return list(json.loads(said)["records"])

    async def login(self, account: str, profile: str, *options: str) -> Login:
        """Make a user of *account*, whose mail is treated as *profile* says."""
        made = json.loads(
            await self.command(
                *("credential", "create", "--json", "--account", account, "--profile", profile),
                *options,
            )
        )
        if "shared_username" in made:
            return Login(made["shared_username"], made["key"])
        return Login(made["username"], made["secret"])

    async def profile(self, account: str, name: str, preset: str, *knobs: str) -> None:
        """Give *account* the profile *name*: *preset* with knobs changed, each as KNOB=VALUE."""
        changed = [word for knob in knobs for word in ("--set", knob)]
        await self.command(
            *("profile", "create", name, "--account", account, "--from", preset, *changed)
        )

    async def session(self, login: Login) -> aiosmtplib.SMTP:
        """A client of *login*, encrypted and logged in."""
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=self.port, validate_certs=False, local_hostname="app.example"
        )
        await client.connect()
        await client.ehlo()
        await client.auth_plain(login.username, login.secret)
        return client

    async def submit(
        self,
        login: Login,
        sender: str,
        recipients: Sequence[str],
        content: bytes,
        options: Sequence[str] = (),
    ) -> Submitted:
        """Submit a message over a connection of its own, and QUIT; raises Refused.

        *options* are parameters of MAIL, such as SMTPUTF8.
        """
        client = await self.session(login)
        try:
            return await submit(client, sender, recipients, content, options)
        finally:
            client.close()

    async def arrived(self, submitted: Submitted) -> dict[str, Arrival]:
        """What arrived of that message, by recipient, when nothing is left to do for it."""

        async def done() -> bool:
            return not await self.database.fetchval(_OPEN, submitted.id)

        await eventually(done, look=0.02)
        ours = f" id {submitted.id.hex};".encode()
        found = [a for a in self.sink.arrivals if ours in a.content]
        assert all(1 == len(arrival.recipients) for arrival in found)
        by_recipient = {arrival.recipients[0]: arrival for arrival in found}
        assert len(found) == len(by_recipient), "a recipient got it twice"
        return by_recipient

    async def events(self, submitted: Submitted) -> list[dict[str, Any]]:
        """Its timeline: kind and detail of each event."""
        story = json.loads(await self.command("message", "--json", submitted.id.hex))
        return list(story["events"])


async def submit(
    client: aiosmtplib.SMTP,
    sender: str,
    recipients: Sequence[str],
    content: bytes,
    options: Sequence[str] = (),
) -> Submitted:
    """Submit a message in a session that is open; raises Refused."""
    try:
        await client.mail(sender, options=list(options))
        for recipient in recipients:
            await client.rcpt(recipient)
        said = await client.data(content)
    except aiosmtplib.SMTPResponseException as error:
        await client.rset()
        raise Refused(f"{error.code} {' '.join(error.message.splitlines())}") from error
    found = _QUEUED.search(said.message)
    assert found is not None, said
    return Submitted(UUID(found[1] or found[2]), f"{said.code} {said.message}")


@asynccontextmanager
async def shared_relay(
    folder: Path,
    modes: Sequence[str] = ("opportunistic",),
    manners: Manners | None = None,
    **settings: str,
) -> AsyncIterator[SharedRelay]:
    """A relay that sends everything to the sink, with a listener of each of *modes*.

    It has a certificate and a DKIM key of its own. *folder* has to be open to other users;
    *manners* are those of the sink, *settings* more of the environment.
    """
    data, key = folder / "data", rsa_key()
    put_first_data(data / "postgres")
    environ = {
        "POSTHOUSE_DATA": str(data),
        "POSTHOUSE_HOSTNAME": HOST,
        "POSTHOUSE_WORKERS": "1",  # a second one would take a second to start
        "POSTHOUSE_SECRET_KEY": base64.b64encode(os.urandom(KEY_OCTETS)).decode(),
        "POSTHOUSE_RELAY_DKIM_DOMAIN": HOST,
        "POSTHOUSE_RELAY_DKIM_KEY": _PEM.format(base64.encodebytes(key).decode()),
        **settings,
    }
    async with Sink(manners or Manners(keep=True)) as sink, AsyncExitStack() as stack:
        program = running(
            *("up", "--route", f"127.0.0.1:{sink.port}"),
            *(word for mode in modes for word in ("--listen", f"{ANY}/{mode}")),
            *("--bounce-listen", ANY, "--health-listen", ANY),
            *("--tracking-listen", settings.get("POSTHOUSE_TRACKING_LISTEN", ANY)),
            *("--console-listen", ANY),
            **environ,
        )
        # In threads: it waits for the sink, which runs on this loop.
        ready = await asyncio.to_thread(program.__enter__)
        stack.push_async_callback(asyncio.to_thread, program.__exit__, None, None, None)
        database = await asyncpg.connect(dsn(data / "postgres"))
        stack.push_async_callback(database.close)
        ports = {at["tls"]: at["port"] for at in ready["submission"]}
        records = _records(check(Algorithm.RSA, key))
        places = (Endpoint(**ready[name]) for name in ("tracking", "bounces", "health"))
        yield SharedRelay(environ, ports, sink, database, records, *places)


def _records(key: PublicKey) -> list[dict[str, str]]:
    """Of the relay's own name: how its operator lets it send, and verifies what it signs."""
    texts = {HOST: "v=spf1 a -all", f"posthouse._domainkey.{HOST}": record(key)}
    return [{"name": name, "type": "TXT", "value": text} for name, text in texts.items()]
